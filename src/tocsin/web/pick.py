"""What a field offers while one types: `GET /pick/people?q=ada` and its kin, for js/pickers.js."""

from __future__ import annotations

import msgspec
from litestar import MediaType, Response, get
from litestar.params import FromPath

from tocsin.edge.context import AppRequest, Ctx, Who
from tocsin.edge.rights import Right
from tocsin.web.parts.picking import kind_for

# One who sees more of them does not find the one sooner; one goes on typing.
_MOST = 20
_LONGEST = 100


@get("/pick/{kind:str}", needs=Right.SIGNED_IN)
async def pick(request: AppRequest, context: Ctx, who: Who, kind: FromPath[str]) -> Response[bytes]:
    """Return what of this kind has all words of `q`, at most 20: a list of value, text, note and group."""
    found = kind_for(who, kind)
    words = request.query_params.get("q", "")[:_LONGEST].split()
    async with context.db.look() as tx:
        options = await found.find(tx, who, words, _MOST)
    return Response(msgspec.json.encode(options), media_type=MediaType.JSON, headers={"cache-control": "no-store"})


HANDLERS = [pick]
