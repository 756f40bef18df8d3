"""What can happen to an escalation and to a page, and how it reads.

`why` is the fact behind it. Only 0.1.0 has written sentences into `reason`.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from tocsin.events.base import Event
from tocsin.events.facts import AllAskedAlready, Why, paged_by
from tocsin.events.lines import By, Line, Reasons, Words, acknowledged, by_channels, channel, sentences
from tocsin.events.reasons import because, said, said_to_them


class EscalationStarted(Event, frozen=True, kw_only=True):
    """An escalation run began for an alert or an incident; `is_fallback`: it asks the organisation's last resort.

    `is_direct`: it asks one person, whose name stands in `policy_name`.
    """

    name: ClassVar[str] = "escalation.started"
    run_id: UUID
    policy_name: str
    reason: str = ""
    why: Why | None = None
    is_fallback: bool = False
    is_direct: bool = False


class EscalationStepSkipped(Event, frozen=True, kw_only=True):
    """Nobody on this step can be asked now, so the next one was taken at once."""

    name: ClassVar[str] = "escalation.step_skipped"
    run_id: UUID
    step: int
    reason: str = ""
    why: Why | None = None


class EscalationRepeated(Event, frozen=True, kw_only=True):
    """The last step went by and nobody took it, and the policy started again; `has_reached`: a message got through.

    `has_asked`: the run has paged somebody so far. A last resort has not while its people are asked by others.
    """

    name: ClassVar[str] = "escalation.repeated"
    run_id: UUID
    round: int
    has_reached: bool = True
    has_asked: bool = True


class EscalationExhausted(Event, frozen=True, kw_only=True):
    """Every step and repeat went by without an answer. Somebody has to look."""

    name: ClassVar[str] = "escalation.exhausted"
    is_key: ClassVar[bool] = True
    run_id: UUID
    reason: str = ""
    why: Why | None = None
    is_fallback: bool = False


class EscalationUnreached(Event, frozen=True, kw_only=True):
    """No message of the run has reached anybody so far, or it has nobody to send one to. It goes on until one does."""

    name: ClassVar[str] = "escalation.unreached"
    is_key: ClassVar[bool] = True
    run_id: UUID
    reason: str = ""
    why: Why | None = None
    is_fallback: bool = False


class EscalationEnded(Event, frozen=True, kw_only=True):
    """The run stopped because it was answered or is no longer needed."""

    name: ClassVar[str] = "escalation.ended"
    run_id: UUID
    reason: str = ""
    why: Why | None = None


class PageStarted(Event, frozen=True, kw_only=True):
    """One person is being asked, on the channels named; without an answer within `wait_minutes` the run goes on.

    `policy_name`, `is_direct` and `is_fallback` say why it is them.
    """

    name: ClassVar[str] = "page.started"
    run_id: UUID
    page_id: UUID
    user_id: UUID
    user_name: str
    step: int
    round: int
    reason: str = ""
    channels: list[str]
    wait_minutes: int | None
    policy_name: str = ""
    is_direct: bool = False
    is_fallback: bool = False


class PageUnreachable(Event, frozen=True, kw_only=True):
    """A person could not be reached: no contact method, or every delivery was given up."""

    name: ClassVar[str] = "page.unreachable"
    page_id: UUID
    user_id: UUID
    user_name: str
    reason: str = ""
    why: Why | None = None


class PageAcknowledged(Event, frozen=True, kw_only=True):
    """The person answered the page."""

    name: ClassVar[str] = "page.acknowledged"
    page_id: UUID
    user_id: UUID
    user_name: str
    channel: str = ""


class PageDeclined(Event, frozen=True, kw_only=True):
    """The person cannot take it; the run goes on at once when nobody else is being asked."""

    name: ClassVar[str] = "page.declined"
    page_id: UUID
    user_id: UUID
    user_name: str


class PageEscalated(Event, frozen=True, kw_only=True):
    """No answer in time, or somebody asked for the next step; the page passed on. `asked` when the actor asked."""

    name: ClassVar[str] = "page.escalated"
    run_id: UUID
    step: int
    reason: str = ""
    why: Why | None = None
    asked: bool = False


class PageSent(Event, frozen=True, kw_only=True):
    """The provider took the message."""

    name: ClassVar[str] = "page.sent"
    delivery_id: UUID
    page_id: UUID | None
    user_name: str
    channel: str
    detail: str
    attempt: int
    possible_duplicate: bool = False


class PageDelivered(Event, frozen=True, kw_only=True):
    """The far end confirmed that the message arrived."""

    name: ClassVar[str] = "page.delivered"
    delivery_id: UUID
    page_id: UUID | None
    user_name: str
    channel: str
    detail: str
    attempt: int
    possible_duplicate: bool = False


class PageAttemptFailed(Event, frozen=True, kw_only=True):
    """One attempt failed and another follows after `retry_after` seconds."""

    name: ClassVar[str] = "page.attempt_failed"
    delivery_id: UUID
    page_id: UUID | None
    user_name: str
    channel: str
    error: str
    attempt: int
    retry_after: int
    refused: bool = False


class PageFailed(Event, frozen=True, kw_only=True):
    """A message was given up; `error` says why."""

    name: ClassVar[str] = "page.failed"
    delivery_id: UUID
    page_id: UUID | None
    user_name: str
    channel: str
    error: str
    attempt: int


def _started(event: EscalationStarted, _: By) -> Line:
    detail = because(event)
    if event.is_fallback:
        asked = event.policy_name if event.is_direct else f"“{event.policy_name}”"
        if not event.reason:
            detail = sentences(detail, "The fallback of the organisation is asked.")
        return Line("bell-ring", f"The last resort was asked: {asked}", "red", "page", detail)
    text = (
        f"{event.policy_name} was asked directly" if event.is_direct else f"“{event.policy_name}” began to page people"
    )
    return Line("bell-ring", text, "amber", "page", detail)


def _skipped(event: EscalationStepSkipped, _: By) -> Line:
    text = f"Step {event.step} was skipped because nobody on it can be asked now"
    return Line("triangle-alert", text, "orange", "page", because(event))


def _repeated(event: EscalationRepeated, _: By) -> Line:
    before = "Nobody took it" if event.has_reached else "No message reached anybody"
    if not event.has_asked:
        before = "Nobody could be asked by it"
    return Line("repeat", f"{before}; the escalation started again (repeat {event.round})", "orange", "page")


def _exhausted(event: EscalationExhausted, _: By) -> Line:
    text = "The escalation ended without an answer; somebody has to look"
    if event.is_fallback:
        text = "The last resort did not answer; somebody has to look"
    return Line("triangle-alert", text, "red", "page", because(event))


def _unreached(event: EscalationUnreached, _: By) -> Line:
    if isinstance(event.why, AllAskedAlready):
        text = "There is nobody else to ask yet; the escalation looks again until there is"
    elif event.is_fallback:
        text = "No message has reached the last resort yet; it is asked until one does"
    else:
        text = "No message has reached anybody yet; the escalation goes on until one does"
    return Line("triangle-alert", text, "red", "page", because(event))


def _ended(event: EscalationEnded, _: By) -> Line:
    return Line("bell-off", "The escalation ended", "slate", "page", because(event))


def _passed_on(event: PageEscalated, by: By) -> Line:
    if event.asked:
        detail = f"The escalation went on from step {event.step}."
        return Line("arrow-up-from-line", f"{by.name} asked for the next step", "orange", "page", detail)
    text = f"The escalation went on from step {event.step}"
    return Line("arrow-up-from-line", text, "orange", "page", because(event))


def _paged(event: PageStarted, _: By) -> Line:
    # What comes then is told when it comes: by then there may be another step, or somebody else to ask.
    then = f"The step waits {event.wait_minutes} min for an answer."
    if event.is_direct:
        then = f"Without an answer within {event.wait_minutes} min nobody else is paged."
    text = f"{event.user_name} was paged{by_channels(event.channels)}"
    # What was written before the event had these facts has the reason alone.
    known = event.policy_name or event.is_direct
    why = said(_why_them(event)) if known else event.reason
    return Line("bell-ring", text, "amber", "page", sentences(why, then if event.wait_minutes else ""))


def _why_them(event: PageStarted) -> Why:
    direct, fallback = event.is_direct, event.is_fallback
    return paged_by(event.policy_name, step=event.step, round=event.round, direct=direct, fallback=fallback)


def _unreachable(event: PageUnreachable, _: By) -> Line:
    detail = because(event)
    return Line("phone-off", f"{event.user_name} could not be reached", "red", "page", detail)


def _acknowledged(event: PageAcknowledged, _: By) -> Line:
    by_channel = by_channels([event.channel] if event.channel else [])
    return acknowledged(event.user_name, f"the page{by_channel}", "page")


def _declined(event: PageDeclined, _: By) -> Line:
    return Line("phone-off", f"{event.user_name} declined the page", "orange", "page")


def _sent(event: PageSent, _: By) -> Line:
    text = f"{channel(event.channel)} to {event.user_name} was sent"
    return Line("send", text, "slate", "page", _delivery(event))


def _delivered(event: PageDelivered, _: By) -> Line:
    text = f"{channel(event.channel)} to {event.user_name} arrived"
    return Line("check", text, "slate", "page", _delivery(event))


def _delivery(event: PageSent | PageDelivered) -> str:
    tries = f"Attempt {event.attempt}." if event.attempt > 1 else ""
    twice = "It may have arrived twice." if event.possible_duplicate else ""
    return sentences(event.detail, tries, twice)


def _attempt_failed(event: PageAttemptFailed, _: By) -> Line:
    text = f"{channel(event.channel)} to {event.user_name} failed and will be tried again"
    detail = sentences(event.error, f"Attempt {event.attempt}; the next one follows in {event.retry_after} s.")
    return Line("triangle-alert", text, "orange", "page", detail)


def _failed(event: PageFailed, _: By) -> Line:
    if not event.attempt:
        text = f"{channel(event.channel)} to {event.user_name} was not sent"
        return Line("circle-x", text, "red", "page", event.error)
    times = "attempt" if event.attempt == 1 else "attempts"
    text = f"{channel(event.channel)} to {event.user_name} was given up after {event.attempt} {times}"
    return Line("circle-x", text, "red", "page", event.error)


WORDS: Words = {
    EscalationStarted: _started,
    EscalationStepSkipped: _skipped,
    EscalationRepeated: _repeated,
    EscalationExhausted: _exhausted,
    EscalationUnreached: _unreached,
    EscalationEnded: _ended,
    PageStarted: _paged,
    PageUnreachable: _unreachable,
    PageAcknowledged: _acknowledged,
    PageDeclined: _declined,
    PageEscalated: _passed_on,
    PageSent: _sent,
    PageDelivered: _delivered,
    PageAttemptFailed: _attempt_failed,
    PageFailed: _failed,
}
REASONS: Reasons = {PageStarted: lambda event: said_to_them(_why_them(event))}
