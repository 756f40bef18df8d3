"""Why somebody was paged and why an escalation ended, as readers are told; of what 0.1.0 wrote, its own sentence."""

from __future__ import annotations

from tocsin.events import facts
from tocsin.events.reasons import said, said_to_them
from tocsin.oncall.model import EscalationRun, Page


def why_you(page: Page) -> str:
    """Say to the person of a page why it is them."""
    why = facts.read(page.why)
    return said_to_them(why) if why is not None else page.reason


def why_them(page: Page, run: EscalationRun) -> str:
    """Say it of them, to whoever reads about the page of this run."""
    why = facts.read(page.why)
    if why is None:
        direct, fallback = run.direct_user_id is not None, run.is_fallback
        why = facts.paged_by(run.policy_name, step=page.step, round=page.round, direct=direct, fallback=fallback)
    return said(why)


def why_ended(run: EscalationRun) -> str:
    """Say why a run has ended; nothing while it has not."""
    return said(facts.read(run.end_why)) or run.end_reason or ""
