"""What is done on the page of one thing, as a table: each form with its use case and the words of success.

Each handler reads its form, runs the use case in one transaction, and leads back to the page or shows it again with
what is wrong. What is not that plain stays a handler written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.declared import declared
from tocsin.edge.rights import Needs
from tocsin.identity.model import Actor
from tocsin.kit.ids import IdKind
from tocsin.web.base import forms, pages
from tocsin.web.base.forms import Form, Refused

Show = Callable[[AppRequest, Context, Actor, str, Refused | None], Awaitable[pages.Page]]


@dataclass(frozen=True, slots=True)
class Made:
    """What was made has a page of its own."""

    place: str


# Reads the form and calls one use case. What the path names comes as an id where the actions say of what kind, and as a
# text elsewhere. The words that it returns are told instead of the action's own, and where it returns a `Made`, one is
# led there.
Run = Callable[[Tx, Actor, Any, Form], Awaitable[Made | str | None]]


@dataclass(frozen=True, slots=True)
class Action:
    """One form: `POST <place>/<verb>`. `run` reads its fields, which its docstring names.

    `form` is the id of the form in the page, the verb if it is empty; fields stand in braces (`role-{role}`), and so
    does the parameter of the path. `show` shows it again when it is refused, if it has a page of its own. `leads_to` is
    where one is led afterwards, if that is not the page itself. What is done `once` is not done again for a form that
    is sent twice (`ui.form(…, one_time=true)`). What may be done `by_link` is so for who came by the link of a page.
    """

    verb: str
    run: Run
    says: str = ""
    form: str = ""
    needs: Needs | None = None
    leads_to: str = ""
    once: bool = False
    show: Show | None = None
    by_link: bool = False


class Actions:
    """The actions of one page. `place` is its path (`/teams/{id:str}`), `show` shows the page.

    The path has one parameter, or none: what it would name is "" then. What it names is read as one of `ids`. Where the
    things of a list have no page of their own, `leads_to` is the list.
    """

    def __init__(self, place: str, show: Show, needs: Needs, *, ids: IdKind | None = None, leads_to: str = "") -> None:
        self._place = place
        named = re.findall(r"{(\w+):str}", place)
        if len(named) > 1:
            raise ValueError(f"{place} has more than one parameter.")
        self._parameter: str = "".join(named)
        self._show = show
        self._needs = needs
        self._read: Callable[[str], object] = ids.read if ids is not None else str
        self._leads_to = leads_to

    def handlers(self, *actions: Action) -> list[HTTPRouteHandler]:
        """Return a handler for each."""
        return [self._handler(action) for action in actions]

    def _handler(self, action: Action) -> HTTPRouteHandler:
        async def work(request: AppRequest, context: Context, who: Actor, **named: str) -> pages.Page:
            id = "".join(named.values())
            form = await forms.read(request)
            told: list[Made | str | None] = []
            form_id = (action.form or action.verb).format_map(_Fields(form, named))

            async def use_case(tx: Tx) -> None:
                # What was changed before it was sent again is something else.
                if not action.once or await forms.once(tx, who, form, form_id, id, repr(sorted(form.lists.items()))):
                    told.append(await action.run(tx, who, self._read(id), form))

            refused = await forms.attempt(context, form, form_id, use_case)
            if refused is not None:
                return await (action.show or self._show)(request, context, who, id, refused)
            here = action.leads_to or self._leads_to or self._place.replace(f"{{{self._parameter}:str}}", id)
            match told:
                case [Made(place)]:
                    return pages.go(place, action.says)
                case [str(words)]:
                    return pages.go(here, words)
                case [_]:
                    return pages.go(here, action.says)
                case _:
                    return pages.go(here)

        run = action.run
        takes: dict[str, Any] = {"request": AppRequest, "context": Ctx, "who": Who}
        takes |= {self._parameter: FromPath[str]} if self._parameter else {}
        made = declared(work, name=run.__name__.lstrip("_"), doc=run.__doc__, takes=takes, returns=pages.Page)
        place = f"{self._place}/{action.verb}".rstrip("/")
        return post(place, needs=action.needs or self._needs, by_link=action.by_link)(made)


class _Fields(dict[str, str]):
    def __init__(self, form: Form, named: Mapping[str, str]) -> None:
        super().__init__(named)
        self._form = form

    def __missing__(self, name: str) -> str:
        return self._form.text(name)
