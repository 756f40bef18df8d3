"""PagerDuty's Events API v2, so that whatever can page PagerDuty can page Tocsin by a changed address.

https://developer.pagerduty.com/docs/events-api-v2/overview/

- `routing_key` (32 characters; the header `X-Routing-Key` serves too) names the source; `event_action` is
  trigger, acknowledge or resolve; `dedup_key` is needed for the last two and made up for a trigger without one.
  A key over 255 characters is replaced by its SHA-256, also in the answer, so either finds the alert again.
- Severity: critical is SEV1, error SEV2 (both urgent), warning SEV3 (not urgent), info SEV5 (recorded only).
  PagerDuty refuses any other word, and none. Senders do not repeat what was answered with 400, so that would lose a
  page for a typo or an empty template: such a word is read as `SEVERITIES` has it, else as SEV3 and urgent. For the
  same reason `event_action` may be in any case, `payload.source` may be missing (the `client` stands in), and the
  details stand in for a blank `payload.summary`.
- A trigger without a `dedup_key` gets one that equal events of the same minute share, so that an event which is sent
  twice, or by two of a pair, is one alert.
- On acknowledge and resolve a `payload` may be missing, null or complete; without one the title is empty.
- The sender's own time is `payload.timestamp`, where it has a zone.
- Labels: `source`, `component`, `group`, `class`, `client`, then the entries of `custom_details`.
- Answers: 202, 400, 413, 429 and 503 with the bodies that PagerDuty's clients know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import msgspec

from tocsin.alerts.sources.base import (
    MAX_LABELS,
    MAX_NATIVE_SEVERITY,
    Action,
    Link,
    Object,
    Parsed,
    Sample,
    SetUp,
    Signal,
    Urgency,
    as_key,
    as_list,
    as_object,
    as_text,
    as_time,
    decode,
    fit_labels,
    fit_links,
    fit_title,
    hash_of,
    is_clean,
    link,
    present,
    severity_note,
    severity_of,
)
from tocsin.kit.clock import utc_now
from tocsin.kit.errors import FieldError, Invalid, Problem, TooLarge, TooMany, Unavailable, Unreadable, WrongType
from tocsin.kit.record import JsonObject
from tocsin.kit.text import finite, storable, truncate

ROUTING_KEY_LENGTH = 32

_WRONG_LENGTH = "Length of 'routing_key' is incorrect (should be 32 characters)"
_WRONG_ACTION = "event_action is invalid (must be one of: trigger acknowledge resolve)"
_NO_SEVERITY = "severity missing, taken as SEV3 and urgent"

# Finds the key in a body that is no JSON, so that it is kept with its source.
_KEY_IN_TEXT = re.compile(rb'"routing_key"\s*:\s*"\s*([^"\\\s]{1,100})\s*"')
_ACTIONS: Mapping[str, Action] = {str(action): action for action in Action}
_SEVERITIES: Mapping[str, tuple[int, Urgency, bool]] = {
    "critical": (1, "high", False),
    "error": (2, "high", False),
    "warning": (3, "low", False),
    "info": (5, "low", True),
}


class _Payload(msgspec.Struct, gc=False):
    summary: str | None = None
    source: str | None = None
    severity: str | None = None
    # A text by the specification; some send a number.
    timestamp: object = None
    component: str | None = None
    group: str | None = None
    class_: str | None = msgspec.field(default=None, name="class")
    # `object` keeps whatever it is: an object by the specification, a text from some senders.
    custom_details: object = None


class _Event(msgspec.Struct, gc=False):
    routing_key: str | None = None
    event_action: str | None = None
    dedup_key: str | None = None
    payload: _Payload | None = None
    client: str | None = None
    client_url: str | None = None
    links: list[dict[str, object]] | None = None
    images: list[dict[str, object]] | None = None


_DECODER = msgspec.json.Decoder(_Event, float_hook=finite)
_JSON = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class PagerDuty:
    """The adapter for `POST /v2/enqueue`. A body holds one event."""

    kind: str = "pagerduty"
    label: str = "PagerDuty Events API v2"

    def sample(self, problem: Sample) -> JsonObject:
        """Write a trigger event."""
        payload = {"summary": problem.title, "source": "tocsin", "severity": problem.severity}
        return {
            "routing_key": problem.token,
            "event_action": "trigger",
            "dedup_key": problem.key,
            "payload": payload,
        }

    def set_ups(self, address: str, token: str) -> tuple[SetUp, ...]:
        """Say what to write where a tool asks for PagerDuty's address and key."""
        receiver = f"""\
route:
  receiver: tocsin

receivers:
  - name: tocsin
    pagerduty_configs:
      - url: {address}
        routing_key: {token}
        severity: '{{{{ or .CommonLabels.severity "error" }}}}'
        send_resolved: true
"""
        event = (
            f'{{"routing_key": "{token}", "event_action": "trigger", "dedup_key": "disk-db1", '
            '"payload": {"summary": "Disk is full on db1", "source": "db1", "severity": "critical"}}'
        )
        return (
            SetUp(
                "Any tool that speaks PagerDuty",
                "Give it the address above as that of Events API v2, and this as its integration or routing key. "
                "Tools that do not let you change the address cannot be led here.",
                token,
                "Integration key",
            ),
            SetUp(
                "Alertmanager",
                "Write this into alertmanager.yml. Each group is one alert here, as Alertmanager does for PagerDuty; "
                "with a source of kind Prometheus Alertmanager each alert is one of its own.",
                receiver,
                "alertmanager.yml",
            ),
            SetUp(
                "Script",
                "Opens an alert; the same with “resolve” as its event_action ends it.",
                f"curl -sS -H 'Content-Type: application/json' -d '{event}' \\\n  '{address}'",
            ),
        )

    def parse(self, body: bytes, headers: Mapping[str, str]) -> Parsed:
        """Read one event; the caller finds the source by `Parsed.routing_key`."""
        clean = is_clean(body)
        errors: list[str] = []
        try:
            event = _DECODER.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            event = _read_patiently(body, errors)
        routing_key = present(event.routing_key, headers.get("x-routing-key")).strip()
        action = _check(event, routing_key, errors)
        if errors or action is None:
            raise Invalid.of(tuple(FieldError("#", error) for error in errors))
        notes: list[str] = []
        return Parsed((_signal(event, action, notes, clean=clean),), (), tuple(notes), routing_key)

    def routing_key(self, body: bytes, headers: Mapping[str, str]) -> str:
        """Read the key as `parse` does, from a body that may be anything."""
        try:
            found = _text(as_object(decode(body)) or {}, "routing_key", "", [])
        except Unreadable:
            written = _KEY_IN_TEXT.search(body)
            found = written[1].decode("utf-8", "replace") if written else ""
        return present(found, headers.get("x-routing-key")).strip()

    def accepted(self, parsed: Parsed) -> tuple[int, bytes]:
        """Answer 202 with the key under which the alert is found again."""
        return 202, _JSON.encode(
            {"status": "success", "message": "Event processed", "dedup_key": parsed.signals[0].dedup_key}
        )

    def refused(self, problem: Problem) -> tuple[int, bytes]:
        """Answer as PagerDuty does. An unknown routing key is a 400 here: 202 would lose alerts silently."""
        if isinstance(problem, TooMany):
            return 429, _error("throttle exceeded", "Request Limit Exceeded", [problem.message])
        if isinstance(problem, Unavailable):
            return 503, _error("unavailable", "Try again later", [problem.message])
        if isinstance(problem, TooLarge):
            return 413, _error("invalid event", "Event object is invalid", [problem.message])
        if isinstance(problem, WrongType):
            return 415, _error("Unrecognized object", "Event object format is unrecognized", [problem.message])
        if isinstance(problem, Unreadable):
            return 400, _error("Unrecognized object", "Event object format is unrecognized", ["JSON parse error"])
        errors = [error.detail for error in problem.errors] if isinstance(problem, Invalid) else [problem.message]
        return 400, _error("invalid event", "Event object is invalid", errors)


