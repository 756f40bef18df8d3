"""What a page says and what a channel is. A channel knows its wire; it knows no tables and no retries.

Serves F059 (channels of a rule, test send), F060 (outcomes), F061 (acknowledge from the page itself).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

# Marks that turn the direction of text around; in a title they can make one line read as another.
_DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True)
class PageMessage:
    """Everything that a channel may say about one delivery to one person.

    `delivery_id` is the same for every attempt. `reason` tells the person why: “You are step 1 of Payments
    primary”. `possible_duplicate` is set when an earlier attempt may have arrived.
    """

    delivery_id: str
    kind: Literal["page", "test"]
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
        """Send once, within so many seconds. Raises `Transient` when it may work later, `Refused` at a “no”."""
        ...


def notes_on(message: PageMessage) -> list[str]:
    """Say what its reader has to know of the sending: that it may be a repeat, that it comes late."""
    notes = ["You may have received this page before."] if message.possible_duplicate else []
    if message.minutes_late:
        notes.append(f"This page is {message.minutes_late} minutes late, because it could not be sent before.")
    return notes


def one_line(text: str, limit: int = 200) -> str:
    """Make text from outside safe for a header or a terminal: one line, no control or direction characters."""
    plain = " ".join(clean(text).split())
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"


def clean(text: str) -> str:
    """Drop what does not print, but keep line breaks and tabs."""
    return "".join(c for c in (" " if _breaks(c) else c for c in text) if c not in _DIRECTION and not _is_control(c))


def _breaks(c: str) -> bool:
    return unicodedata.category(c) in ("Zl", "Zp")


def _is_control(c: str) -> bool:
    return c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cs")
