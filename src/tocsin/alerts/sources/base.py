"""What every alert source speaks: the signal, what an adapter is, and the reading that all adapters share.

Adapters are pure: bytes in, `Signal`s out. Texts in a signal can be stored as they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Literal, Protocol, cast

import msgspec

from tocsin.kit.errors import FieldError, Invalid, Problem, TooMany, Unavailable, Unreadable
from tocsin.kit.record import JsonObject
from tocsin.kit.text import is_blank, sha256_hex, storable, storable_json, truncate

MAX_KEY = 255
MAX_TITLE = 1_024
MAX_LABELS = 64
MAX_LABEL_NAME = 200
MAX_LABEL_VALUE = 2_000
MAX_LINKS = 20
MAX_HREF = 2_048
MAX_LINK_TEXT = 200
MAX_NATIVE_SEVERITY = 100
MAX_ITEMS = 10_000

_JSON = msgspec.json.Encoder()
_PATIENT_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

Urgency = Literal["high", "low"]
Object = Mapping[str, object]


class Action(StrEnum):
    """What a signal asks for."""

    TRIGGER = "trigger"
    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"


@dataclass(frozen=True, slots=True)
class Link:
    """A web address (http or https) and the words to show for it."""

    href: str
    text: str


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing that one source said about one alert.

    `title` is empty only where a source acknowledges or resolves by key alone. `severity` is 1 (critical)
    to 5 (info); `native_severity` is the source's own word, empty when it gave none. `record_only` means:
    keep it, page nobody. `said_at` is the sender's own time of it: when the problem began or was seen, for a resolve
    when it ended; None when the sender gave none. What is newer is told by it, before the order of arrival.
    """

    action: Action
    dedup_key: str
    title: str
    description: str
    severity: int
    native_severity: str
    urgency: Urgency
    labels: dict[str, str]
    links: tuple[Link, ...]
    record_only: bool = False
    said_at: datetime | None = None

    def is_older_than(self, other: Signal) -> bool:
        """Say whether this one is older by the sender's own times; without them it is not."""
        return self.said_at is not None and other.said_at is not None and self.said_at < other.said_at


@dataclass(frozen=True, slots=True)
class RejectedItem:
    """One item of a batch that could not be used, counted from 0, and a sentence that says why."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a body contained. `routing_key` is the credential, for the formats that carry it in the body."""

    signals: tuple[Signal, ...]
    rejected: tuple[RejectedItem, ...] = ()
    notes: tuple[str, ...] = ()
    routing_key: str = ""

    def without_triggers(self) -> Parsed:
        """Return it without what would open or repeat an alert."""
        return replace(self, signals=tuple(s for s in self.signals if s.action is not Action.TRIGGER))


@dataclass(frozen=True, slots=True)
class Sample:
    """A problem that nobody has: its title, how bad it is, and the key by which it is told from those there are.

    `token` is the credential of the source, for formats that carry it in the body.
    """

    title: str
    severity: Literal["critical", "warning"]
    key: str
    token: str
    at: datetime


@dataclass(frozen=True, slots=True)
class SetUp:
    """How one tool is told to send to a source: `text` is copied into `file`, or run where `file` is empty.

    `steps` are sentences for people, which say where that is and what else to know.
    """

    tool: str
    steps: str
    text: str
    file: str = ""


class Adapter(Protocol):
    """Reads one vendor's format and answers as that vendor's senders expect."""

    @property
    def kind(self) -> str:
        """The stable word for this format, as stored and as in addresses."""
        ...

    @property
    def label(self) -> str:
        """The name that users see."""
        ...

    def parse(self, body: bytes, headers: Mapping[str, str]) -> Parsed:
        """Read a body that is already capped in size. Header names are in lower case.

        Raises `Unreadable` when it is not JSON and `Invalid` when nothing in it can be used; one bad item
        among good ones is in `Parsed.rejected` instead.
        """
        ...

    def routing_key(self, body: bytes, headers: Mapping[str, str]) -> str:
        """Return the credential that a refused body carries, as far as it can be read; empty for none.

        What is refused is kept with its source, and this finds the source. It reads the body anew, so it is not for
        what `parse` has read.
        """
        ...

    def sample(self, problem: Sample) -> JsonObject:
        """Write the body by which the tool would say that a problem begins, so that people can try a source."""
        ...

    def set_ups(self, address: str, token: str) -> tuple[SetUp, ...]:
        """Say how tools that speak this format are told of a source, the usual one first: complete, to be copied."""
        ...

    def accepted(self, parsed: Parsed) -> tuple[int, bytes]:
        """Answer after the commit: status and JSON body (`application/json`)."""
        ...

    def refused(self, problem: Problem) -> tuple[int, bytes]:
        """Answer when nothing was taken in: status and body. A webhook's body is `application/problem+json`."""
        ...


