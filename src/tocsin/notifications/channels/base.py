"""What a page says and what a channel is. A channel knows its wire; it knows no tables and no retries.

Serves F059 (channels of a rule, test send), F060 (outcomes), F061 (acknowledge from the page itself).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

# By how much a channel ends a call before its caller loses patience: only the wire knows whether the message had left.
MARGIN = 0.1


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
        """Send once, within so many seconds. Raises `Transient` when it may work later, `Refused` at a “no”.

        The failure is `may_have_arrived` when the message had left before: the next attempt is then marked.
        """
        ...


def notes_on(message: PageMessage) -> list[str]:
    """Say what its reader has to know of the sending: that it may be a repeat, that it comes late."""
    notes = ["You may have received this page before."] if message.possible_duplicate else []
    if message.minutes_late:
        notes.append(f"This page is {message.minutes_late} minutes late, because it could not be sent before.")
    return notes
