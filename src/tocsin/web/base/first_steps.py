"""What is left to do after the set-up until an alert reaches somebody: a list that ticks itself off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.alerts.model import SOURCE_ID
from tocsin.db.engine import Tx
from tocsin.edge.context import Context
from tocsin.identity.access import P
from tocsin.identity.model import USER_ID, Actor
from tocsin.web.base import first_queries

# The first words of the pages on which steps are done.
_AREAS = frozenset({"people", "policies", "routes", "organisation", "sources", "alerts"})
# Whoever may not do all of the steps is not shown any.
_NEEDED = (P.USER_MANAGE, P.ONCALL_MANAGE, P.SOURCE_MANAGE)
# In `Context.seen`: all of it was done once. The beginning is over then, and what is taken away later is no first step.
_ALL_DONE = "first steps"


@dataclass(frozen=True, slots=True)
class FirstStep:
    """One thing to do, and the page where it is done. The next one is the first that is not done."""

    title: str
    text: str
    href: str
    is_done: bool
    is_next: bool = False


@dataclass(frozen=True, slots=True)
class NextStep:
    """What comes next, where the steps are done: so many are `done` `of` all. `is_here`: on this page."""

    done: int
    of: int
    title: str
    href: str
    is_here: bool


async def next_step(tx: Tx, context: Context, who: Actor, path: str, *, is_form: bool) -> NextStep | None:
    """Return what comes next if this is a page of one of the steps; None when nothing is left, and elsewhere.

    `is_form`: a form was sent to this path, so that what is shown again is the editor of something new.
    """
    if path.split("/")[1] not in _AREAS:
        return None
    steps = await first_steps(tx, context, who)
    following = next((step for step in steps if step.is_next), None)
    if following is None:
        return None
    path = f"{path}/new" if is_form and following.href == f"{path}/new" else path
    is_here = path == following.href or path.startswith(f"{following.href}/")
    return NextStep(sum(step.is_done for step in steps), len(steps), following.title, following.href, is_here)


async def first_steps(tx: Tx, context: Context, who: Actor) -> Sequence[FirstStep]:
    """Return all steps in their order; none when everything is done or the reader may not configure.

    A step is done whoever did it: contact methods, too, may be somebody else's. Once all are, this process does not
    ask again.
    """
    if _ALL_DONE in context.seen or not all(who.may(permission) for permission in _NEEDED):
        return ()
    found = await first_queries.set_up_so_far(tx)
    me = USER_ID.page(who.must_be_someone())
    policies = "/policies" if found.has_policy else "/policies/new"
    source = SOURCE_ID.page(found.source_id) if found.source_id is not None else "/sources"
    todo = (
        ("Add an alert source", "One for each tool that sends signals.", "/sources", found.source_id is not None),
        ("Send the first signal", "The page of a source has a button and a command for it.", source, found.has_signal),
        ("Write an escalation policy", "Whom to page first, and whom next.", policies, found.has_policy),
        (
            "Create a route to it",
            "Which alerts the policy is for. A catch-all takes every alert.",
            "/routes",
            found.has_route,
        ),
        ("Add a contact method", "Yours or of whoever is on call. Then send a test page.", me, found.has_method),
        (
            "Receive the first page",
            "The command on the page of a source opens an alert that pages.",
            source,
            found.has_been_paged,
        ),
        ("Choose a last resort", "Whom to page when nobody else answers.", "/organisation", found.has_fallback),
    )
    left = [title for title, _, _, is_done in todo if not is_done]
    if not left:
        context.seen.add(_ALL_DONE)
        return ()
    return [FirstStep(*step, is_next=step[0] == left[0]) for step in todo]
