"""Whether a change of an incident may still be made by somebody who has not seen what others did meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tocsin.db.engine import Tx
from tocsin.events import since
from tocsin.events.base import Change, Subject
from tocsin.incidents.model import INCIDENT_ID, Incident
from tocsin.kit.changes import Copy


async def must_be_unchanged(tx: Tx, incident: Incident, copy: Copy, wanted: Collection[str] = ()) -> None:
    """Raise `Stale` when these fields were changed since the caller looked, or anything for an exact version.

    A role is a field of its name. To end an incident or to begin it again changes no field that somebody else writes:
    whether it can be done its state says.
    """
    about = Subject(INCIDENT_ID.name, incident.id)
    called = incident.reference
    await since.must_be_unchanged(tx, about, incident.version, copy, wanted, called, code="incident.stale")


async def left_alone(tx: Tx, incident: Incident, copy: Copy, wanted: Sequence[Change]) -> frozenset[str]:
    """Return the fields that the caller sent as they saw them, and others changed; raises `Stale` as above."""
    about = Subject(INCIDENT_ID.name, incident.id)
    called = incident.reference
    return await since.left_alone(tx, about, incident.version, copy, wanted, called, code="incident.stale")
