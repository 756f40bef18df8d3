"""Forms and questions with a page of their own, which open as a dialog where there is a script; see `ui.sheet`."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any, ClassVar

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.declared import declared
from tocsin.edge.rights import Needs
from tocsin.events.base import Subject
from tocsin.identity.model import Actor
from tocsin.kit.ids import IdKind
from tocsin.web.base import pages
from tocsin.web.base.forms import Refused
from tocsin.web.base.screens import DialogScreen, Shell
from tocsin.web.parts import since
from tocsin.web.parts.picking import Option, Picker, picker


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(DialogScreen):
    """A question with one answer: deleting, switching off, revoking. `form` is the id of its form, sent to `action`.

    `fields` are hidden in it. `crumbs` lead to where it was opened: place and text.
    """

    template: ClassVar = "ask.html"
    title: str
    text: str
    form: str
    action: str
    label: str
    fields: Mapping[str, str | int] = dataclass_field(default_factory=dict[str, "str | int"])
    crumbs: Sequence[tuple[str, str]] = ()
    tone: str = "danger"
    once: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """What a dialog is made of. `id` is what the path names first, read as its kind; `named` is all of it, as text."""

    tx: Tx
    context: Context
    shell: Shell
    who: Actor
    id: Any
    named: Mapping[str, str]
    refused: Refused | None

    async def picker(self, kind: str, name: str, chosen: Sequence[Option] = ()) -> Picker:
        """Return what a field of the dialog offers."""
        in_sheet = self.shell.in_sheet
        return await picker(self.tx, self.who, kind, in_sheet=in_sheet, name=name, refused=self.refused, chosen=chosen)


class NotAnyMore(Exception):
    """What a dialog asks cannot be done any more, as what makes it found out: one is led to `place`, with `words`."""

    def __init__(self, place: str, words: str) -> None:
        super().__init__(words)
        self.place = place
        self.words = words


Make = Callable[[Opened], Awaitable[DialogScreen]]
News = Callable[[AppRequest, Opened], Awaitable[since.SinceScreen]]


class Dialog:
    """One dialog: `GET <place>`. `make` checks the right on what it is about, and its docstring says what it shows.

    What the path names first is read as one of `ids`. Where its screen says which version it was shown for (`seen`),
    `?seen=` answers what others have changed since, or what `news` says, which checks the right on it as well.
    """

    def __init__(
        self, place: str, make: Make, needs: Needs, *, ids: IdKind | None = None, news: News | None = None
    ) -> None:
        self._place = place
        self._named = re.findall(r"{(\w+):str}", place)
        self._make = make
        self._needs = needs
        self._ids = ids
        self._news = news

    async def show(
        self, request: AppRequest, context: Context, who: Actor, id: str, refused: Refused | None = None
    ) -> pages.Page:
        """Show the form, also one that was refused: what the path names beside the first is a field of it."""
        more = {name: refused.form.text(name) if refused is not None else "" for name in self._named[1:]}
        return await self.again(request, context, who, dict.fromkeys(self._named[:1], id) | more, refused)

    async def again(
        self, request: AppRequest, context: Context, who: Actor, named: Mapping[str, str], refused: Refused | None
    ) -> pages.Page:
        """Show the form of the path in which this is `named`."""
        first = named[self._named[0]] if self._named else ""
        id = self._ids.read(first) if self._ids is not None else first
        async with context.db.look() as tx:
            shell = await pages.shell(tx, request, context, who)
            opened = Opened(tx, context, shell, who, id, named, refused)
            if self._news is not None and "seen" in request.query_params:
                return pages.render(await self._news(request, opened))
            try:
                screen = await self._make(opened)
            except NotAnyMore as over:
                return pages.go(over.place, over.words)
            if screen.seen and "seen" in request.query_params:
                about = Subject(self._ids.name if self._ids is not None else "", opened.id)
                return pages.render(await since.of_thing(tx, request, shell, who, about, int(screen.seen)))
        return pages.render(screen)

    @property
    def handler(self) -> HTTPRouteHandler:
        """Return the handler of its page."""

        async def work(request: AppRequest, context: Context, who: Actor, **named: str) -> pages.Page:
            return await self.again(request, context, who, named, None)

        takes: dict[str, Any] = {"request": AppRequest, "context": Ctx, "who": Who}
        takes |= dict.fromkeys(self._named, FromPath[str])
        name = f"show_{self._make.__name__.lstrip('_')}"
        made = declared(work, name=name, doc=self._make.__doc__, takes=takes, returns=pages.Page)
        return get(self._place, needs=self._needs)(made)
