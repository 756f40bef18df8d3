"""Any JSON: one object, or an array of up to 10,000 objects. For scripts, and for tools without an adapter.

An array may stand in an object under `alerts`, `events` or `records`, or be one object a line (NDJSON): every item of
it is read. Every field may have any of the names given; the first that says something counts: null, blank texts, empty
objects and arrays, and templates that were not filled in (`$TITLE`, `{{ title }}`) do not. Other fields are ignored
(they stay in the stored body).

| field | names | value |
|---|---|---|
| title | `title`, `summary`, `message`, `name` | text; else the first line of the description; needed unless a key \
acknowledges or resolves |
| status | `status`, `state`, `action`, `event_action` | see `states`; absent means what stands before the title, as \
"[Resolved] Disk is full", or triggered |
| key | `dedup_key`, `deduplication_key`, `key`, `alias`, `alert_key`, `fingerprint`, `alert_cycle_key`, `aggreg_key`, \
`problem_id`, `problem_event_id`, `id`, `event_id` | text or number |
| severity | `severity`, `priority`, `level` | a word of `SEVERITIES`, 1 (critical) to 5 (info), SEV1 to SEV5 |
| urgency | `urgency` | `high` or `low`; otherwise it follows from the severity |
| description | `description`, `details`, `body`, `text` | Markdown; an object is shown as JSON |
| labels | `labels`, `tags` | object, or array of texts `name:value`, `name=value`, `name`, or such texts with \
commas between them |
| time | `timestamp`, `occurred_at` | when it began or was seen, for a resolve when it ended: RFC 3339 with a zone, \
or a Unix time; anything else is left out |
| links | `links` (array of addresses or `{href or url, text or title}`); `url`, `link`, `source_url` | http, https |

A state that nobody knows triggers, with a note: a page too many is better than one too few.

Without a key, the title and the labels together are the key: send the same ones to resolve. A message about the end
that has an id of its own names the problem's in `problem_id`. What Zabbix, GitLab and Datadog send is read as it
comes, see `dialects`.

    {"title": "Disk is full", "status": "firing", "key": "disk-db1", "severity": "critical",
     "labels": {"host": "db1"}, "url": "https://grafana.example/d/disks"}
"""

from __future__ import annotations

import re
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
    Sample,
    SetUp,
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
    present,
    read_each,
    severity_notes,
    severity_of,
)
from tocsin.alerts.sources.dialects import in_generic_words
from tocsin.alerts.sources.states import action_of, marked
from tocsin.kit.errors import Invalid, Unreadable
from tocsin.kit.record import JsonObject
from tocsin.kit.text import finite, is_blank, truncate

_DECODER = msgspec.json.Decoder(float_hook=finite)
_TITLE = ("title", "summary", "message", "name")
_STATUS = ("status", "state", "action", "event_action")
_KEY = (
    *("dedup_key", "deduplication_key", "key", "alias", "alert_key", "fingerprint", "alert_cycle_key", "aggreg_key"),
    # A problem and its end may have ids of their own; these name the problem in both.
    *("problem_id", "problem_event_id"),
    *("id", "event_id"),
)
_SEVERITY = ("severity", "priority", "level")
_DESCRIPTION = ("description", "details", "body", "text")
_LABELS = ("labels", "tags")
_TIME = ("timestamp", "occurred_at")
_URL = ("url", "link", "source_url")
_BATCH = ("alerts", "events", "records")
# A template that its tool did not fill in.
_UNFILLED = re.compile(r"\$\{?[A-Z][A-Z0-9_]*\}?|\{\{[^{}]*\}\}|\{[A-Z][A-Z0-9_.]*\}|<no value>")


