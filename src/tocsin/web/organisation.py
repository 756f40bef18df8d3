"""The organisation: its name, which stands beside the product's on every page, and how long alerts may lie."""

from __future__ import annotations

from functools import partial

from litestar import get, post

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.accounts import LONGEST_NAME
from tocsin.identity.model import Actor
from tocsin.web import forms, pages
from tocsin.web.forms import Form, Refused


@get("/organisation")
async def organisation_page(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show the settings of the organisation to those who may change them."""
    return await _show(request, context, who)


async def _show(request: AppRequest, context: Context, who: Actor, refused: Refused | None = None) -> pages.Page:
    who.must("user.manage")
    async with context.db.begin() as tx:
        values = await pages.shell(tx, request, context, who)
        organisation = await queries.organisation(tx)
    values |= {"organisation": organisation, "longest_name": LONGEST_NAME, "conflict": ""}
    values["most_hours"] = identity.MOST_HOURS
    return pages.render("organisation.html", values, refused=refused)


@post("/organisation")
async def change(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Change the organisation. Form fields: name, remind_after_hours, give_back_after_hours (empty: never), version."""
    form = await forms.read(request)
    refused = await forms.attempt(context, form, "organisation-form", partial(_change, who, form))
    return await _show(request, context, who, refused) if refused else pages.go("/organisation", "Saved.")


async def _change(who: Actor, form: Form, tx: Tx) -> None:
    patience = identity.Patience(
        form.optional_whole("remind_after_hours", least=1, most=identity.MOST_HOURS),
        form.optional_whole("give_back_after_hours", least=1, most=identity.MOST_HOURS),
    )
    await identity.update_organisation(tx, who, name=form.text("name"), patience=patience, if_version=form.version())


HANDLERS = [organisation_page, change]
