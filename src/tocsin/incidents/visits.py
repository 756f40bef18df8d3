"""What is known of somebody who comes by the link of a page. No clock, no database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Came:
    """How a browser comes: its cookie of an earlier visit, where it is and what it calls itself."""

    cookie: str
    ip: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Opens:
    """What a link leads to, of what there is for whom it leads there. `may_declare`: from the alert, as it is now."""

    alert_id: UUID | None
    incident_ref: str
    may_declare: bool


@dataclass(frozen=True, slots=True)
class Visit:
    """Where the browser is led, and the cookie that it has for so long; none for who goes there as themselves."""

    opens: Opens
    cookie: str
    lasts: timedelta