def _error(status: str, message: str, errors: list[str]) -> bytes:
    return _JSON.encode({"status": status, "message": message, "errors": [storable(error) for error in errors]})


def _check(event: _Event, routing_key: str, errors: list[str]) -> Action | None:
    """Name everything that is wrong with the event, in the order of its fields."""
    if len(routing_key) != ROUTING_KEY_LENGTH:
        errors.append(_WRONG_LENGTH)
    word = present(event.event_action).strip().lower()
    action = _ACTIONS.get(word)
    if action is None:
        errors.append(_WRONG_ACTION if word else "'event_action' is missing or blank")
    elif action is not Action.TRIGGER and not present(event.dedup_key):
        errors.append("'dedup_key' is missing or blank")
    elif action is Action.TRIGGER and event.payload is None:
        errors.append("'payload' is missing or blank")
    elif action is Action.TRIGGER and event.payload is not None and not _title(event.payload):
        errors.append("'payload.summary' is missing or blank")
    return action


def _title(payload: _Payload) -> str:
    """Return the summary, or the first line of the details where it is blank."""
    details = _description(payload.custom_details) if not present(payload.summary) else ""
    return present(payload.summary, *details.splitlines())


def _signal(event: _Event, action: Action, notes: list[str], *, clean: bool) -> Signal:
    payload = event.payload or _Payload()
    native = present(payload.severity)
    native = native if clean else storable(native)
    severity, urgency, record_only = _SEVERITIES.get(native) or _severity_of(native, action, notes)
    title, description = _title(payload), _description(payload.custom_details)
    if not clean:
        title, description = storable(title), storable(description)
    title, description = fit_title(title, description)
    labels = _labels(event, payload, clean=clean)
    said_at = as_time(payload.timestamp)
    key = present(event.dedup_key)
    return Signal(
        action,
        as_key(key) if key else _made_key(title, labels, said_at),
        title,
        description,
        severity,
        truncate(native, MAX_NATIVE_SEVERITY),
        urgency,
        labels,
        _links(event),
        record_only,
        said_at,
    )


