"""What is written about many rows at once: runs, pages, the steps of a policy."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import case, delete, update

from tocsin.db.engine import Tx
from tocsin.oncall.model import EscalationRun, EscalationStep, Page, PageState

# Runs are locked in the order of their ids, as everywhere.
_REWORD = """
WITH held AS (
    SELECT id, alert_id FROM escalation_run WHERE alert_id = ANY($1::uuid[]) AND state = 'running'
    ORDER BY id FOR NO KEY UPDATE
)
UPDATE escalation_run AS run SET content = run.content || words.content
FROM held JOIN unnest($1::uuid[], $2::jsonb[]) AS words (alert_id, content) ON words.alert_id = held.alert_id
WHERE run.id = held.id
"""


async def reword(tx: Tx, contents: Mapping[UUID, str]) -> None:
    """Lock what runs for these alerts and let its next messages say this (alert → JSON object). Needs no session."""
    await (await tx.raw()).execute(_REWORD, list(contents), list(contents.values()))


async def close_pages(tx: Tx, run_ids: Sequence[UUID], state: PageState, *, were: Collection[PageState]) -> list[UUID]:
    """Put the pages of these runs that wait for an answer into their last state; returns all that were in these."""
    closed = await tx.session.execute(
        update(Page)
        .where(Page.run_id.in_(run_ids), Page.state.in_(were))
        .values(state=case((Page.state == PageState.PAGING, state), else_=Page.state))
        .returning(Page.id)
        .execution_options(synchronize_session=False)
    )
    return list(closed.scalars())


async def mark_passed_on(tx: Tx, run: EscalationRun, user_id: UUID) -> None:
    """Note on the pages of the present step that this person got when they asked for the next one."""
    mine = Page.run_id == run.id, Page.user_id == user_id, Page.step == run.step, Page.state == PageState.NO_ANSWER
    passed = update(Page).where(*mine).values(passed_on_at=tx.now)
    await tx.session.execute(passed.execution_options(synchronize_session=False))


async def delete_steps(tx: Tx, policy_id: UUID) -> None:
    """Remove the steps of a policy, with whom they ask."""
    await tx.session.execute(delete(EscalationStep).where(EscalationStep.policy_id == policy_id))
