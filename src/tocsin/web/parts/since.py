"""What has happened to something since a dialog about it was opened, for the dialog to say while one types in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from tocsin.alerts.model import Alert
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest
from tocsin.events import log, words
from tocsin.events.base import Subject
from tocsin.events.since import what_was_done
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import lifecycle, queries
from tocsin.incidents.model import INCIDENT_ID, Incident
from tocsin.web.base.screens import Screen, Shell

_OF_ALERT = (
    *("alert.acknowledged", "alert.unacknowledged", "alert.resolved", "alert.updated"),
    *("incident.alert_linked", "incident.alert_unlinked"),
)
# More than that nobody reads over a form that is half written.
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Done:
    """One thing that somebody else did."""

    words: str
    at: datetime


@dataclass(frozen=True, slots=True)
class SinceScreen(Screen):
    """What was done since, the newest first; nothing where nothing was.

    `is_over`: what the dialog is about cannot be done any more. `comment_at` is where what was typed can be written
    instead, `open_at` where one goes on, with its words.
    """

    template: ClassVar = "incidents/since.html"
    shell: Shell
    done: Sequence[Done]
    is_over: bool
    comment_at: str = ""
    open_at: tuple[str, str] | None = None


def version_seen(request: AppRequest) -> int | None:
    """Return the version that the dialog was shown for; None where the address does not say one."""
    said = request.query_params.get("seen", "")
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 16 else None


async def of_incident(tx: Tx, request: AppRequest, shell: Shell, who: Actor, incident: Incident) -> SinceScreen:
    """Return what others did to an incident since this version of it."""
    seen = version_seen(request)
    done: list[Done] = []
    if seen is not None and seen < incident.version:
        zone = shell.now.tzinfo or UTC
        found, _ = await what_was_done(tx, Subject(INCIDENT_ID.name, incident.id), incident.version, seen, zone)
        done = [Done(each.words, each.at) for each in found if each.who != who.name]
    place = INCIDENT_ID.page(incident.reference)
    may_comment = who.may(P.INCIDENT_COMMENT, on=incident)
    is_over = not lifecycle.is_open(incident)
    return SinceScreen(
        shell, done=done[:_SHOWN], is_over=is_over and bool(done), comment_at=place if may_comment else ""
    )


async def of_thing(tx: Tx, request: AppRequest, shell: Shell, who: Actor, about: Subject, version: int) -> SinceScreen:
    """Return what others changed of something that is configured, since this version of it."""
    seen = version_seen(request)
    if seen is None or seen >= version:
        return SinceScreen(shell, done=[], is_over=False)
    found, _ = await what_was_done(tx, about, version, seen, shell.now.tzinfo or UTC)
    done = [Done(each.words, each.at) for each in found if each.who != who.name]
    return SinceScreen(shell, done=done[:_SHOWN], is_over=False)


async def of_alert(tx: Tx, request: AppRequest, shell: Shell, who: Actor, alert: Alert) -> SinceScreen:
    """Return what happened to an alert since this instant, in milliseconds, and where it is worked on by now."""
    seen = version_seen(request)
    found = await log.newest_first(tx, alert_id=alert.id, names=_OF_ALERT, limit=_SHOWN)
    zone = shell.now.tzinfo or UTC
    done = [
        Done(words.describe(event.name, event.actor_name, event.data, zone).text, event.at)
        for event in found
        if seen is not None and instant(event.at) > seen and event.actor_name != who.name
    ]
    linked = [alert.incident_id] if alert.incident_id is not None else []
    owner = next(iter((await queries.by_id(tx, who.access, linked)).values()), None)
    open_at = (INCIDENT_ID.page(owner.reference), f"Open {owner.reference}") if owner is not None else None
    is_over = alert.incident_id is not None
    return SinceScreen(shell, done=done, is_over=is_over and bool(done), open_at=open_at)


def instant(at: datetime) -> int:
    """Write an instant as a dialog says what it has seen."""
    return int(at.timestamp() * 1000)
