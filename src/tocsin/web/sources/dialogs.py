"""What is typed into a source, and what is asked before it is done: each a page that opens as a dialog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tocsin.alerts import queries, source_queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import SOURCE_ID, AlertSource
from tocsin.alerts.sources import ADAPTERS
from tocsin.identity.access import P
from tocsin.web.base.screens import DialogScreen
from tocsin.web.parts.dialogs import Dialog, Opened, Question
from tocsin.web.parts.targets import Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSourceScreen(DialogScreen):
    """A source that is to be, of one of `kinds`."""

    template: ClassVar = "sources/new.html"
    kinds: list[Choice]


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameScreen(DialogScreen):
    """The name of a source."""

    template: ClassVar = "sources/rename.html"
    name: str
    version: int


async def _new_source(opened: Opened) -> NewSourceScreen:
    """Show the form of a new source."""
    kinds = [(kind, adapter.label) for kind, adapter in ADAPTERS.items()]
    return NewSourceScreen(opened.shell, kinds=kinds, back="/sources", refused=opened.refused)


async def _rename_source(opened: Opened) -> RenameScreen:
    """Show the form for the name of a source."""
    source = await _source(opened, P.SOURCE_MANAGE)
    return RenameScreen(
        opened.shell,
        name=source.name,
        version=source.version,
        back=SOURCE_ID.page(source.id),
        seen=str(source.version),
        refused=opened.refused,
    )


async def _rotate_source(opened: Opened) -> Question:
    """Ask before a source gets a new secret."""
    source = await _source(opened, P.SOURCE_MANAGE)
    open_alerts = await _open(opened, source)
    refused = (
        f", also those that would end its {alerts.at_most(open_alerts)} open alert{'' if open_alerts == 1 else 's'}"
        if open_alerts
        else ""
    )
    text = f"The old address stops working at once. Until the tool has the new one, its signals are refused{refused}."
    fields = {"version": source.version}
    return _question(
        opened, source, "rotate", f"Rotate the secret of {source.name}", text, "Rotate secret", fields, once=True
    )


async def _disable_source(opened: Opened) -> Question:
    """Ask before a source is switched off."""
    source = await _source(opened, P.SOURCE_MANAGE)
    open_alerts = await _open(opened, source)
    one = open_alerts == 1
    left = (
        f"Its {alerts.at_most(open_alerts)} open alert{' stays' if one else 's stay'} open: the tool, or you, can "
        f"still end {'it' if one else 'them'}."
        if open_alerts
        else "None of its alerts is open."
    )
    text = f"What it sends opens no alerts until somebody switches it on again. {left}"
    return _question(opened, source, "disable", f"Switch {source.name} off", text, "Switch off")


async def _delete_source(opened: Opened) -> Question:
    """Ask before a source is deleted."""
    source = await _source(opened, P.SOURCE_MANAGE)
    text = (
        "Its address stops working, and what it sent is deleted. A source that has opened alerts, or that a route asks "
        "for, cannot be deleted."
    )
    return _question(opened, source, "delete", f"Delete {source.name}", text, "Delete source")


async def _end_alerts(opened: Opened) -> Question:
    """Ask before all that a source has left open is resolved."""
    source = await _source(opened, P.ALERT_EDIT)
    open_alerts = await _open(opened, source)
    one = open_alerts == 1
    them = "it" if one else "them"
    again = "." if source.is_enabled else " once this source is switched on again."
    most = f" At most {alerts.MOST_ENDED} at once." if open_alerts > alerts.MOST_ENDED else ""
    text = (
        f"{'One alert is' if one else f'{alerts.at_most(open_alerts)} alerts are'} resolved as yours, and nobody is "
        f"paged for {them} any more. A tool that still sees the problem opens it anew{again}{most}"
    )
    title = f"Resolve the open alerts of {source.name}"
    return _question(opened, source, "end", title, text, "Resolve them", action="resolve-alerts")


async def _source(opened: Opened, right: P) -> AlertSource:
    source = await queries.source(opened.tx, opened.who.access, opened.id)
    opened.who.must(right, on=source)
    return source


async def _open(opened: Opened, source: AlertSource) -> int:
    return (await source_queries.source_figures(opened.tx, [source.id]))[source.id].open_alerts


def _question(
    opened: Opened,
    source: AlertSource,
    verb: str,
    title: str,
    text: str,
    label: str,
    fields: dict[str, str | int] | dict[str, int] | None = None,
    *,
    action: str = "",
    once: bool = False,
) -> Question:
    place = SOURCE_ID.page(source.id)
    return Question(
        opened.shell,
        title=title,
        text=text,
        label=label,
        form=f"{verb}-dialog-form",
        action=f"{place}/{action or verb}",
        fields=fields or {},
        crumbs=[("/sources", "Sources"), (place, source.name)],
        once=once,
        back=place,
        seen=str(source.version),
        refused=opened.refused,
    )


NEW = Dialog("/sources/new", _new_source, P.SOURCE_MANAGE)
RENAME = Dialog("/sources/{id:str}/rename", _rename_source, P.SOURCE_MANAGE, ids=SOURCE_ID)
ROTATE = Dialog("/sources/{id:str}/rotate", _rotate_source, P.SOURCE_MANAGE, ids=SOURCE_ID)
DISABLE = Dialog("/sources/{id:str}/disable", _disable_source, P.SOURCE_MANAGE, ids=SOURCE_ID)
DELETE = Dialog("/sources/{id:str}/delete", _delete_source, P.SOURCE_MANAGE, ids=SOURCE_ID)
END = Dialog("/sources/{id:str}/resolve-alerts", _end_alerts, P.ALERT_EDIT, ids=SOURCE_ID)
HANDLERS = [dialog.handler for dialog in (NEW, RENAME, ROTATE, DISABLE, DELETE, END)]
