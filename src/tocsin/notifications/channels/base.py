"""What a page says and what a channel is. A channel knows its wire; it knows no tables and no retries.

Serves F059 (channels of a rule, test send), F060 (outcomes), F061 (acknowledge from the page itself).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol
from urllib.parse import urlsplit

from tocsin.kit.record import JsonObject
from tocsin.kit.text import one_line, storable
from tocsin.notifications.model import PLAIN, Shape

# By how much a channel ends a call before its caller loses patience: only the wire knows whether the message had left.
MARGIN = 0.1


# How much of a test page and of the answer to it is kept: characters of the one, bytes of the other.
KEPT_BODY = 16_384
KEPT_ANSWER = 1024


@dataclass(slots=True)
class Trace:
    """What went over the wire for a test page. A channel that has something to show writes it down as it happens.

    It holds no address but its origin, because the rest may be a secret, and stays when the call is broken off.
    """

    method: str = ""
    origin: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    status: int | None = None
    answer: bytes = b""
    seconds: float | None = None

    def written(self) -> JsonObject | None:
        """Return it as it is stored, cut to what is kept; None when the channel wrote nothing down."""
        if not self.method:
            return None
        body = self.body.decode("utf-8", "replace")
        answer = self.answer[:KEPT_ANSWER].decode("utf-8", "replace")
        return {
            "method": self.method,
            "origin": self.origin,
            "headers": {name: storable(value) for name, value in self.headers.items()},
            "body": storable(body[:KEPT_BODY]),
            "body_is_cut": len(body) > KEPT_BODY,
            "status": self.status,
            "answer": None if self.status is None else storable(answer),
            "answer_is_cut": len(self.answer) > KEPT_ANSWER,
            "took_ms": None if self.seconds is None else round(self.seconds * 1000),
        }


@dataclass(frozen=True, slots=True)
class PageMessage:
    """Everything that a channel may say about one delivery to one person.

    `delivery_id` is the same for every attempt. `reason` tells the person why: “You are step 1 of Payments
    primary”. `possible_duplicate` is set when an earlier attempt may have arrived. `shape` says how a webhook is
    written to; `trace` is there for test pages, see `Trace`. News have no `acknowledge_url` and low urgency; their
    `title` is the sentence that they tell, and `about` what the pages were called that they belong to, whose threads
    are named by `threads`.
    """

    delivery_id: str
    kind: Literal["page", "test", "news"]
    title: str
    body: str
    severity: str
    urgency: str
    status: str
    alert_id: str | None
    incident_id: str | None
    incident_number: str | None
    url: str
    acknowledge_url: str | None
    reason: str
    source: str
    labels: Mapping[str, str]
    attempt: int
    possible_duplicate: bool
    sent_at: datetime
    recipient_name: str
    # How long ago it was meant to go out, when it could not.
    minutes_late: int = 0
    about: str = ""
    threads: Sequence[str] = ()
    shape: Shape = PLAIN
    trace: Trace | None = None

    @property
    def is_asked(self) -> bool:
        """Say whether somebody asks for help with an incident; all other pages come from an alert, or are news."""
        return self.kind != "news" and self.incident_id is not None and self.alert_id is None

    @property
    def notes(self) -> list[str]:
        """Return what has to be said before all else, in sentences."""
        return [*(["This is a test page. Nothing is wrong."] if self.kind == "test" else []), *notes_on(self)]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What came back. `delivered` means the far end itself confirmed that it has the page."""

    detail: str
    provider_id: str | None
    delivered: bool


class Channel(Protocol):
    """One way to reach a person. `kind` is stored with the contact method, `label` is shown."""

    @property
    def kind(self) -> str:
        """Return the stored name: `email`, `webhook`, `console`."""
        ...

    @property
    def label(self) -> str:
        """Return the name that people see."""
        ...

    def check_address(self, address: str) -> str:
        """Return the address in its normal form, or raise `Invalid("address", …)`."""
        ...

    async def send(self, address: str, message: PageMessage, *, within: float = 15.0) -> Receipt:
        """Send once, within so many seconds. Raises `Transient` when it may work later, `Refused` at a “no”.

        The failure is `may_have_arrived` when the message had left before: the next attempt is then marked.
        """
        ...


def notes_on(message: PageMessage) -> list[str]:
    """Say what its reader has to know of the sending: that it may be a repeat, that it comes late."""
    it = "message" if message.kind == "news" else "page"
    notes = [f"You may have received this {it} before."] if message.possible_duplicate else []
    if message.minutes_late:
        notes.append(f"This {it} is {message.minutes_late} minutes late, because it could not be sent before.")
    return notes


def web_link(url: str) -> str:
    """Pass only web links; anything else would make the message a carrier for `javascript:`."""
    return one_line(url, 2000) if urlsplit(url).scheme in ("http", "https") else ""
