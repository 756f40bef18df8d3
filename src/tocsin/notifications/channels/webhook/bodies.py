"""What a webhook is sent, by its format: the plain JSON, a preset, or the owner's own template. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from tocsin.kit import clock
from tocsin.kit.errors import Invalid
from tocsin.kit.templates import BadTemplate
from tocsin.notifications.channels.base import PageMessage
from tocsin.notifications.channels.webhook import presets, template
from tocsin.notifications.model import BodyFormat, Shape

JSON = "application/json"
# As people choose from.
NAMES: Mapping[BodyFormat, str] = {
    BodyFormat.TOCSIN: "Tocsin JSON",
    BodyFormat.SLACK: "Slack, or what takes Slack’s form",
    BodyFormat.TEAMS: "Microsoft Teams (Workflows)",
    BodyFormat.DISCORD: "Discord",
    BodyFormat.GOOGLE_CHAT: "Google Chat",
    BodyFormat.MATTERMOST: "Mattermost",
    BodyFormat.TEXT: "Plain text",
    BodyFormat.TEMPLATE: "Own template",
}
# What an own template begins as, until its owner has written another.
EXAMPLE = """\
{
  "title": {{ title|json }},
  "severity": {{ severity|json }},
  "source": {{ source|json }},
  "why": {{ reason|json }},
  "is_test": {{ (kind == "test")|json }},
  "is_news": {{ (kind == "news")|json }},
  "may_be_a_repeat": {{ possible_duplicate|json }},
  "text": {{ body|truncate(500)|json }},
  "team": {{ labels.team|json }},
  "acknowledge": {{ acknowledge_url|json }},
  "details": {{ url|json }}
}
"""
_JSON_PRESETS: Mapping[BodyFormat, Callable[[PageMessage], dict[str, Any]]] = {
    BodyFormat.SLACK: presets.slack,
    BodyFormat.TEAMS: presets.teams,
    BodyFormat.DISCORD: presets.discord,
    BodyFormat.GOOGLE_CHAT: presets.google_chat,
    BodyFormat.MATTERMOST: presets.mattermost,
}
# RFC 9110 §8.3.1, without quoted values.
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_CONTENT_TYPE = re.compile(rf"{_WORD}/{_WORD}(; ?{_WORD}={_WORD})*")
LONGEST_CONTENT_TYPE = 100


@dataclass(frozen=True, slots=True)
class Body:
    """What is posted. `note` says, without a word of the template, why it is not what was asked for."""

    content: bytes
    content_type: str
    note: str = ""


def values_of(message: PageMessage) -> dict[str, Any]:
    """Return the fields of the plain JSON, which are also those of a template. What is not known is None.

    Where somebody asks for help with an incident, `body` begins with what they say. Times are RFC 3339 in UTC.
    """
    return {
        "delivery_id": message.delivery_id,
        "kind": message.kind,
        "title": message.title,
        "body": f"{message.reason}\n\n{message.body}".strip() if message.is_asked else message.body,
        "severity": message.severity,
        "urgency": message.urgency,
        "status": message.status,
        "alert_id": message.alert_id,
        "incident_id": message.incident_id,
        "incident_number": message.incident_number,
        "url": message.url,
        "acknowledge_url": message.acknowledge_url,
        "reason": message.reason,
        "source": message.source,
        "labels": dict(message.labels),
        "attempt": message.attempt,
        "possible_duplicate": message.possible_duplicate,
        "minutes_late": message.minutes_late,
        "sent_at": clock.stamp(message.sent_at),
        "recipient_name": message.recipient_name,
    }


def body_of(message: PageMessage) -> bytes:
    """Write the plain JSON object. Keys are always present."""
    return msgspec.json.encode(values_of(message))


def write(message: PageMessage) -> Body:
    """Write a page in the shape that its contact method asks for. Never fails: a page must not be lost for a template.

    A template that cannot be rendered, or whose JSON is none, gives the plain JSON and a note.
    """
    shape = message.shape
    if shape.format is BodyFormat.TEMPLATE:
        try:
            return _from_template(shape, message)
        except BadTemplate as problem:
            return Body(body_of(message), JSON, f"The template could not be used, so this is plain JSON. {problem}")
    if shape.format is BodyFormat.TEXT:
        return Body(presets.text(message).encode("utf-8", "replace"), "text/plain; charset=utf-8")
    preset = _JSON_PRESETS.get(shape.format)
    return Body(msgspec.json.encode(preset(message)) if preset else body_of(message), JSON)


def _from_template(shape: Shape, message: PageMessage) -> Body:
    written = template.render(shape.template or "", values_of(message))
    content = written.encode("utf-8", "replace")
    content_type = shape.content_type or JSON
    if _is_json(content_type):
        try:
            msgspec.json.decode(content)
        except (msgspec.DecodeError, RecursionError):
            raise BadTemplate(
                "It is not JSON: write every value with the filter json, as in {{ title|json }},"
                " or give the content type of what it is, such as text/plain."
            ) from None
    return Body(content, content_type)


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == JSON or kind.endswith("+json")


def checked(format: str, own: str | None, content_type: str | None) -> Shape:
    """Read what people chose; raises `Invalid` for the field that is wrong, after a trial with every sample."""
    if format not in set(BodyFormat):
        raise Invalid("format", f"There is no format “{format[:40]}”. There are: {', '.join(BodyFormat)}.")
    if format != BodyFormat.TEMPLATE:
        if own or content_type:
            field = "template" if own else "content_type"
            raise Invalid(field, "This belongs to the format “template” only. Choose it, or leave this out.")
        return Shape(BodyFormat(format))
    kind = (content_type or "").strip() or JSON
    if not _CONTENT_TYPE.fullmatch(kind) or len(kind) > LONGEST_CONTENT_TYPE:
        raise Invalid("content_type", "Give a content type such as application/json or text/plain; charset=utf-8.")
    shape = Shape(BodyFormat.TEMPLATE, (own or "").replace("\r\n", "\n") or EXAMPLE, kind)
    for what, message in SAMPLES.items():
        try:
            body = _from_template(shape, message)
        except BadTemplate as problem:
            raise Invalid("template", f"{problem} (Tried with {what}.)") from None
        if not body.content.strip():
            raise Invalid("template", f"It writes nothing. (Tried with {what}.)")
    return shape


_SAMPLE = PageMessage(
    delivery_id="dlv_01m80cbsssewrszcdtbw3c4wmg",
    kind="page",
    title="Checkout is down",
    body="3 of 3 probes failed within the last minute.",
    severity="SEV1",
    urgency="high",
    status="triggered",
    alert_id="alt_01m80cbsqceq09znxeh2hgrfgk",
    incident_id=None,
    incident_number=None,
    url="https://tocsin.example.org/alerts/alt_01m80cbsqceq09znxeh2hgrfgk",
    acknowledge_url="https://tocsin.example.org/p/the-secret-of-this-page",
    reason="You are step 1 of Payments primary",
    source="Prometheus",
    labels={"service": "checkout", "team": "payments"},
    attempt=1,
    possible_duplicate=False,
    sent_at=datetime(2031, 5, 4, 1, 1, 39, 526_000, tzinfo=UTC),
    recipient_name="Ada Lovelace",
)
# What a template is tried with before it is saved; a hostile title is what would break out of its JSON.
SAMPLES: Mapping[str, PageMessage] = {
    "a page": _SAMPLE,
    "a title with quotation marks and a line break": replace(
        _SAMPLE,
        title='Disk "C:\\" is\nfull </b>',
        body='{"a": [1, "\\u0000"]}\t&<>',
        labels={},
        attempt=2,
        possible_duplicate=True,
    ),
    "a call for help with an incident": replace(
        _SAMPLE,
        alert_id=None,
        incident_id="inc_01m80cbt0xf6r9n4rmqg3x2y7a",
        incident_number="INC-7",
        url="https://tocsin.example.org/incidents/INC-7",
        reason="Jonas asks for your help: Do you know the queue?",
        source="Jonas",
        labels={},
    ),
    "news": replace(
        _SAMPLE,
        kind="news",
        title="Bob took “Checkout is down” after 40 s.",
        body="",
        urgency="low",
        status="acknowledged",
        acknowledge_url=None,
        reason="You were paged for it",
        about="Checkout is down",
    ),
    "a test page": replace(
        _SAMPLE,
        kind="test",
        title="Test page",
        body="Ada sent this to see whether pages reach you. There is nothing to do.",
        severity="SEV5",
        alert_id=None,
        url="https://tocsin.example.org/",
        acknowledge_url=None,
        reason="This is only a test",
        source="Tocsin",
        labels={},
    ),
}


def preview(shape: Shape) -> Body:
    """Write the first sample, to be looked at."""
    return write(replace(_SAMPLE, shape=shape))
