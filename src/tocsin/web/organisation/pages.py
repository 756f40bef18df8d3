"""The organisation: its name, which stands beside the product's on every page, its patience, and its last resort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from litestar import get

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.access import P
from tocsin.identity.accounts import LONGEST_NAME
from tocsin.identity.model import USER_ID, Actor, Organisation
from tocsin.kit.errors import NotFound
from tocsin.oncall import queries as oncall_queries
from tocsin.oncall import service as oncall
from tocsin.oncall.model import POLICY_ID
from tocsin.web.base import pages
from tocsin.web.base.actions import Action, Actions
from tocsin.web.base.forms import Form, Refused
from tocsin.web.base.screens import ShellScreen
from tocsin.web.parts.picking import Option, Picker, picker
from tocsin.web.parts.targets import read_target


@dataclass(frozen=True, slots=True)
class LastResort:
    """Whom escalations fall back on, and whom one can choose."""

    chosen: oncall.Fallback | None
    version: int
    targets: Picker


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationScreen(ShellScreen):
    """The settings of the organisation. `last_resort` is None for whoever may not choose it."""

    template: ClassVar = "organisation/organisation.html"
    organisation: Organisation
    longest_name: int
    last_resort: LastResort | None


@get("/organisation", needs=P.USER_MANAGE)
async def organisation_page(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show the settings of the organisation to those who may change them."""
    return await _show(request, context, who, "")


async def _show(
    request: AppRequest, context: Context, who: Actor, _: str, refused: Refused | None = None
) -> pages.Page:
    who.must(P.USER_MANAGE)
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        organisation = await queries.organisation(tx)
        if organisation is None:
            raise NotFound("There is no organisation yet.")
        screen = OrganisationScreen(
            shell,
            organisation=organisation,
            longest_name=LONGEST_NAME,
            last_resort=await _last_resort(tx, context, who, refused) if who.may(P.ONCALL_MANAGE) else None,
            refused=refused,
        )
    return pages.render(screen)


async def _last_resort(tx: Tx, context: Context, who: Actor, refused: Refused | None) -> LastResort:
    """Return whom escalations fall back on and whom one can choose; what is chosen can always be kept."""
    chosen = await oncall.describe_fallback(tx, context.channels)
    row = await oncall_queries.fallback_target(tx)
    now: list[Option] = []
    if chosen is not None:
        kind, ids = ("user", USER_ID) if chosen.target.kind == "user" else ("policy", POLICY_ID)
        now = [Option(f"{kind}:{ids.write(chosen.target.id)}", chosen.name)]
    targets = await picker(tx, who, "targets", in_sheet=False, name="target", refused=refused, chosen=now)
    return LastResort(chosen, row.version if row is not None else 0, targets)


async def _choose_fallback(tx: Tx, who: Actor, _: str, form: Form) -> None:
    """Choose whom escalations fall back on. Form fields: target (empty: nobody), version."""
    target = read_target(form.text("target"), "target") if form.text("target") else None
    await oncall.set_fallback(tx, who, target, if_version=form.version())


async def _change(tx: Tx, who: Actor, _: str, form: Form) -> None:
    """Change the organisation. Form fields: name, remind_after_hours, give_back_after_hours (empty: never), version."""
    changes = identity.OrganisationChanges(
        form.text("name"),
        form.optional_whole("remind_after_hours", least=1, most=identity.MOST_HOURS),
        form.optional_whole("give_back_after_hours", least=1, most=identity.MOST_HOURS),
    )
    await identity.update_organisation(tx, who, changes, if_version=form.version())


HANDLERS = [
    organisation_page,
    *Actions("/organisation", _show, needs=P.USER_MANAGE).handlers(
        Action("", _change, "Saved.", form="organisation-form"),
        Action("fallback", _choose_fallback, "Saved.", form="fallback-form", needs=P.ONCALL_MANAGE),
    ),
]
