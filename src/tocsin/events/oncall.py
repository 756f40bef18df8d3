"""What can happen to an escalation and to a page."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from tocsin.events.base import Event


class EscalationStarted(Event, frozen=True, kw_only=True):
    """An escalation run began for an alert or an incident; `is_fallback`: it asks the organisation's last resort.

    `is_direct`: it asks one person, whose name stands in `policy_name`.
    """

    name: ClassVar[str] = "escalation.started"
    run_id: UUID
    policy_name: str
    reason: str
    is_fallback: bool = False
    is_direct: bool = False


class EscalationStepSkipped(Event, frozen=True, kw_only=True):
    """Nobody on this step can be asked now, so the next one was taken at once; `reason` says why."""

    name: ClassVar[str] = "escalation.step_skipped"
    run_id: UUID
    step: int
    reason: str


class EscalationRepeated(Event, frozen=True, kw_only=True):
    """The last step went by and nobody took it, and the policy started again; `has_reached`: a message got through."""

    name: ClassVar[str] = "escalation.repeated"
    run_id: UUID
    round: int
    has_reached: bool = True


class EscalationExhausted(Event, frozen=True, kw_only=True):
    """Every step and repeat went by without an answer. Somebody has to look."""

    name: ClassVar[str] = "escalation.exhausted"
    run_id: UUID
    reason: str
    is_fallback: bool = False


class EscalationUnreached(Event, frozen=True, kw_only=True):
    """No message of the run has reached anybody so far. It does not end: it goes on until one does."""

    name: ClassVar[str] = "escalation.unreached"
    run_id: UUID
    reason: str
    is_fallback: bool = False


class EscalationEnded(Event, frozen=True, kw_only=True):
    """The run stopped because it was answered or is no longer needed."""

    name: ClassVar[str] = "escalation.ended"
    run_id: UUID
    reason: str


class PageStarted(Event, frozen=True, kw_only=True):
    """One person is being asked, on the channels named; without an answer within `wait_minutes` the run goes on.

    `reason` is written to that person; `policy_name`, `is_direct` and `is_fallback` are what the record
    says it with.
    """

    name: ClassVar[str] = "page.started"
    run_id: UUID
    page_id: UUID
    user_id: UUID
    user_name: str
    step: int
    round: int
    reason: str
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
    reason: str


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
    reason: str
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