# Canonical levels of the words that monitoring tools use. A vocabulary whose words mean something else
# (PagerDuty's, for one) has its own table in its adapter.
SEVERITIES: Mapping[str, int] = {
    **dict.fromkeys(("critical", "crit", "page", "emergency", "emerg", "fatal", "disaster", "blocker"), 1),
    **dict.fromkeys(("sev1", "p1", "1"), 1),
    **dict.fromkeys(("error", "err", "high", "major", "severe", "alert", "sev2", "p2", "2"), 2),
    **dict.fromkeys(("warning", "warn", "medium", "moderate", "average", "sev3", "p3", "3"), 3),
    **dict.fromkeys(("low", "minor", "notice", "sev4", "p4", "4"), 4),
    **dict.fromkeys(("info", "informational", "information", "debug", "sev5", "p5", "5"), 5),
}
DEFAULT_SEVERITY = 3
_NO_SEVERITY = frozenset({"", "none", "unknown"})


def severity_of(native: str) -> tuple[int, Urgency, bool]:
    """Return level, urgency and whether the word was understood.

    A word that says nothing, or nothing we know, is SEV3 and urgent: nobody is paged too little for a typo.
    """
    level = SEVERITIES.get(native)
    if level is None:
        word = native.strip().lower()
        level = SEVERITIES.get(word)
        if level is None:
            return DEFAULT_SEVERITY, "high", word in _NO_SEVERITY
    return level, "high" if level <= 2 else "low", True


def severity_note(native: str) -> str:
    """Write the mark that is shown for a severity nobody knows."""
    return f"severity not recognised: {truncate(native, MAX_NATIVE_SEVERITY)}"


def decode(body: bytes) -> object:
    """Decode JSON of any shape, slowly and with patience; raises `Unreadable`.

    The way out when the typed decoder refuses a body: a byte order mark, bytes that are not UTF-8 and line breaks,
    tabs and other controls within a text, as JSON made by hand has them, are put up with; lone surrogates and NUL are
    replaced, numbers may be of any size.
    """
    try:
        return storable_json(json.loads(body.decode("utf-8-sig", "replace"), parse_int=_integer, strict=False))
    except RecursionError:
        raise Unreadable("The body is nested too deeply to be read.", code="request.json") from None
    except ValueError:
        raise Unreadable("The body is not JSON.", code="request.json") from None


def _integer(digits: str) -> float:
    # Python refuses to read an integer of thousands of digits; one useless number must not lose the body.
    return int(digits) if len(digits) <= 400 else float(digits)


def is_clean(body: bytes) -> bool:
    """Say whether texts of the typed decoder need no cleaning: it lets through nothing bad but an escaped NUL."""
    return b"\\u0000" not in body


def present(*texts: str | None) -> str:
    """Return the first of these texts in which there is something to see: blank is not present."""
    for text in texts:
        if text and not is_blank(text):
            return text
    return ""


def as_object(value: object) -> Object | None:
    """Return a JSON object as a mapping and anything else as None."""
    return cast("Object", value) if isinstance(value, dict) else None


def as_list(value: object) -> list[object] | None:
    """Return a JSON array as a list and anything else as None."""
    return cast("list[object]", value) if isinstance(value, list) else None


def as_text(value: object) -> str:
    """Write any JSON value as text: nothing for null, compact JSON for objects and arrays."""
    if isinstance(value, str):
        return storable(value)
    if value is None:
        return ""
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(value)
    clean = storable_json(value)
    try:
        return _JSON.encode(clean).decode()
    except OverflowError:
        # A whole number beyond 64 bits. In pieces, because one call for all of it would let nobody else work meanwhile.
        return "".join(_PATIENT_JSON.iterencode(clean))


def _number(value: float) -> str:
    try:
        return str(value)
    except ValueError:  # Python refuses to write an integer of thousands of digits.
        return "(a very large number)"


# What lies outside of these years is a placeholder, such as Go's zero time, or no time at all.
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
# Unix times above this are in milliseconds: as seconds it would be the year 5138.
_MOST_SECONDS = 100_000_000_000


