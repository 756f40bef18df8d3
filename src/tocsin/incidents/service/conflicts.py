"""Whether a change of an incident may still be made by somebody who has not seen what others did meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from tocsin.db.engine import Tx
from tocsin.events import since
from tocsin.events.base import Change, Subject
from tocsin.incidents.checks import TIMES
from tocsin.incidents.model import INCIDENT_ID, Incident
from tocsin.kit.changes import Copy, Seen


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


async def as_seen(tx: Tx, incident: Incident, copy: Copy) -> Mapping[str, datetime | None]:
    """Return the times that were changed since the caller looked, as they were then; see `fields.differing`.

    A page writes them to the second and in the zone of its reader, and so cannot send back what the record says.
    """
    if not isinstance(copy, Seen) or copy.version >= incident.version:
        return {}
    about = Subject(INCIDENT_ID.name, incident.id)
    done, is_all = await since.what_was_done(tx, about, incident.version, copy.version)
    # The newest come first: what the oldest of them found was seen.
    before = {name: said for each in done if is_all for name, said in each.before.items() if name in TIMES}
    return {name: datetime.fromisoformat(said) if said else None for name, said in before.items()}
