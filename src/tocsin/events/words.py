"""How an event reads, for the timeline of an incident and for the panel that explains an alert. Pure; no database.

Texts are plain: whoever shows them escapes them. What a comment says is not in the log: whoever shows one puts its
present text in the place of `detail`, which is Markdown then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Literal

import msgspec

from tocsin.events import alerts, configuration, incidents, oncall, vocabulary
from tocsin.events.base import ActorRef, Change, Event
from tocsin.events.vocabulary import Tone
from tocsin.kit.text import clean, spoken, truncate

Kind = Literal["comment", "change", "page", "system"]
# A source may send a title of a thousand characters; a line of a timeline names it.
_TITLE = 200
# The hues of the design; red and green only where something went wrong or well.


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a timeline: a Lucide icon, a sentence with the names in it, a hue, and what stands below it."""

    icon: str
    text: str
    tone: Tone
    kind: Kind
    detail: str = ""


def _classes(base: type[Event]) -> Iterable[type[Event]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _classes(kind)


# The modules are imported above for this: a class that nobody imported would not be found.
_MODULES = (alerts, configuration, incidents, oncall)
CLASSES: Mapping[str, type[Event]] = {
    kind.name: kind for kind in _classes(Event) if kind.__module__ in {module.__name__ for module in _MODULES}
}
COMMENTS: tuple[str, ...] = (incidents.CommentAdded.name,)
ALL_BUT_COMMENTS: tuple[str, ...] = tuple(sorted(set(CLASSES) - set(COMMENTS)))


def describe(name: str, actor_name: str, data: Mapping[str, Any], zone: tzinfo = UTC) -> Line:
    """Say what happened in one line.

    `data` is what the log keeps of the event; times in it are told in this zone. An event that this version does not
    know, or that was written by one with other fields, still gets a line: its name, spelled out.
    """
    kind = CLASSES.get(name)
    if kind is None:
        return _unknown(name, actor_name)
    try:
        event = msgspec.convert({**data, "actor": ActorRef(kind="", name=actor_name)}, type=kind, strict=False)
    except msgspec.ValidationError:
        return _unknown(name, actor_name)
    event = _in_zone(event, zone)
    for words in (_alert, _escalation, _page, _delivery, _incident, _ending, _people, _configuration):
        if line := words(event, actor_name):
            return replace(line, text=clean(line.text))
    return _unknown(name, actor_name)


_TIMES = frozenset({"started_at"})


def _in_zone(event: Event, zone: tzinfo) -> Event:
    """Write out the times that the log keeps as they are exchanged."""
    match event:
        case alerts.AlertResolved() if event.over_at:
            return msgspec.structs.replace(event, reason=f"{event.reason} at {_time(event.over_at, zone)}")
        case incidents.IncidentUpdated():
            told = [
                Change(each.field, _time(each.old, zone), _time(each.new, zone)) if each.field in _TIMES else each
                for each in event.changes
            ]
            return msgspec.structs.replace(event, changes=told)
        case _:
            return event


def _time(kept: str | None, zone: tzinfo) -> str | None:
    """Write `21 Nov 2026, 14:32 CET`, with the seconds when there are any; what is no time stays as it is."""
    try:
        local = datetime.fromisoformat(kept or "").astimezone(zone)
    except ValueError:
        return kept
    seconds = f":{local:%S}" if local.second else ""
    return f"{local.day} {local:%b %Y, %H:%M}{seconds} {local:%Z}"


def _unknown(name: str, actor_name: str) -> Line:
    spelled = name.replace(".", " ").replace("_", " ").strip() or "something happened"
    return Line("circle-dot", f"{actor_name}: {spelled}" if actor_name else spelled.capitalize(), "slate", "system")


def _alert(event: Event, who: str) -> Line | None:
    match event:
        case alerts.AlertTriggered():
            native = f" (“{event.native_severity}” at the source)" if event.native_severity else ""
            detail = f"{vocabulary.severity(event.severity)}{native}, {event.urgency} urgency"
            return Line(
                "bell", f"{event.source_name} triggered “{truncate(event.title, _TITLE)}”", "red", "system", detail
            )
        case alerts.AlertUpdated():
            return Line("pencil", f"{who} changed {_fields(event.changes)}", "slate", "system", _changes(event.changes))
        case alerts.AlertRouted(policy_name=""):
            text = f"Nobody was paged because the route “{event.route_name}” only records alerts"
            return Line("route", text, "slate", "system", _why_this_route(event))
        case alerts.AlertRouted(alert_status="triggered"):
            text = f"The route “{event.route_name}” pages {event.policy_name}"
            return Line("route", text, "slate", "system", _why_this_route(event))
        case alerts.AlertRouted():
            text = f"The route “{event.route_name}” would have paged {event.policy_name}"
            detail = _sentences(_why_this_route(event), too_late(event.alert_status))
            return Line("route", text, "slate", "system", detail)
        case alerts.AlertHeld():
            over_for, hold_down = timedelta(seconds=event.over_for), timedelta(minutes=event.hold_down_minutes)
            last = vocabulary.called_alert(event.last_number)
            detail = (
                f"{last} had been over for {spoken(over_for)}, and the source holds back what comes again within "
                f"{spoken(hold_down)}. If it is still open then, it is routed and pages."
            )
            return Line("bell-off", "Held back, as it came again so soon", "slate", "system", detail)
        case alerts.AlertNotRouted():
            return Line("triangle-alert", "Nobody was paged", "red", "system", event.reason)
        case alerts.AlertAcknowledged():
            return Line("check", f"{who} acknowledged the alert", "green", "change", event.reason)
        case alerts.AlertUnacknowledged():
            return Line("rotate-ccw", f"{who} gave the alert back", "amber", "change", event.reason)
        case alerts.AlertReminded():
            return Line("clock", f"{event.user_name} was reminded of the alert", "amber", "page", event.reason)
        case alerts.AlertResolved():
            return Line("circle-check", f"{who} resolved the alert", "green", "change", event.reason)
        case _:
            return None


def _why_this_route(event: alerts.AlertRouted) -> str:
    """Say it behind the name of the route, and what else there is to know in the text of the line."""
    match event.match:
        case "first":
            said = "It is the first route that matched."
        case "catch_all":
            said = "No other route matched."
        case _:
            return event.reason
    return _sentences(said, passed_over(event.passed_over))


def passed_over(routes: Sequence[str]) -> str:
    """Name the routes that nothing can match."""
    if not routes:
        return ""
    return f"Passed over because their condition is broken: {', '.join(f'“{name}”' for name in routes)}."


def too_late(alert_status: str) -> str:
    """Say why a route with a policy pages nobody for an alert that is not triggered any more."""
    return f"Nobody was paged, because the alert was {alert_status} before."


def _escalation(event: Event, who: str) -> Line | None:
    match event:
        case oncall.EscalationStarted(is_fallback=True):
            asked = event.policy_name if event.is_direct else f"“{event.policy_name}”"
            text = f"The last resort was asked: {asked}"
            return Line("bell-ring", text, "red", "page", event.reason)
        case oncall.EscalationStarted():
            asked = event.policy_name
            text = f"{asked} was asked directly" if event.is_direct else f"“{asked}” began to page people"
            return Line("bell-ring", text, "amber", "page", event.reason)
        case oncall.EscalationStepSkipped():
            text = f"Step {event.step} was skipped because nobody on it can be asked now"
            return Line("triangle-alert", text, "orange", "page", event.reason)
        case oncall.EscalationRepeated():
            why = "Nobody took it" if event.has_reached else "No message reached anybody"
            text = f"{why}; the escalation started again (repeat {event.round})"
            return Line("repeat", text, "orange", "page")
        case oncall.EscalationExhausted():
            text = "The escalation ended without an answer; somebody has to look"
            if event.is_fallback:
                text = "The last resort did not answer; somebody has to look"
            return Line("triangle-alert", text, "red", "page", event.reason)
        case oncall.EscalationUnreached():
            text = "No message has reached anybody yet; the escalation goes on until one does"
            if event.is_fallback:
                text = "No message has reached the last resort yet; it is asked until one does"
            return Line("triangle-alert", text, "red", "page", event.reason)
        case oncall.EscalationEnded():
            return Line("bell-off", "The escalation ended", "slate", "page", event.reason)
        case oncall.PageEscalated(asked=True):
            text = f"{who} asked for the next step"
            detail = f"The escalation went on from step {event.step}."
            return Line("arrow-up-from-line", text, "orange", "page", detail)
        case oncall.PageEscalated():
            text = f"The escalation went on from step {event.step}"
            return Line("arrow-up-from-line", text, "orange", "page", event.reason)
        case _:
            return None


def _page(event: Event, who: str) -> Line | None:
    match event:
        case oncall.PageStarted():
            goes_on = "nobody else is paged" if event.is_direct else "it goes on"
            then = f"Without an answer within {event.wait_minutes} min {goes_on}." if event.wait_minutes else ""
            text = f"{event.user_name} was paged{_by(event.channels)}"
            return Line("bell-ring", text, "amber", "page", _sentences(_why_them(event), then))
        case oncall.PageUnreachable():
            return Line("phone-off", f"{event.user_name} could not be reached", "red", "page", event.reason)
        case oncall.PageAcknowledged():
            channel = _by([event.channel] if event.channel else [])
            return Line("check", f"{event.user_name} acknowledged the page{channel}", "green", "page")
        case oncall.PageDeclined():
            return Line("phone-off", f"{event.user_name} declined the page", "orange", "page")
        case _:
            return None


def why_them(policy_name: str, *, step: int, round: int, direct: bool, fallback: bool = False) -> str:
    """Say why somebody was paged, to everybody but them."""
    by_policy = f"tep {step} of {policy_name}{f', repeat {round}' if round else ''}"
    if fallback:
        return "Asked as the last resort" if direct else f"Asked as the last resort, s{by_policy}"
    return "Paged directly" if direct else f"S{by_policy}"


def _why_them(event: oncall.PageStarted) -> str:
    # What was written before the event had these facts has the reason alone.
    if not event.policy_name and not event.is_direct:
        return event.reason
    return why_them(
        event.policy_name, step=event.step, round=event.round, direct=event.is_direct, fallback=event.is_fallback
    )


def _delivery(event: Event, who: str) -> Line | None:
    match event:
        case oncall.PageSent():
            text = f"{_channel(event.channel)} to {event.user_name} was sent"
            return Line("send", text, "slate", "page", _delivery_detail(event))
        case oncall.PageDelivered():
            text = f"{_channel(event.channel)} to {event.user_name} arrived"
            return Line("check", text, "slate", "page", _delivery_detail(event))
        case oncall.PageAttemptFailed():
            text = f"{_channel(event.channel)} to {event.user_name} failed and will be tried again"
            detail = _sentences(event.error, f"Attempt {event.attempt}; the next one follows in {event.retry_after} s.")
            return Line("triangle-alert", text, "orange", "page", detail)
        case oncall.PageFailed():
            if not event.attempt:
                text = f"{_channel(event.channel)} to {event.user_name} was not sent"
                return Line("circle-x", text, "red", "page", event.error)
            times = "attempt" if event.attempt == 1 else "attempts"
            text = f"{_channel(event.channel)} to {event.user_name} was given up after {event.attempt} {times}"
            return Line("circle-x", text, "red", "page", event.error)
        case _:
            return None


def failed_often(data: Mapping[str, Any], *, times: int, within: str) -> Line:
    """Say in one line that so many attempts of one message failed; `data` is of the last `page.attempt_failed`."""
    text = f"{_channel(str(data.get('channel', '')))} to {data.get('user_name', '')} failed {times} times"
    return Line("triangle-alert", text, "orange", "page", f"Within {within}. Last: {data.get('error', '')}")


def _incident(event: Event, who: str) -> Line | None:
    match event:
        case incidents.IncidentDeclared():
            origin = f"from the alert “{event.from_alert}”" if event.from_alert else ""
            text = f"{who} declared {event.reference} as {vocabulary.severity(event.severity)}"
            return Line("siren", text, "red", "change", origin)
        case incidents.IncidentUpdated():
            return Line("pencil", f"{who} changed {_fields(event.changes)}", "slate", "change", _changes(event.changes))
        case incidents.IncidentSeverityChanged():
            direction = "raised" if event.new < event.old else "lowered"
            icon, tone = ("arrow-up", "red") if event.new < event.old else ("arrow-down", "slate")
            old, new = vocabulary.severity(event.old), vocabulary.severity(event.new)
            text = f"{who} {direction} the severity from {old} to {new}"
            return Line(icon, text, tone, "change")
        case incidents.IncidentStatusChanged():
            text = f"{who} changed the status from {event.old} to {event.new}"
            return Line("circle-dot", text, vocabulary.status(event.new).tone, "change")
        case incidents.IncidentAcknowledged() if event.user_name not in ("", who):
            detail = f"{event.user_name} has acknowledged the alert that {who} brought in."
            return Line("check", f"The incident is in {_whose(event.user_name)} hands", "green", "change", detail)
        case incidents.IncidentAcknowledged():
            return Line("check", f"{who} acknowledged the incident", "green", "change")
        case incidents.CommentAdded():
            return Line("message-square", f"{who} wrote", "slate", "comment")
        case incidents.CommentEdited():
            return Line("pencil", f"{who} edited a comment", "slate", "change")
        case incidents.CommentErased():
            whose = "a comment of their own" if event.author_name == who else f"a comment by {event.author_name}"
            return Line("trash-2", f"{who} erased {whose}", "slate", "change")
        case incidents.AlertLinked():
            return Line("link", f"{who} linked the alert “{truncate(event.alert_title, _TITLE)}”", "slate", "change")
        case incidents.AlertUnlinked():
            return Line(
                "unlink", f"{who} unlinked the alert “{truncate(event.alert_title, _TITLE)}”", "slate", "change"
            )
        case _:
            return None


def _ending(event: Event, who: str) -> Line | None:
    match event:
        case incidents.IncidentResolved():
            with_it = {0: "", 1: " and one alert with it"}.get(
                event.alerts_resolved, f" and {event.alerts_resolved} alerts with it"
            )
            text = f"{who} resolved the incident{with_it}"
            if not event.was_acknowledged:
                text += "; nobody had acknowledged it before"
            return Line("circle-check", text, "green", "change", event.note)
        case incidents.IncidentClosed():
            return Line("lock", f"{who} closed the incident", "slate", "change")
        case incidents.IncidentCancelled(reason="false_alarm"):
            return Line("x", f"{who} cancelled the incident: a false alarm", "slate", "change", event.note)
        case incidents.IncidentCancelled(reason="duplicate"):
            text = f"{who} cancelled the incident: a duplicate of {event.duplicate_of or 'another one'}"
            return Line("git-merge", text, "slate", "change", event.note)
        case incidents.IncidentCancelled():
            return Line("x", f"{who} cancelled the incident", "slate", "change", event.note)
        case incidents.IncidentDuplicated(again=True):
            text = f"{who} reopened {event.reference or 'another incident'}, which is no duplicate of this one"
            return Line("rotate-ccw", text, "slate", "change", event.title)
        case incidents.IncidentDuplicated():
            text = f"{who} cancelled {event.reference or 'another incident'} as a duplicate of this one"
            return Line("git-merge", text, "slate", "change", event.title)
        case incidents.IncidentReopened():
            before = f"It was {event.old}." if not event.resolution_note else f"It was {event.old}:"
            text = f"{who} reopened the incident: {event.reason}"
            return Line("rotate-ccw", text, "orange", "change", _sentences(before, event.resolution_note))
        case _:
            return None


def _people(event: Event, who: str) -> Line | None:
    match event:
        case incidents.RoleChanged() if event.reason:
            now = f"{event.new} is {event.role} now" if event.new else f"Nobody is {event.role} now"
            tone: Tone = "violet" if event.new else "orange"
            return Line("user-check" if event.new else "user-x", now, tone, "change", event.reason)
        case incidents.RoleChanged(new=None):
            text = f"{event.old or 'Nobody'} is no longer {event.role}" + (f", by {who}" if who != event.old else "")
            return Line("user-x", text, "slate", "change")
        case incidents.RoleChanged():
            took = (
                f"{who} took the role of {event.role}" if event.new == who else f"{who} made {event.new} {event.role}"
            )
            return Line("user-check", took, "violet", "change", f"before: {event.old}" if event.old else "")
        case incidents.ResponderPaged():
            return Line("bell-plus", f"{who} paged {event.target}", "amber", "page", event.message)
        case incidents.ResponderJoined():
            return Line("user-round-plus", f"{event.user_name} joined", "teal", "change", _how_joined(event, who))
        case incidents.ResponderDeclined():
            return Line("user-x", f"{event.user_name} cannot help with this", "orange", "change")
        case incidents.ResponderLeft():
            return Line("log-out", f"{event.user_name} left", "slate", "change", event.reason)
        case _:
            return None


def _how_joined(event: incidents.ResponderJoined, who: str) -> str:
    if event.user_name != who and event.source == "self":
        return f"brought in by {who}"
    return _JOINED.get(event.source, "")


def _whose(name: str) -> str:
    return f"{name}’" if name.endswith("s") else f"{name}’s"


def _configuration(event: Event, who: str) -> Line | None:
    match event:
        case configuration.ConfigurationCreated(kind="sign_in_link"):
            return Line("key-round", f"{who} made a sign-in link for {event.title}", "slate", "system")
        case configuration.ConfigurationCreated(kind="acknowledge_key"):
            return Line("key-round", f"{who} made a new key for acknowledge links", "slate", "system")
        case configuration.ConfigurationCreated():
            return Line("plus", f"{who} added the {_plain(event.kind)} “{event.title}”", "slate", "system")
        case configuration.ConfigurationChanged():
            text = f"{who} changed {_fields(event.changes)} of the {_plain(event.kind)} “{event.title}”"
            return Line("pencil", text, "slate", "system", _changes(event.changes))
        case configuration.ConfigurationDeleted():
            return Line("trash-2", f"{who} deleted the {_plain(event.kind)} “{event.title}”", "slate", "system")
        case configuration.UserDeactivated():
            return Line("user-x", f"{who} switched off the account of {event.user_name}", "orange", "system")
        case configuration.UserLostRights():
            return Line("user-x", f"{event.user_name} may act on fewer incidents than before", "orange", "system")
        case configuration.ContactMethodRecovered():
            return Line(
                "check", f"The contact method “{event.title}” of {event.user_name} works again", "green", "system"
            )
        case configuration.SignedIn():
            return Line("log-in", f"{who} signed in", "slate", "system", f"with a {_plain(event.how)}, from {event.ip}")
        case configuration.SignInFailed():
            return Line("lock", f"A sign-in from {event.ip} was refused", "amber", "system")
        case configuration.SessionRevoked():
            return Line("log-out", f"{who} ended a session", "slate", "system")
        case _:
            return None


_JOINED: Mapping[str, str] = {
    "paged": "after a page",
    "linked_alert": "after a page for a linked alert",
    "role": "through a role",
}
_CHANNELS: Mapping[str, str] = {"email": "e-mail", "sms": "SMS", "voice": "phone", "webhook": "webhook"}


def _plain(word: str) -> str:
    return word.replace("_", " ")


def _channel(kind: str) -> str:
    """Name a channel at the beginning of a sentence."""
    if kind == "console":
        return "The page on the console"
    word = _CHANNELS.get(kind, _plain(kind)) or "message"
    return f"The {word}" if word == "message" else word[0].upper() + word[1:]


def _by(channels: Iterable[str]) -> str:
    words = [_CHANNELS.get(kind, _plain(kind)) for kind in dict.fromkeys(channels)]
    return f" by {_listed(words)}" if words else ""


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _fields(changes: list[Change]) -> str:
    names = [f"the {_FIELDS.get(change.field) or _plain(change.field)}" for change in changes]
    return _listed(names) if names else "nothing"


_FIELDS: Mapping[str, str] = {
    "started_at": "start",
    "native_severity": "source’s word for it",
    "resolution_note": "resolution note",
    "is_private": "privacy",
}


def _changes(changes: list[Change]) -> str:
    return "\n".join(f"{_FIELDS.get(c.field) or _plain(c.field)}: {_value(c.old)} → {_value(c.new)}" for c in changes)


def _value(value: str | None) -> str:
    return "none" if value is None else value or "empty"


def _delivery_detail(event: oncall.PageSent | oncall.PageDelivered) -> str:
    tries = f"Attempt {event.attempt}." if event.attempt > 1 else ""
    twice = "It may have arrived twice." if event.possible_duplicate else ""
    return _sentences(event.detail, tries, twice)


def _sentences(*parts: str) -> str:
    """Put parts that may be empty one after the other, with a full stop between them."""
    told = [part for part in parts if part]
    ended = [part if part.endswith((".", ":", "?", "!")) else f"{part}." for part in told[:-1]]
    return " ".join([*ended, *told[-1:]])