def as_time(value: object) -> datetime | None:
    """Read the sender's own time: RFC 3339 with a zone, or a Unix time in seconds or milliseconds.

    None for anything else: a local time without a zone could be hours off, and an alert must not hang on that.
    """
    try:
        if isinstance(value, str):
            found = datetime.fromisoformat(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found = datetime.fromtimestamp(value / 1000 if value > _MOST_SECONDS else value, UTC)
        else:
            return None
        return found if found.tzinfo is not None and _EARLIEST < found < _LATEST else None
    except (ValueError, OverflowError, OSError):
        return None


def as_key(text: str) -> str:
    """Return the key as it is stored: exact, or its SHA-256 when it is too long or cannot be stored."""
    return text if len(text) <= MAX_KEY and storable(text) == text else sha256_hex(text)


def hash_of(*parts: object) -> str:
    """Return the same hash for the same parts, whatever the order of names in them."""
    return sha256_hex(json.dumps(parts, sort_keys=True, separators=(",", ":")))


def fit_title(title: str, description: str) -> tuple[str, str]:
    """Write a title on one line; shorten one that is too long and keep its text at the head of the description."""
    title = title.strip()
    if not title.isprintable():
        title = " ".join(title.split())
    if len(title) <= MAX_TITLE:
        return title, description
    return truncate(title, MAX_TITLE), f"{title}\n\n{description}" if description else title


def fit_labels(labels: dict[str, str], *, clean: bool) -> dict[str, str]:
    """Return labels within the limits; the same dictionary when it already is."""
    if clean and len(labels) <= MAX_LABELS:
        for name, value in labels.items():
            if len(value) > MAX_LABEL_VALUE or len(name) > MAX_LABEL_NAME or not name:
                break
        else:
            return labels
    fitted: dict[str, str] = {}
    for name, value in labels.items():
        if name and len(fitted) < MAX_LABELS:
            fitted[truncate(storable(name), MAX_LABEL_NAME)] = truncate(storable(value), MAX_LABEL_VALUE)
    return fitted


def link(href: object, text: object = "") -> Link | None:
    """Make a link, or None for anything that is not an http or https address of at most 2,048 characters."""
    if not isinstance(href, str) or not href.startswith(("http://", "https://")) or len(href) > MAX_HREF:
        return None
    shown = truncate(storable(text), MAX_LINK_TEXT) if isinstance(text, str) else ""
    return Link(storable(href), shown or truncate(storable(href), MAX_LINK_TEXT))


def fit_links(links: Iterable[Link | None]) -> tuple[Link, ...]:
    """Keep the usable links, at most 20."""
    return tuple(found for found in links if found is not None)[:MAX_LINKS]


def read_each(
    items: list[object], read: Callable[[Object], Signal | None], field: str, notes: Iterable[str] = ()
) -> Parsed:
    """Read the items of a batch one by one, so that a bad one does not harm its neighbours.

    `read` returns None for an item that is fine and says nothing. Raises `Invalid` that names every item when none can
    be used.
    """
    signals: list[Signal] = []
    rejected: list[RejectedItem] = []
    for index, item in enumerate(items):
        found = as_object(item)
        if found is None:
            rejected.append(RejectedItem(index, "It is not a JSON object."))
            continue
        try:
            signal = read(found)
        except Invalid as problem:
            rejected.append(RejectedItem(index, problem.message))
            continue
        if signal is not None:
            signals.append(signal)
    refuse_if_nothing_is_left(signals, rejected, field)
    return Parsed(tuple(signals), tuple(rejected), tuple(notes) + severity_notes(signals))


def refuse_if_nothing_is_left(signals: list[Signal], rejected: list[RejectedItem], field: str) -> None:
    """Raise `Invalid` when there were items and none of them could be used."""
    if rejected and not signals:
        at = f"#/{field}/" if field else "#/"
        raise Invalid.of(tuple(FieldError(f"{at}{item.index}", item.reason) for item in rejected[:20]))


def severity_notes(signals: Iterable[Signal]) -> tuple[str, ...]:
    """Return a note for every severity that was not recognised, each word once."""
    unknown = {s.native_severity for s in signals if s.native_severity and not severity_of(s.native_severity)[2]}
    return tuple(severity_note(native) for native in sorted(unknown)[:10])


class WebhookAnswers:
    """The answers of the formats whose senders look at the status only.

    202 `{"status":"accepted","accepted":2,"rejected":[{"index":1,"reason":"…"}],"notes":[]}`, and problem
    details (RFC 9457) for everything else.
    """

    def routing_key(self, body: bytes, headers: Mapping[str, str]) -> str:
        """Return nothing: the address is the credential."""
        return ""

    def accepted(self, parsed: Parsed) -> tuple[int, bytes]:
        """Answer 202 and say what was taken in and what was not."""
        if not parsed.rejected and not parsed.notes:
            return 202, b'{"status":"accepted","accepted":%d,"rejected":[],"notes":[]}\n' % len(parsed.signals)
        return 202, _line(
            {
                "status": "accepted",
                "accepted": len(parsed.signals),
                "rejected": parsed.rejected,
                "notes": parsed.notes,
            }
        )

    def refused(self, problem: Problem) -> tuple[int, bytes]:
        """Answer with the problem's own status and problem details."""
        body: dict[str, object] = {
            "type": "about:blank",
            "title": HTTPStatus(problem.status).phrase,
            "status": problem.status,
            "detail": storable(problem.message),
            "code": problem.code,
            "retryable": isinstance(problem, TooMany | Unavailable),
        }
        if problem.hint:
            body["hint"] = problem.hint
        if isinstance(problem, Invalid):
            body["errors"] = problem.errors
        return problem.status, _line(body)


def _line(answer: Mapping[str, object]) -> bytes:
    # With its end of line, for those who try a source out in a shell.
    return _JSON.encode(answer) + b"\n"