@dataclass(frozen=True, slots=True)
class Generic(WebhookAnswers):
    """The adapter for plain JSON."""

    kind: str = "generic"
    label: str = "Generic webhook"

    def sample(self, problem: Sample) -> JsonObject:
        """Write one object."""
        return {"title": problem.title, "status": "firing", "key": problem.key, "severity": problem.severity}

    def set_ups(self, address: str, token: str) -> tuple[SetUp, ...]:
        """Say how a script, a job and any other tool send plain JSON."""
        begins = (
            '{"title": "Disk is full on db1", "severity": "critical", "key": "disk-db1", "labels": {"team": "core"}}'
        )
        ends = '{"key": "disk-db1", "status": "resolved"}'
        post = "curl -sS -H 'Content-Type: application/json' -d"
        failed = '{"title": "Backup failed", "severity": "critical", "key": "backup"}'
        return (
            SetUp(
                "Script",
                "The first command opens an alert, the second resolves it: what has the same key is the same alert.",
                f"{post} '{begins}' \\\n  '{address}'\n{post} '{ends}' \\\n  '{address}'",
            ),
            SetUp(
                "Cron",
                "Tells when a job fails. Put your own command in the place of /usr/local/bin/backup.",
                f"0 3 * * * /usr/local/bin/backup || {post} '{failed}' '{address}'",
                "crontab",
            ),
            SetUp(
                "Any tool with a webhook",
                "Send JSON by POST to the address above. Only the title is required; one object or an array of them.",
                '{\n  "title": "Disk is full on db1",\n  "description": "97 % of /var is used.",\n'
                '  "severity": "critical",\n  "status": "firing",\n  "key": "disk-db1",\n'
                '  "labels": {"team": "core"},\n  "links": [{"href": "https://wiki.example.org/disk"}]\n}',
                "body",
            ),
        )

    def parse(self, body: bytes, headers: Mapping[str, str]) -> Parsed:
        """Read one object or an array of objects."""
        value = _decode(body)
        notes: list[str] = []
        items = _items(value)
        if items is None:
            one = as_object(value)
            if one is None:
                raise Invalid("", "Send a JSON object, or an array of objects.")
            signal = _read(one, notes)
            signals = () if signal is None else (signal,)
            return Parsed(signals, (), tuple(notes) + severity_notes(signals))
        if len(items) > MAX_ITEMS:
            raise Invalid("", f"Send at most {MAX_ITEMS:,} signals in one body; this one has {len(items):,}.")
        parsed = read_each(items, lambda item: _read(item, notes), field="")
        return Parsed(parsed.signals, parsed.rejected, tuple(dict.fromkeys(notes)) + parsed.notes)


def _decode(body: bytes) -> object:
    try:
        return cast("object", _DECODER.decode(body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return decode(body)
    except Unreadable:
        if (lines := _lines(body)) is None:
            raise
        return lines


def _lines(body: bytes) -> list[object] | None:
    """Read one JSON value a line, or return None where that is not what the body is. A line that is broken is None."""
    lines = [line for line in body.splitlines() if line.strip()]
    if not 2 <= len(lines) <= MAX_ITEMS:
        return None
    found: list[object] = []
    for line in lines:
        try:
            found.append(decode(line))
        except Unreadable:
            found.append(None)
    return found if any(as_object(each) is not None for each in found) else None


def _items(value: object) -> list[object] | None:
    """Return the items of a batch; None for a body that is none."""
    if (items := as_list(value)) is not None:
        return items
    one = as_object(value)
    if one is None or _first(one, _TITLE) is not None:
        return None
    return next((items for name in _BATCH if (items := as_list(one.get(name)))), None)


def _first(item: Object, names: tuple[str, ...]) -> object:
    """Return the first of these fields that says something."""
    for name in names:
        value = item.get(name)
        if value is not None and value not in ({}, []) and not (isinstance(value, str) and _says_nothing(value)):
            return value
    return None


def _says_nothing(text: str) -> bool:
    return is_blank(text) or (text.lstrip()[:1] in "${<" and _UNFILLED.fullmatch(text.strip()) is not None)


def _read(item: Object, notes: list[str]) -> Signal | None:
    said = in_generic_words(item, notes)
    return None if said is None else _signal(said, notes)


def _signal(item: Object, notes: list[str]) -> Signal:
    labels = _labels(_first(item, _LABELS))
    description = as_text(_first(item, _DESCRIPTION))
    title = _title(item, description)
    action = _action(as_text(_first(item, _STATUS)), title, notes)
    key = as_text(_first(item, _KEY))
    if not title and (action is Action.TRIGGER or not key):
        raise Invalid("title", "Give it a title (title, summary, message or name).")

    native = _native(_first(item, _SEVERITY))
    severity, urgency, _ = severity_of(native)
    wanted = item.get("urgency")
    if isinstance(wanted, str):
        word = wanted.strip().lower()
        urgency = "high" if word == "high" else "low" if word == "low" else urgency
    fitted, description = fit_title(title, description)
    return Signal(
        action,
        as_key(key) if key else hash_of(as_text(item.get("fallback_key")) or title, labels),
        fitted,
        description,
        severity,
        truncate(native, MAX_NATIVE_SEVERITY),
        urgency,
        fit_labels(labels, clean=True),
        _links(item),
        said_at=as_time(_first(item, _TIME)),
    )


def _title(item: Object, description: str) -> str:
    """Return what it is called: the first name that is filled in, else the first line of the description.

    A template that nobody filled in is better than nothing, as in the test messages of some tools.
    """
    title = as_text(_first(item, _TITLE)) or next((line for line in description.splitlines() if present(line)), "")
    return (title or present(*(as_text(item.get(name)) for name in _TITLE))).strip()


def _action(status: str, title: str, notes: list[str]) -> Action:
    if not status:
        return marked(title)[0] or Action.TRIGGER
    action = action_of(status)
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
    tags = list[object](value.split(",")) if isinstance(value, str) else as_list(value)
    if tags is None:
        raise Invalid("labels", "Its labels are neither a JSON object nor an array of texts.")
    labels: dict[str, str] = {}
    for tag in (as_text(tag).strip() for tag in tags):
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
