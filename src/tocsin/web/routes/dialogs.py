"""The catch-all, which is made in a dialog, and deleting a route: each a page that opens as a dialog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tocsin.alerts import queries
from tocsin.alerts.model import ROUTE_ID
from tocsin.identity.access import P
from tocsin.oncall import queries as oncall
from tocsin.oncall.model import POLICY_ID
from tocsin.web.base.screens import DialogScreen
from tocsin.web.parts.dialogs import Dialog, Opened, Question
from tocsin.web.parts.picking import Option, Picker


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchAllScreen(DialogScreen):
    """The route that takes what no other took, and the policies that it can lead to."""

    template: ClassVar = "routes/catch_all.html"
    policies: Picker


async def _new_catch_all(opened: Opened) -> CatchAllScreen:
    """Show the form of the catch-all."""
    opened.who.must(P.ONCALL_MANAGE)
    first = [Option(POLICY_ID.write(each.id), each.name) for each in await oncall.policies(opened.tx, limit=1)]
    policies = await opened.picker("policies", "policy_id", first)
    return CatchAllScreen(opened.shell, policies=policies, back="/routes", refused=opened.refused)


async def _delete_route(opened: Opened) -> Question:
    """Ask before a route is deleted."""
    opened.who.must(P.ONCALL_MANAGE)
    route = await queries.route(opened.tx, opened.id)
    place = f"/routes/{ROUTE_ID.write(route.id)}"
    return Question(
        opened.shell,
        title=f"Delete {route.name}",
        text="Alerts that it would have taken fall to the routes below. Alerts that are routed already stay as they "
        "are.",
        label="Delete route",
        form="delete-dialog-form",
        action=f"{place}/delete",
        crumbs=[("/routes", "Routes"), (place, route.name)],
        back=place,
        seen=str(route.version),
        refused=opened.refused,
    )


CATCH_ALL = Dialog("/routes/catch-all", _new_catch_all, P.ONCALL_MANAGE)
DELETE = Dialog("/routes/{id:str}/delete", _delete_route, P.ONCALL_MANAGE, ids=ROUTE_ID)
HANDLERS = [CATCH_ALL.handler, DELETE.handler]
