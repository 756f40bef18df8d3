"""Response targets: how fast incidents of each severity are to be worked on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from litestar import get

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import target_queries
from tocsin.incidents.service import targeting
from tocsin.incidents.service.targeting import TargetChanges
from tocsin.incidents.targets import LONGEST, Goal, goals
from tocsin.kit.errors import NotFound
from tocsin.web.base import forms, pages
from tocsin.web.base.actions import Action, Actions
from tocsin.web.base.forms import Form
from tocsin.web.base.navigation import Entry, Group
from tocsin.web.base.screens import DialogScreen, ShellScreen
from tocsin.web.parts.dialogs import Dialog, Opened

_PLACE = "/settings/targets"
_WORDS = {
    Goal.ACKNOWLEDGE: "Acknowledged within",
    Goal.UPDATE: "An update every",
    Goal.MITIGATE: "Mitigated within",
    Goal.RESOLVE: "Resolved within",
}


@dataclass(frozen=True, slots=True)
class TargetView:
    """One target of a severity: the name of its field, its words, and its minutes, if it is one."""

    name: str
    words: str
    minutes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetsScreen(ShellScreen):
    """The targets of the five severities."""

    template: ClassVar = "response_targets/targets.html"
    rows: list[tuple[int, list[TargetView]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EditTargetsScreen(DialogScreen):
    """The targets of one severity."""

    template: ClassVar = "response_targets/edit.html"
    severity: int
    version: int
    fields: list[TargetView]
    longest: int


@get(_PLACE, needs=P.USER_MANAGE)
async def response_targets(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show how fast incidents of each severity are to be worked on."""
    return await _show(request, context, who, "")


async def _show(
    request: AppRequest, context: Context, who: Actor, _: str, refused: forms.Refused | None = None
) -> pages.Page:
    who.must(P.USER_MANAGE)
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        rows = [(row.severity, _views(goals(row))) for row in await target_queries.of_each_severity(tx)]
    return pages.render(TargetsScreen(shell, rows=rows, refused=refused))


def _views(found: Mapping[Goal, int | None]) -> list[TargetView]:
    return [TargetView(f"{goal}_minutes", _WORDS[goal], minutes) for goal, minutes in found.items()]


async def _edit_targets(opened: Opened) -> EditTargetsScreen:
    """Show the form for the targets of one severity."""
    opened.who.must(P.USER_MANAGE)
    found = {str(row.severity): row for row in await target_queries.of_each_severity(opened.tx)}
    row = found.get(opened.id)
    if row is None:
        raise NotFound("There is no such severity.")
    return EditTargetsScreen(
        opened.shell,
        severity=row.severity,
        version=row.version,
        fields=_views(goals(row)),
        longest=LONGEST,
        back=_PLACE,
        refused=opened.refused,
    )


async def _write_targets(tx: Tx, who: Actor, severity: str, form: Form) -> None:
    """Form fields: acknowledge_minutes, update_minutes, mitigate_minutes, resolve_minutes (empty: none), version."""
    if severity not in ("1", "2", "3", "4", "5"):
        raise NotFound("There is no such severity.")
    said = {f"{goal}_minutes": form.optional_whole(f"{goal}_minutes", least=1, most=LONGEST) for goal in Goal}
    await targeting.update_targets(tx, who, int(severity), TargetChanges(**said), if_version=form.version())


_EDIT = Dialog(f"{_PLACE}/{{severity:str}}", _edit_targets, P.USER_MANAGE)
HANDLERS = [
    response_targets,
    _EDIT.handler,
    *Actions(f"{_PLACE}/{{severity:str}}", _EDIT.show, needs=P.USER_MANAGE, leads_to=_PLACE).handlers(
        Action("", _write_targets, "Targets saved.", form="targets-form")
    ),
]
NAV = (
    Entry(
        _PLACE,
        "timer",
        "Response targets",
        Group.ORGANISATION,
        25,
        P.USER_MANAGE,
        words="How fast incidents are to be acknowledged, told of, mitigated and resolved; SLA",
    ),
)
