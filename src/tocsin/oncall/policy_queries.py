"""What is written about escalation policies."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.dialects import postgresql

from tocsin.db.engine import Tx
from tocsin.kit.ids import new_id
from tocsin.oncall.model import EscalationPolicy, EscalationStep


async def insert(tx: Tx, *, name: str, description: str, repeat: int) -> EscalationPolicy | None:
    """Insert a policy without steps; None when somebody has taken the name since it was looked for."""
    new = postgresql.insert(EscalationPolicy).values(
        id=new_id(),
        name=name,
        description=description,
        repeat=repeat,
        created_at=tx.now,
        updated_at=tx.now,
        version=1,
    )
    return (await tx.session.scalars(new.on_conflict_do_nothing().returning(EscalationPolicy))).one_or_none()


async def delete_steps(tx: Tx, policy_id: UUID) -> None:
    """Remove the steps of a policy, with whom they ask."""
    await tx.session.execute(delete(EscalationStep).where(EscalationStep.policy_id == policy_id))