def _made_key(title: str, labels: Mapping[str, str], said_at: datetime | None) -> str:
    """Make a key that equal events of one minute share. Nothing ends them, so a later one has to be a new problem."""
    minute = int((said_at or utc_now()).timestamp() // 60)
    return hash_of(title, labels, minute)


def _severity_of(native: str, action: Action, notes: list[str]) -> tuple[int, Urgency, bool]:
    """Read a word that PagerDuty does not have, and note one that nobody knows."""
    word = native.strip().lower()
    if word in _SEVERITIES:
        return _SEVERITIES[word]
    level, urgency, known = severity_of(word)
    if action is Action.TRIGGER and not (word and known):
        notes.append(severity_note(native) if word else _NO_SEVERITY)
    return level, urgency, False


def _description(details: object) -> str:
    """Return the text among the details; everything else of them becomes labels."""
    if details is None:
        return ""
    named = as_object(details)
    if named is None:
        return as_text(details)
    texts = (named.get(name) for name in ("description", "message", "firing", "body"))
    return present(*(text for text in texts if isinstance(text, str)))


def _labels(event: _Event, payload: _Payload, *, clean: bool) -> dict[str, str]:
    own = {
        "source": present(payload.source, event.client),
        "component": present(payload.component),
        "group": present(payload.group),
        "class": present(payload.class_),
        "client": present(event.client),
    }
    labels = {name: value for name, value in own.items() if value}
    details = as_object(payload.custom_details)
    if details:
        for name, value in details.items():
            if len(labels) == MAX_LABELS:
                break
            # The event's own fields win: routes rely on `source`.
            if name not in labels:
                labels[name] = value if isinstance(value, str) else as_text(value)
    return fit_labels(labels, clean=clean)


def _links(event: _Event) -> tuple[Link, ...]:
    if not (event.client_url or event.links or event.images):
        return ()
    links: list[Link | None] = [link(event.client_url, event.client or "")]
    links += [link(each.get("href"), each.get("text")) for each in (event.links or [])[:100]]
    links += [link(each.get("src"), each.get("alt")) for each in (event.images or [])[:100]]
    return fit_links(links)


def _read_patiently(body: bytes, errors: list[str]) -> _Event:
    """Read an event in which something has an unexpected type: numbers pass for texts, containers do not."""
    event = as_object(decode(body))
    if event is None:
        raise Unreadable("The body is not a JSON object.", code="request.json")
    payload: _Payload | None = None
    if event.get("payload") is not None:
        found = as_object(event["payload"])
        if found is None:
            errors.append("'payload' is invalid (must be an object)")
        payload = _payload(found or {}, errors)
    return _Event(
        routing_key=_text(event, "routing_key", "", errors),
        event_action=_text(event, "event_action", "", errors),
        dedup_key=_text(event, "dedup_key", "", errors),
        payload=payload,
        client=_text(event, "client", "", errors),
        client_url=_text(event, "client_url", "", errors),
        links=_objects(event, "links"),
        images=_objects(event, "images"),
    )


def _payload(found: Object, errors: list[str]) -> _Payload:
    return _Payload(
        summary=_text(found, "summary", "payload.", errors),
        source=_text(found, "source", "payload.", errors),
        severity=as_text(found.get("severity")),
        timestamp=found.get("timestamp"),
        component=as_text(found.get("component")),
        group=as_text(found.get("group")),
        class_=as_text(found.get("class")),
        custom_details=found.get("custom_details"),
    )


def _text(found: Object, name: str, prefix: str, errors: list[str]) -> str:
    value = found.get(name)
    if isinstance(value, dict | list):
        errors.append(f"'{prefix}{name}' is invalid (must be a string)")
        return ""
    return as_text(cast("object", value))


def _objects(event: Object, name: str) -> list[dict[str, object]]:
    found = map(as_object, as_list(event.get(name)) or [])
    return [dict(each) for each in found if each is not None]
