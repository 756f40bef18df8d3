"""What an incident has yet to say before it may enter a state. Reads, and changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.db.engine import Tx
from tocsin.incidents import gates, type_queries
from tocsin.incidents.gates import ALWAYS, Missing
from tocsin.incidents.model import Incident, Status
from tocsin.incidents.type_model import CustomField


async def missing_for(tx: Tx, incident: Incident, *states: Status) -> dict[Status, list[Missing]]:
    """Return for each of these states what the incident has to say before it can be entered, as it stands now."""
    asked = (await type_queries.versions_of(tx, [incident]))[incident.id]
    fields = [each for each in await _shown(tx, asked.version.layout) if each.archived_at is None]
    return {
        state: gates.missing(incident, asked.version.requirements, fields, asked.type.short_id, state)
        if gates.is_forward(Status(incident.status), state)
        else []
        for state in states
    }


async def _shown(tx: Tx, layout: Sequence[str]) -> list[CustomField]:
    known = await type_queries.fields_called(tx, {key for key in layout if key not in ALWAYS})
    return [known[key] for key in layout if key in known]
