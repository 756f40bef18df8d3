"""The organisation: its name, which stands beside the product's on every page, its patience, and its last resort."""

from __future__ import annotations

from functools import partial

from litestar import get, post

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.access import P
from tocsin.identity.accounts import LONGEST_NAME
from tocsin.identity.model import USER_ID, Actor
from tocsin.oncall import queries as oncall_queries
from tocsin.oncall import service as oncall
from tocsin.oncall.model import POLICY_ID
from tocsin.web.base import forms, pages
from tocsin.web.base.forms import Form, Refused
from tocsin.web.parts.targets import read_target, responder_choices, target_choices


@get("/organisation", needs=P.USER_MANAGE)
async def organisation_page(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show the settings of the organisation to those who may change them."""
    return await _show(request, context, who)


async def _show(request: AppRequest, context: Context, who: Actor, refused: Refused | None = None) -> pages.Page:
    who.must(P.USER_MANAGE)
    async with context.db.begin() as tx:
        values = await pages.shell(tx, request, context, who)
        organisation = await queries.organisation(tx)
        values |= await _fallback(tx, context, who)
    values |= {"organisation": organisation, "longest_name": LONGEST_NAME, "conflict": ""}
    values["most_hours"] = identity.MOST_HOURS
    return pages.render("organisation/organisation.html", values, refused=refused)


async def _fallback(tx: Tx, context: Context, who: Actor) -> pages.Values:
    """Return whom escalations fall back on and whom one can choose; what is chosen can always be kept."""
    chosen = await oncall.describe_fallback(tx, context.channels)
    row = await oncall_queries.fallback_target(tx)
    people, policies = await target_choices(tx, await responder_choices(tx))
    value = ""
    if chosen is not None:
        kind, ids = ("user", USER_ID) if chosen.target.kind == "user" else ("policy", POLICY_ID)
        value = f"{kind}:{ids.write(chosen.target.id)}"
    kept = [(value, chosen.name)] if chosen is not None and value not in dict([*people, *policies]) else []
    return {
        "fallback": chosen,
        "fallback_value": value,
        "fallback_version": row.version if row is not None else 0,
        "choices": [("Nobody", [("", "Nobody"), *kept]), ("Policies", policies), ("People", people)],
        "may_choose": who.may(P.ONCALL_MANAGE),
    }


@post("/organisation/fallback", needs=P.ONCALL_MANAGE)
async def choose_fallback(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Choose whom escalations fall back on. Form fields: target (empty: nobody), version."""
    form = await forms.read(request)
    refused = await forms.attempt(context, form, "fallback-form", partial(_choose, who, form))
    return await _show(request, context, who, refused) if refused else pages.go("/organisation", "Saved.")


async def _choose(who: Actor, form: Form, tx: Tx) -> None:
    target = read_target(form, "target") if form.text("target") else None
    await oncall.set_fallback(tx, who, target, if_version=form.version())


@post("/organisation", needs=P.USER_MANAGE)
async def change(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Change the organisation. Form fields: name, remind_after_hours, give_back_after_hours (empty: never), version."""
    form = await forms.read(request)
    refused = await forms.attempt(context, form, "organisation-form", partial(_change, who, form))
    return await _show(request, context, who, refused) if refused else pages.go("/organisation", "Saved.")


async def _change(who: Actor, form: Form, tx: Tx) -> None:
    changes = identity.OrganisationChanges(
        form.text("name"),
        form.optional_whole("remind_after_hours", least=1, most=identity.MOST_HOURS),
        form.optional_whole("give_back_after_hours", least=1, most=identity.MOST_HOURS),
    )
    await identity.update_organisation(tx, who, changes, if_version=form.version())


HANDLERS = [organisation_page, change, choose_fallback]
