"""The reader's own page on the page of an alert or an incident: what they can say to it, and saying it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.identity.model import Actor
from tocsin.incidents import service as incidents
from tocsin.kit.errors import Invalid
from tocsin.oncall import service as oncall
from tocsin.oncall.model import PAGE_ID, EscalationRun, Page, PageState, RunState
from tocsin.web.base.forms import Form, read_step


@dataclass(frozen=True, slots=True)
class Paging:
    """An escalation that is going on, as the buttons need it. `page_id` is the reader's own page, or empty."""

    step: str
    may_escalate: bool
    page_id: str


async def paging(tx: Tx, who: Actor, runs: Sequence[EscalationRun], pages: Sequence[Page]) -> Paging | None:
    """Return the escalation that pages the reader, else any that is going on; None when there is none."""
    running = {run.id: run for run in runs if run.state == RunState.RUNNING}
    waiting = [page for page in pages if page.state == PageState.PAGING and page.run_id in running]
    mine = next((page for page in waiting if page.user_id == who.user_id), None)
    run = running[mine.run_id] if mine is not None else next(iter(running.values()), None)
    if run is None:
        return None
    follows = await oncall.what_follows(tx, run, at_once=True)
    return Paging(f"{run.round}-{run.step}", bool(follows.page), PAGE_ID.write(mine.id) if mine is not None else "")


async def answer(tx: Tx, who: Actor, form: Form) -> None:
    """Answer one's own page. Form fields: page_id, do (ack, decline or escalate), step (guards against a repeat)."""
    await say(tx, who, form.id("page_id", PAGE_ID), form)


async def say(tx: Tx, who: Actor, page_id: UUID, form: Form) -> None:
    """Answer this page. Form fields: do (ack, decline or escalate), step (guards against a repeat)."""
    match form.text("do"):
        case "ack":
            await incidents.answer_page(tx, who, page_id)
        case "decline":
            await incidents.decline_page(tx, who, page_id)
        case "escalate":
            await incidents.escalate_page(tx, who, page_id, seen=read_step(form.text("step")))
        case _:
            raise Invalid("", "Choose one of the list.")
