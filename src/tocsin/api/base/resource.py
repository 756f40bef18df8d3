"""A plain resource of the API from one declaration: its list, its items, making, changing and deleting them, actions.

Each handler reads the request, opens one transaction, calls one use case and writes what that returned; lists have
cursors, changes `If-Match`, items an ETag, and the documentation is made of the same declaration. What is not that
plain stays a handler written by hand, beside the others in the router.

A resource may stand below one of another kind (`below`). What the address names is read once the transaction is open,
and handed on behind who asks: first what it is below, then itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, patch, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, QueryParameter

from tocsin.api.base.body import Body, NoBody, fields_of
from tocsin.api.base.copying import copied
from tocsin.api.base.http import Cursor, Id, IfMatch, Limit, Listing, answer, listing, read_if_match, searchable
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.cursors import read_place
from tocsin.edge.declared import declared
from tocsin.edge.packing import as_it_is
from tocsin.edge.rights import Needs
from tocsin.identity.model import Actor
from tocsin.kit.ids import IdKind
from tocsin.kit.search import IN_ANY_ORDER, words_in

Row = TypeVar("Row")
Out = TypeVar("Out", bound=msgspec.Struct)
Other = TypeVar("Other", bound=msgspec.Struct)
Work = Callable[..., Awaitable[Any]]
# Further parameters of a handler, which what it calls takes too: each a type and what it is when it is left out.
Asks = Mapping[str, tuple[Any, Any]]
NOTHING: Asks = {}
# The version that was seen, which a use case takes as `if_version`.
IF_MATCH: Asks = {"if_match": (IfMatch, None)}


def by_words(where: str) -> Asks:
    """Take a search, which the query takes as `words`; `where` says what is searched."""
    described = QueryParameter(description=f"{IN_ANY_ORDER} Searches {where}.", max_length=200)
    return {"q": (Annotated[str | None, described], None)}


# Writes several rows of one transaction, so that what belongs to them is read at once.
Write = Callable[[Tx, Context, Actor, Sequence[Row]], Awaitable[Sequence[Out]]]


def plainly(write: Callable[[Row], Out]) -> Write[Row, Out]:
    """Write each row by itself, for everybody alike."""

    async def write_all(_tx: Tx, _context: Context, _who: Actor, rows: Sequence[Row]) -> list[Out]:
        return [write(row) for row in rows]

    return write_all


def copying(out: type[Out], ids: IdKind) -> Write[Any, Out]:
    """Write each row as it is, for everybody alike: a field is the attribute of its name (`copied`)."""
    return plainly(lambda row: copied(out, row, ids))


@dataclass(frozen=True, slots=True)
class ForAll:
    """Reads what is the same for whoever has the right that the handler states: `work(tx, …)`."""

    work: Work


@dataclass(frozen=True, slots=True)
class AskedBy:
    """Reads what depends on who asks, beyond what they see: `work(tx, who, …)`."""

    work: Work


# Without either word it is a query that is narrowed to what is seen: `work(tx, access, …)`.
Read = Work | ForAll | AskedBy


async def _as_it_is(_tx: Tx, _who: Actor, text: str) -> str:
    return text


@dataclass(frozen=True, slots=True)
class Called:
    """What one of a resource is called in code, and how what an address says of it is read: `read(tx, who, text)`."""

    name: str
    read: Callable[[Tx, Actor, str], Awaitable[Any]] = _as_it_is


def by_id(ids: IdKind) -> Called:
    """Know things by their public ids."""

    async def read(_tx: Tx, _who: Actor, text: str) -> UUID:
        return ids.read(text)

    return Called(ids.name, read)


def _called(ids: IdKind | Called) -> Called:
    return by_id(ids) if isinstance(ids, IdKind) else ids


def _id_at(cursor: str | None) -> UUID | None:
    return read_place(cursor, UUID)


@dataclass(frozen=True, slots=True)
class Order:
    """How a list goes on: how a cursor is read, where a row stands, and what the query calls the place."""

    place_of: Callable[[Any], object] = attrgetter("id")
    read: Callable[[str | None], Any] = _id_at
    to: str = "after"


OLDEST_FIRST = Order()
NEWEST_FIRST = Order(to="before")


class Resource(Generic[Row, Out]):
    """One kind of thing in the API. `view` and `manage` are the rights that its handlers state.

    `item` is what its id is called in addresses; `id` is what it is below, if it is.
    """

    def __init__(
        self,
        path: str,
        ids: IdKind | Called,
        out: type[Out],
        write: Write[Row, Out],
        *,
        view: Needs,
        tag: str,
        manage: Needs | None = None,
        order: Order = OLDEST_FIRST,
        below: IdKind | Called | None = None,
        item: str = "id",
    ) -> None:
        self._path = path
        self._called = _called(ids)
        self._out = out
        self._write = write
        self._view = view
        self._manage = view if manage is None else manage
        self._tag = tag
        self._order = order
        # By their names in addresses.
        self._below = {} if below is None else {"id": _called(below)}
        self._itself = {item: self._called}
        self._one = f"/{{{item}:str}}"

    def router(self, *handlers: HTTPRouteHandler, shows_secrets: bool = False) -> Router:
        """Put the handlers of the resource together; what shows secrets is sent as it is (`edge.packing`)."""
        after = as_it_is if shows_secrets else None
        return Router(self._path, route_handlers=handlers, tags=[self._tag], after_request=after)

    def list(self, read: Read, doc: str, *, asks: Asks = NOTHING) -> HTTPRouteHandler:
        """List what `read(…, after=…, limit=…, …)` finds."""
        name = f"list_{self._path.rpartition('/')[2]}"
        made = self._listing(name, read, self._out, self._write, doc, self._order, asks, is_one=False)
        return get("/", needs=self._view)(made)

    def list_of(
        self,
        part: str,
        read: Read,
        out: type[Other],
        write: Write[Any, Other],
        doc: str,
        *,
        name: str,
        order: Order = NEWEST_FIRST,
        needs: Needs | None = None,
        asks: Asks = NOTHING,
    ) -> HTTPRouteHandler:
        """List what belongs to one: what `read(…, id, before=…, limit=…, …)` finds."""
        made = self._listing(name, read, out, write, doc, order, asks)
        return get(f"{self._one}/{part}", needs=needs or self._view)(made)

    def get(self, read: Read, doc: str) -> HTTPRouteHandler:
        """Show the one that `read(…, id)` finds."""

        async def work(context: Context, who: Actor, **said: Any) -> Response[Out]:
            async with context.begin() as tx:
                row: Row = await _do(read, tx, who, *await self._named(tx, who, said))
                return await self.answer(tx, context, who, row)

        return get(self._one, needs=self._view)(self._made(self._name("get"), doc, work, self._takes()))

    def create(self, body: type[Body], use_case: Work, doc: str, *, name: str = "") -> HTTPRouteHandler:
        """Make one with `use_case(tx, who, **fields of the body)`."""
        made = self._changing(name or self._name("create"), use_case, doc, body, is_one=False, status=201)
        return post("/", needs=self._manage)(made)

    def edit(
        self,
        body: type[Body],
        changes: Callable[..., Any],
        use_case: Work,
        doc: str,
        *,
        needs: Needs | None = None,
        asks: Asks = NOTHING,
    ) -> HTTPRouteHandler:
        """Change one with `use_case(tx, who, id, changes, if_version=…)`, from a JSON merge patch."""
        made = self._changing(self._name("edit"), use_case, doc, body, changes=changes, asks={**IF_MATCH, **asks})
        return patch(self._one, needs=needs or self._manage)(made)

    def replace(self, part: str, body: type[Body], use_case: Work, doc: str, *, name: str) -> HTTPRouteHandler:
        """Say all of a part of one anew: with `use_case(tx, who, id, **fields of the body, if_version=…)`."""
        made = self._changing(name, use_case, doc, body, asks=IF_MATCH)
        return put(f"{self._one}/{part}", needs=self._manage)(made)

    def delete(self, use_case: Work, doc: str, *, name: str = "", asks: Asks = NOTHING) -> HTTPRouteHandler:
        """Delete one with `use_case(tx, who, id)`."""

        async def work(context: Context, who: Actor, **said: Any) -> None:
            async with context.begin() as tx:
                await use_case(tx, who, *await self._named(tx, who, said), **_beside(asks, said))

        takes = {**self._takes(), **asks}
        made = declared(work, name=name or self._name("delete"), doc=doc, takes=takes, returns=None)
        return delete(self._one, needs=self._manage)(made)

    def action(
        self,
        verb: str,
        use_case: Work,
        doc: str,
        body: type[Body] = NoBody,
        *,
        into: Callable[..., Any] | None = None,
        needs: Needs | None = None,
        name: str = "",
        asks: Asks = NOTHING,
        more_paths: Sequence[str] = (),
    ) -> HTTPRouteHandler:
        """Do something with one: `POST …/actions/<verb>`, by `use_case(tx, who, id, **fields of the body)`.

        With `into` the fields become one value, which is handed on instead.
        """
        made = self._changing(name or self._name(verb), use_case, doc, body, changes=into, asks=asks)
        paths = [f"{self._one}/actions/{verb}", *more_paths]
        return post(paths, status_code=200, needs=needs or self._manage)(made)

    async def answer(self, tx: Tx, context: Context, who: Actor, row: Row, *, status: int = 200) -> Response[Out]:
        """Answer with one of them as it is now."""
        (shaped,) = await self._write(tx, context, who, [row])
        return answer(shaped, version=getattr(shaped, "version", None), status=status)

    def _listing(
        self,
        name: str,
        read: Read,
        out: type[Other],
        write: Write[Any, Other],
        doc: str,
        order: Order,
        asks: Asks,
        *,
        is_one: bool = True,
    ) -> Work:
        """Make the handler of a list: of all there are, or of what belongs to one."""

        async def work(
            request: AppRequest, context: Context, who: Actor, limit: int, cursor: str | None, **said: Any
        ) -> Response[Any]:
            place = {order.to: order.read(cursor), "limit": limit + 1}
            async with context.begin() as tx:
                rows = await _do(read, tx, who, *await self._named(tx, who, said), **place, **_beside(asks, said))
                written = await write(tx, context, who, rows)
            pairs = list(zip(rows, written, strict=True))
            return listing(request, pairs, limit, lambda pair: pair[1], lambda pair: order.place_of(pair[0]))

        takes = {"request": AppRequest, **self._takes(is_one=is_one), **asks, "limit": (Limit, 25)}
        takes |= {"cursor": (Cursor, None)}
        return declared(work, name=name, doc=doc, takes=takes, returns=Response[Listing[out]])

    def _changing(
        self,
        name: str,
        use_case: Work,
        doc: str,
        body: type[Body],
        *,
        is_one: bool = True,
        status: int = 200,
        changes: Callable[..., Any] | None = None,
        asks: Asks = NOTHING,
    ) -> Work:
        """Make the handler of what takes a body and answers with what came of it."""

        async def work(context: Context, who: Actor, data: Body, **said: Any) -> Response[Out]:
            fields = fields_of(data)
            # Fields of their own, or one value that is made of them.
            value, fields = ((), fields) if changes is None else ((changes(**fields),), dict[str, Any]())
            async with context.begin() as tx:
                named = await self._named(tx, who, said)
                row = await use_case(tx, who, *named, *value, **fields, **_beside(asks, said))
                return await self.answer(tx, context, who, row, status=status)

        takes = {**self._takes(is_one=is_one), "data": JSONBody[body], **asks}
        return self._made(name, doc, work, takes)

    def _takes(self, *, is_one: bool = True) -> dict[str, Any]:
        """Return what each handler takes: whose transaction it is, who asks, and what the address names."""
        return {"context": Ctx, "who": Who, **dict.fromkeys(self._below | self._itself if is_one else self._below, Id)}

    async def _named(self, tx: Tx, who: Actor, said: Mapping[str, Any]) -> list[Any]:
        """Read what the address names."""
        whole = self._below | self._itself
        return [await called.read(tx, who, said[name]) for name, called in whole.items() if name in said]

    def _name(self, verb: str) -> str:
        return f"{verb}_{self._called.name}"

    def _made(self, name: str, doc: str, work: Work, takes: Mapping[str, Any]) -> Work:
        return declared(work, name=name, doc=doc, takes=takes, returns=Response[self._out])


async def _do(read: Read, tx: Tx, who: Actor, *named: Any, **said: Any) -> Any:
    match read:
        case ForAll(work):
            return await work(tx, *named, **said)
        case AskedBy(work):
            return await work(tx, who, *named, **said)
        case work:
            return await work(tx, who.access, *named, **said)


def _beside(asks: Asks, said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was said for these parameters, as what is called takes it."""
    found = {name: said[name] for name in asks}
    if "if_match" in found:
        found["if_version"] = read_if_match(found.pop("if_match"))
    if "q" in found:
        found["words"] = words_in(searchable(found.pop("q")))
    return found
