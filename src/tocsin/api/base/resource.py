"""A plain resource of the API from one declaration: its list, its items, making, changing and deleting them, actions.

Each handler reads the request, opens one transaction, calls one use case and writes what that returned; lists have
cursors, changes `If-Match`, items an ETag, and the documentation is made of the same declaration. What is not that
plain stays a handler written by hand, beside the others in the router.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody

from tocsin.api.base.body import Body, NoBody, ids_in, naming
from tocsin.api.base.http import Cursor, Id, IfMatch, Limit, Listing, answer, listing, read_if_match
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.cursors import read_place
from tocsin.edge.declared import declared
from tocsin.edge.rights import Needs
from tocsin.identity.model import Actor
from tocsin.kit.ids import IdKind

Row = TypeVar("Row")
Out = TypeVar("Out", bound=msgspec.Struct)
# Writes several rows of one transaction, so that what belongs to them is read at once.
Write = Callable[[Tx, Context, Actor, Sequence[Row]], Awaitable[Sequence[Out]]]
Work = Callable[..., Awaitable[Any]]


class Resource(Generic[Row, Out]):
    """One kind of thing in the API. `view` and `manage` are the rights that its handlers state."""

    def __init__(
        self,
        path: str,
        ids: IdKind,
        out: type[Out],
        write: Write[Row, Out],
        *,
        view: Needs,
        manage: Needs,
        tag: str,
    ) -> None:
        self._path = path
        self._ids = ids
        self._out = out
        self._write = write
        self._view = view
        self._manage = manage
        self._tag = tag

    def router(self, *handlers: HTTPRouteHandler) -> Router:
        """Put the handlers of the resource together."""
        return Router(self._path, route_handlers=handlers, tags=[self._tag])

    def list(self, read: Work, doc: str, filters: Mapping[str, Any] | None = None) -> HTTPRouteHandler:
        """List what `read(tx, access, after=…, limit=…, …)` finds, by id; `filters` are further parameters by name."""

        async def work(
            request: AppRequest, context: Context, who: Actor, limit: int, cursor: str | None, **narrowed: Any
        ) -> Response[Any]:
            after = read_place(cursor, UUID)
            async with context.begin() as tx:
                rows: Sequence[Row] = await read(tx, who.access, after=after, limit=limit + 1, **narrowed)
                written = await self._write(tx, context, who, rows)
            pairs = list(zip(rows, written, strict=True))
            return listing(request, pairs, limit, lambda pair: pair[1], lambda pair: cast("Any", pair[0]).id)

        takes = {"request": AppRequest, "context": Ctx, "who": Who, "limit": (Limit, 25), "cursor": (Cursor, None)}
        named = self._path.strip("/")
        asked = {name: (kind, None) for name, kind in (filters or {}).items()}
        returns = Response[Listing[self._out]]
        made = declared(work, name=f"list_{named}", doc=doc, takes={**takes, **asked}, returns=returns)
        return get("/", needs=self._view)(made)

    def get(self, read: Work, doc: str) -> HTTPRouteHandler:
        """Show the one that `read(tx, access, id)` finds."""

        async def work(context: Context, who: Actor, id: str) -> Response[Out]:
            async with context.begin() as tx:
                return await self.answer(tx, context, who, await read(tx, who.access, self._ids.read(id)))

        return get("/{id:str}", needs=self._view)(self._made("get", doc, work, {"id": Id}))

    def create(self, body: type[Body], use_case: Work, doc: str) -> HTTPRouteHandler:
        """Make one with `use_case(tx, who, **fields of the body)`."""

        async def work(context: Context, who: Actor, data: Body) -> Response[Out]:
            fields = fields_of(data)
            async with context.begin() as tx:
                return await self.answer(tx, context, who, await use_case(tx, who, **fields), status=201)

        return post("/", needs=self._manage)(self._made("create", doc, work, {"data": JSONBody[body]}))

    def edit(self, body: type[Body], changes: type[Any], use_case: Work, doc: str) -> HTTPRouteHandler:
        """Change one with `use_case(tx, who, id, changes, if_version=…)`, from a JSON merge patch."""

        async def work(context: Context, who: Actor, id: str, data: Body, if_match: str | None) -> Response[Out]:
            wanted = changes(**fields_of(data))
            async with context.begin() as tx:
                row = await use_case(tx, who, self._ids.read(id), wanted, if_version=read_if_match(if_match))
                return await self.answer(tx, context, who, row)

        takes = {"id": Id, "data": JSONBody[body], "if_match": (IfMatch, None)}
        return patch("/{id:str}", needs=self._manage)(self._made("edit", doc, work, takes))

    def delete(self, use_case: Work, doc: str) -> HTTPRouteHandler:
        """Delete one with `use_case(tx, who, id)`."""

        async def work(context: Context, who: Actor, id: str) -> None:
            async with context.begin() as tx:
                await use_case(tx, who, self._ids.read(id))

        takes = {"context": Ctx, "who": Who, "id": Id}
        made = declared(work, name=f"delete_{self._ids.name}", doc=doc, takes=takes, returns=None)
        return delete("/{id:str}", needs=self._manage)(made)

    def action(self, verb: str, use_case: Work, doc: str, body: type[Body] = NoBody) -> HTTPRouteHandler:
        """Do something with one: `POST …/actions/<verb>`, by `use_case(tx, who, id, **fields of the body)`."""

        async def work(context: Context, who: Actor, id: str, data: Body) -> Response[Out]:
            fields = fields_of(data)
            async with context.begin() as tx:
                return await self.answer(tx, context, who, await use_case(tx, who, self._ids.read(id), **fields))

        takes = {"id": Id, "data": JSONBody[body]}
        return post(f"/{{id:str}}/actions/{verb}", status_code=200, needs=self._manage)(
            self._made(verb, doc, work, takes)
        )

    def _made(self, verb: str, doc: str, work: Work, takes: Mapping[str, Any]) -> Work:
        known = {"context": Ctx, "who": Who, **takes}
        return declared(work, name=f"{verb}_{self._ids.name}", doc=doc, takes=known, returns=Response[self._out])

    async def answer(self, tx: Tx, context: Context, who: Actor, row: Row, *, status: int = 200) -> Response[Out]:
        """Answer with one of them as it is now."""
        (shaped,) = await self._write(tx, context, who, [row])
        return answer(shaped, version=getattr(shaped, "version", None), status=status)


def fields_of(data: Body) -> dict[str, Any]:
    """Return what a body says, by name; what a merge patch does not say is left out. Ids that it names are read."""
    kind = type(data)
    said = {name: value for name in kind.__struct_fields__ if (value := getattr(data, name)) is not msgspec.UNSET}
    for name, ids in kind.refs.items():
        if isinstance(text := said.get(name), str):
            with naming(name):
                said[name] = ids.read(text)
        elif text is not None and name in said:
            said[name] = ids_in(name, ids, text)
    return said
