"""One field for everything: a page of its own, and what the palette asks while one types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from litestar import get

from tocsin.edge.context import AppRequest, Ctx, Who
from tocsin.edge.rights import Right
from tocsin.web.base import pages
from tocsin.web.base.screens import ShellScreen
from tocsin.web.search.finding import Hits, find, places


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchScreen(ShellScreen):
    """What was found, the most likely first; without words every place there is."""

    template: ClassVar = "search/search.html"
    q: str
    found: Sequence[Hits]


@get("/search", needs=Right.SIGNED_IN)
async def search(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Look for `?q=` in everything that the reader may see."""
    q = request.query_params.get("q", "").strip()[:200]
    async with context.db.look() as tx:
        shell = await pages.shell(tx, request, context, who)
        found = [*(await find(tx, who, q) if q else ()), *places(shell.menu, q)]
    return pages.render(SearchScreen(shell, q=q, found=found))


HANDLERS = [search]
