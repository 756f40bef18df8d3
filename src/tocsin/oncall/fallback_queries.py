"""What the last resort has to know: whom it was asked about, and who is asked about the same by others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select

from tocsin.db.engine import Tx
from tocsin.oncall.escalation import PageTarget
from tocsin.oncall.model import EscalationRun, RunState

# The word "fall" as a number; the other half of an advisory lock's key is the incident.
_LOCK_SPACE = 0x66616C6C
_IN_TURN = "SELECT pg_advisory_xact_lock($1::int, hashtext($2::text))"


async def incidents_with_fallback(tx: Tx, incident_ids: Sequence[UUID]) -> set[UUID]:
    """Return for which of these incidents the fallback is being asked for help now.

    Until the commit nobody else learns it of them, and so asks the fallback as well: two runs of one incident meet
    nowhere else, as each is locked by itself.
    """
    for id in sorted(incident_ids):
        await (await tx.raw()).execute(_IN_TURN, _LOCK_SPACE, str(id))
    query = select(EscalationRun.incident_id).where(
        EscalationRun.incident_id.in_(incident_ids),
        EscalationRun.state == RunState.RUNNING,
        EscalationRun.is_fallback,
    )
    return {id for id in (await tx.session.scalars(query)).all() if id is not None}


async def asked_as_fallback(tx: Tx, target: PageTarget, runs: Sequence[EscalationRun]) -> set[UUID]:
    """Return the alerts and incidents of these runs about which this fallback is asked now, or was since they began."""
    query = select(EscalationRun).where(
        or_(
            EscalationRun.alert_id.in_([run.alert_id for run in runs if run.alert_id is not None]),
            EscalationRun.incident_id.in_([run.incident_id for run in runs if run.incident_id is not None]),
        ),
        EscalationRun.is_fallback,
        EscalationRun.started_at >= min(run.started_at for run in runs),
        or_(EscalationRun.policy_id == target.id, EscalationRun.direct_user_id == target.id),
    )
    found = (await tx.session.scalars(query)).all()
    return {id for run in found if (id := run.alert_id or run.incident_id) is not None}


# What could not be sent has asked nobody.
_ASKED_ABOUT = """
SELECT DISTINCT coalesce(page.alert_id, page.incident_id) AS about, page.user_id
FROM page JOIN escalation_run AS run ON run.id = page.run_id
WHERE (page.alert_id = ANY($1::uuid[]) OR page.incident_id = ANY($1::uuid[])) AND NOT run.is_fallback
  AND ((page.state = 'paging' AND run.state = 'running')
       OR (page.state IN ('no_answer', 'declined') AND page.paged_at > $2))
"""


async def asked_about(tx: Tx, about: Collection[UUID], since: datetime) -> list[tuple[UUID, UUID]]:
    """Return who is being paged about these alerts and incidents now, or was later than that, but by the fallback.

    Needs no session.
    """
    await tx.flush()
    rows = await (await tx.raw()).fetch(_ASKED_ABOUT, list(about), since)
    return [(row["about"], row["user_id"]) for row in rows]
