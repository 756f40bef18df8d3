"""Any JSON: one object, or an array of up to 10,000 objects. For scripts, and for tools without an adapter.

Every field may have any of the names given; the first that is present and not null counts. Other fields are
ignored (they stay in the stored body).

| field | names | value |
|---|---|---|
| title | `title`, `summary`, `message`, `name` | text; needed unless a key acknowledges or resolves |
| status | `status`, `state`, `action`, `event_action` | see below; absent means triggered |
| key | `dedup_key`, `deduplication_key`, `key`, `alias`, `alert_key`, `fingerprint`, `id` | text or number |
| severity | `severity`, `priority`, `level` | a word of `SEVERITIES`, 1 (critical) to 5 (info), SEV1 to SEV5 |
| urgency | `urgency` | `high` or `low`; otherwise it follows from the severity |
| description | `description`, `details`, `body`, `text` | Markdown; an object is shown as JSON |
| labels | `labels`, `tags` | object, or array of texts `name:value`, `name=value`, `name` |
| time | `timestamp`, `occurred_at` | when it began or was seen, for a resolve when it ended: RFC 3339 with a zone, \
or a Unix time; anything else is left out |
| links | `links` (array of addresses or `{href or url, text or title}`); `url`, `link`, `source_url` | http, https |

Status: `firing`, `triggered`, `trigger`, `alerting`, `open`, `problem`, `down`; `acknowledged`, `acknowledge`,
`ack`; `resolved`, `resolve`, `ok`, `closed`, `close`, `recovered`, `normal`, `up`. A word that is none of these
triggers, with a note: a page too many is better than one too few.

Without a key, the title and the labels together are the key: send the same ones to resolve.

    {"title": "Disk is full", "status": "firing", "key": "disk-db1", "severity": "critical",
     "labels": {"host": "db1"}, "url": "https://grafana.example/d/disks"}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import msgspec

from tocsin.alerts.sources.base import (
    MAX_ITEMS,
    MAX_NATIVE_SEVERITY,
    Action,
    Link,
    Object,
    Parsed,
    Signal,
    WebhookAnswers,
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
    link,
    read_each,
    severity_notes,
    severity_of,
)
from tocsin.kit.errors import Invalid
from tocsin.kit.text import finite, truncate

_DECODER = msgspec.json.Decoder(float_hook=finite)
_ACTIONS: Mapping[str, Action] = {
    **dict.fromkeys(("firing", "triggered", "trigger", "alerting", "open", "problem", "down"), Action.TRIGGER),
    **dict.fromkeys(("acknowledged", "acknowledge", "ack"), Action.ACKNOWLEDGE),
    **dict.fromkeys(("resolved", "resolve", "ok", "closed", "close", "recovered", "normal", "up"), Action.RESOLVE),
}
_TITLE = ("title", "summary", "message", "name")
_STATUS = ("status", "state", "action", "event_action")
_KEY = ("dedup_key", "deduplication_key", "key", "alias", "alert_key", "fingerprint", "id")
_SEVERITY = ("severity", "priority", "level")
_DESCRIPTION = ("description", "details", "body", "text")
_LABELS = ("labels", "tags")
_TIME = ("timestamp", "occurred_at")
_URL = ("url", "link", "source_url")


@dataclass(frozen=True, slots=True)
class Generic(WebhookAnswers):
    """The adapter for plain JSON."""

    kind: str = "generic"
    label: str = "Generic webhook"

    def parse(self, body: bytes, headers: Mapping[str, str]) -> Parsed:
        """Read one object or an array of objects."""
        try:
            value = cast("object", _DECODER.decode(body))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            value = decode(body)
        if (one := as_object(value)) is not None:
            notes: list[str] = []
            signal = _signal(one, notes)
            return Parsed((signal,), (), tuple(notes) + severity_notes((signal,)))
        items = as_list(value)
        if items is None:
            raise Invalid("", "Send a JSON object, or an array of objects.")
        if len(items) > MAX_ITEMS:
            raise Invalid("", f"Send at most {MAX_ITEMS:,} signals in one body; this one has {len(items):,}.")
        notes = []
        parsed = read_each(items, lambda item: _signal(item, notes), field="")
        return Parsed(parsed.signals, parsed.rejected, tuple(dict.fromkeys(notes)) + parsed.notes)


def _first(item: Object, names: tuple[str, ...]) -> object:
    for name in names:
        value = item.get(name)
        if value is not None:
            return value
    return None


def _signal(item: Object, notes: list[str]) -> Signal:
    labels = _labels(_first(item, _LABELS))
    title = as_text(_first(item, _TITLE)).strip()
    action = _action(as_text(_first(item, _STATUS)), notes)
    key = as_text(_first(item, _KEY))
    if not title and (action is Action.TRIGGER or not key):
        raise Invalid("title", "Give it a title (title, summary, message or name).")

    native = _native(_first(item, _SEVERITY))
    severity, urgency, _ = severity_of(native)
    wanted = item.get("urgency")
    if isinstance(wanted, str):
        word = wanted.strip().lower()
        urgency = "high" if word == "high" else "low" if word == "low" else urgency
    fitted, description = fit_title(title, as_text(_first(item, _DESCRIPTION)))
    return Signal(
        action,
        as_key(key) if key else hash_of(title, labels),
        fitted,
        description,
        severity,
        truncate(native, MAX_NATIVE_SEVERITY),
        urgency,
        fit_labels(labels, clean=True),
        _links(item),
        said_at=as_time(_first(item, _TIME)),
    )


def _action(status: str, notes: list[str]) -> Action:
    if not status:
        return Action.TRIGGER
    action = _ACTIONS.get(status) or _ACTIONS.get(status.strip().lower())
    if action is not None:
        return action
    if len(notes) < 10:
        notes.append(f"status not recognised, taken as triggered: {truncate(status, 60)}")
    return Action.TRIGGER


def _native(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # Some languages know one kind of number only and write 1 as 1.0.
    return as_text(value)


def _labels(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if (named := as_object(value)) is not None:
        return {as_text(name): as_text(each) for name, each in named.items()}
    tags = as_list(value)
    if tags is None:
        raise Invalid("labels", "Its labels are neither a JSON object nor an array of texts.")
    labels: dict[str, str] = {}
    for tag in map(as_text, tags):
        # Datadog and others write name:value; a value may hold the other sign, so the first one counts.
        ends = [at for at in (tag.find(":"), tag.find("=")) if at > 0]
        end = min(ends, default=len(tag))
        labels[tag[:end]] = tag[end + 1 :] if ends else "true"
    return labels


def _links(item: Object) -> tuple[Link, ...]:
    links: list[Link | None] = []
    address = _first(item, _URL)
    if address is not None:
        links.append(link(address, "Source"))
    for each in (as_list(item.get("links")) or [])[:100]:
        found = as_object(each)
        links.append(link(each) if found is None else link(_first(found, ("href", "url")), _link_text(found)))
    return fit_links(links) if links else ()


def _link_text(found: Object) -> object:
    return _first(found, ("text", "title"))
