"""What “Explain” says first: in one or two sentences, who was paged and what came of it, or why nobody was. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from tocsin.events import words
from tocsin.events.log import LoggedEvent
from tocsin.kit.text import spoken


def summary(events: Sequence[LoggedEvent]) -> str:
    """Tell it of the events of one alert. What was before it was given back stays, but no longer answers it."""
    again = [place for place, event in enumerate(events) if event.name == "alert.unacknowledged"]
    if not again:
        return _summary(events)
    since = _summary(events[again[-1] + 1 :], again=True)
    return f"{_before(events[: again[-1] + 1], len(again))} {since}"


def _before(events: Sequence[LoggedEvent], times: int) -> str:
    """Say what was before somebody gave the alert back the last time."""
    back = f"{events[-1].actor_name} gave the alert back"
    if times == 1:
        paged = [event for event in events if event.name == "page.started"]
        if paged or _first(events, "alert.acknowledged") is None:
            return f"{_summary(events[:-1])} {back}."
        return f"{_named(events, 'alert.acknowledged')} acknowledged the alert before anybody was paged. {back}."
    paged = _paged(events)
    told = f"{_names_of(paged)} paged, and the" if paged else "The"
    return f"{told} alert was given back {times} times, the last time by {events[-1].actor_name}."


def _named(events: Sequence[LoggedEvent], name: str) -> str:
    found = _last(events, name)
    return found.actor_name if found is not None else "Somebody"


def _summary(events: Sequence[LoggedEvent], *, again: bool = False) -> str:
    paged = _paged(events)
    if not paged:
        return _why_nobody(events, again=again)
    if _first(events, "page.acknowledged", "alert.acknowledged", "alert.resolved") is not None:
        return f"{_who_was_paged(events, paged)}{_outcome(events, paged)}"
    # Until somebody answers, those whose turn it was are told apart from the last resort, which is asked beside them.
    usual = _without_last_resort(events)
    first = [event for event in paged if event in usual]
    told = f"{_who_was_paged(usual, first)}{_outcome(usual, first)}" if first else _why_nobody(usual, again=again)
    return f"{told}{_last_resort(events)}"


def _paged(events: Sequence[LoggedEvent]) -> list[LoggedEvent]:
    reminders = {event.at for event in events if event.name == "alert.reminded"}
    return [event for event in events if event.name == "page.started" and event.at not in reminders]


def _who_was_paged(events: Sequence[LoggedEvent], paged: Sequence[LoggedEvent]) -> str:
    """Name those who were paged, and apart from them those whose messages fail and those who cannot be reached."""
    unreached, tried = _without_a_message(events, "page.unreachable"), _without_a_message(events, "page.attempt_failed")
    asked = [event for event in paged if _user(event) not in unreached]
    # Where the messages to all of them fail, the outcome says so.
    got_it = [event for event in asked if _user(event) not in tried] or asked
    failing = [name for name in _users(asked) if name not in _users(got_it)]
    missed = [name for name in _users(paged) if name in unreached]
    told = [f"{_names_of(got_it)} paged"] if got_it else []
    told += [f"no message has reached {_listed(failing)}"] if failing else []
    told += [f"{_listed(missed)} could not be reached"] if missed else []
    return ", ".join(told)


def _without_a_message(events: Iterable[LoggedEvent], sign: str) -> set[str]:
    """Return those of whose last page there is this sign of failure, and whom no page before it reached either."""
    missed: set[str] = set()
    reached: set[str] = set()
    for event in events:
        if event.name == "page.started":
            missed.discard(_user(event))
        elif event.name == sign:
            missed.add(_user(event))
        elif event.name in _REACHED:
            reached.add(_user(event))
    return missed - reached


_REACHED = frozenset({"page.sent", "page.delivered", "page.acknowledged", "page.declined"})


def _user(event: LoggedEvent) -> str:
    return str(event.data.get("user_name", ""))


def _users(events: Iterable[LoggedEvent]) -> list[str]:
    return list(dict.fromkeys(_user(event) for event in events))


def _names_of(paged: Sequence[LoggedEvent]) -> str:
    names = _users(paged)
    return f"{_listed(names)} {'was' if len(names) == 1 else 'were'}"


def _last_resort(events: Sequence[LoggedEvent]) -> str:
    """Say who was asked because nobody else answered or could be reached, and that they did not answer either."""
    asked = [event for event in events if event.name == "page.started" and event.data.get("is_fallback")]
    if not asked:
        return ""
    run = asked[-1].data.get("run_id")
    is_over = any(event.name == "escalation.exhausted" and event.data.get("run_id") == run for event in events)
    return f" {_names_of(asked)} asked as the last resort{', and did not answer either' if is_over else ''}."


def _without_last_resort(events: Sequence[LoggedEvent]) -> list[LoggedEvent]:
    asked = [event.data for event in events if event.data.get("is_fallback")]
    runs, pages = ({data[key] for data in asked if data.get(key)} for key in ("run_id", "page_id"))
    return [e for e in events if e.data.get("run_id") not in runs and e.data.get("page_id") not in pages]


def _outcome(events: Sequence[LoggedEvent], paged: Sequence[LoggedEvent]) -> str:
    answered = _first(events, "page.acknowledged", "alert.acknowledged")
    resolved = _last(events, "alert.resolved")
    exhausted = _last(events, "escalation.exhausted")
    declined = _users(event for event in events if event.name == "page.declined")
    no, nobody = (f", {_listed(declined)} declined", "nobody else") if declined else ("", "nobody")
    if answered is not None:
        did = _answer(answered, paged[0].at)
        # Whoever alone was asked is not named twice.
        who = _user(answered) or answered.actor_name
        return f" and {did.removeprefix(who).strip()}" if not no and _users(paged) == [who] else f"{no}, and {did}"
    if resolved is not None:
        return f"{no}, and {nobody} had answered when {resolved.actor_name} resolved the alert."
    if exhausted is not None:
        return f"{no}, and {nobody} answered: {_clause(_why(exhausted))}"
    if _is_unreached(events):
        return "; no message has reached anybody yet, and the escalation goes on until one does."
    # Low urgency notifies once and waits for nothing.
    ends_here = ", and nobody else will be asked" if paged[-1].data.get("wait_minutes") is None else ""
    if no:
        return f"{no}, and {nobody} has answered yet{ends_here}."
    in_vain = set(_users(paged)) <= _without_a_message(events, "page.attempt_failed")
    return f"; {'no message has reached anybody' if in_vain else 'nobody has answered'} yet{ends_here}."


def _answer(answered: LoggedEvent, began: datetime) -> str:
    """Say who answered; a tool, or whatever else is no person, has only acknowledged the alert."""
    who = _user(answered) or answered.actor_name
    did = "answered" if answered.actor_kind == "user" or _user(answered) else "acknowledged the alert"
    return f"{who} {did} after {spoken(answered.at - began)}."


def _is_unreached(events: Sequence[LoggedEvent]) -> bool:
    last = _last(events, "escalation.unreached", "page.sent", "page.delivered")
    return last is not None and last.name == "escalation.unreached"


def _why_nobody(events: Sequence[LoggedEvent], *, again: bool = False) -> str:
    """Say why nobody was paged, or (`again`) nobody since the alert was given back."""
    not_routed = _last(events, "alert.not_routed")
    exhausted = _last(events, "escalation.exhausted")
    routed = _last(events, "alert.routed")
    unreached = _last(events, "escalation.unreached")
    nobody = "Nobody has been paged since then because" if again else "Nobody was paged because"
    if exhausted is not None:
        return f"{nobody} {_clause(_why(exhausted))}"
    if unreached is not None:
        why = _clause(_why(unreached))
        since = "since then" if again else "yet"
        return f"Nobody has been paged {since} because {why} The escalation looks again at its pace."
    if (held := _last(events, "alert.held")) is not None and (routed is None or not _would_page(routed)):
        return _held(held, _last(events, "alert.resolved", "alert.acknowledged"))
    if routed is not None and not routed.data.get("policy_name"):
        return f"{nobody} the route “{routed.data.get('route_name', '')}” only records alerts."
    if routed is not None:
        before = _last(events, "alert.resolved", "alert.acknowledged")
        done = f"{before.actor_name} had {before.name.partition('.')[2]} the alert before" if before else "it had ended"
        return f"{nobody} {done}."
    if not_routed is not None:
        return f"{nobody} {_clause(_why(not_routed))}"
    if (ended := _last(events, "alert.resolved", "alert.acknowledged")) is not None:
        return f"{nobody} {ended.actor_name} {ended.name.partition('.')[2]} the alert before it was routed."
    return f"{nobody} the alert has not been routed {'again ' if again else ''}yet."


def _why(event: LoggedEvent) -> str:
    return words.reason(event.name, event.data)


def _would_page(routed: LoggedEvent) -> bool:
    return str(routed.data.get("alert_status", "triggered")) == "triggered"


def _held(held: LoggedEvent, before: LoggedEvent | None) -> str:
    over_for, hold_down = int(held.data.get("over_for", 0)), int(held.data.get("hold_down_minutes", 0))
    came = f"it came again only {spoken(timedelta(seconds=over_for))} after its end"
    wait = f"its source holds such alerts back for {spoken(timedelta(minutes=hold_down))}"
    if before is None:
        return f"Nobody has been paged yet because {came}, and {wait}. It pages after that if it is still open."
    done = before.name.partition(".")[2]
    return f"Nobody was paged because {came}, {wait}, and {before.actor_name} {done} it before that was over."


def _first(events: Iterable[LoggedEvent], *names: str) -> LoggedEvent | None:
    return next((event for event in events if event.name in names), None)


def _last(events: Sequence[LoggedEvent], *names: str) -> LoggedEvent | None:
    return _first(reversed(events), *names)


def _clause(sentence: str) -> str:
    """Fit a sentence behind “because”: a first word of its own keeps its capital only when it is a name."""
    text = sentence.strip()
    if not text:
        return "no reason was recorded."
    head = text.partition(" ")[0]
    if head in _PLAIN_WORDS:
        text = text[0].lower() + text[1:]
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


_PLAIN_WORDS = frozenset({"All", "An", "Every", "Its", "It", "No", "Nobody", "The", "There", "This", "Step"})


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
