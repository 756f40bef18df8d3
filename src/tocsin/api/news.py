"""What people want to be told of what they were paged for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from litestar import Response, Router, get, put
from litestar.params import JSONBody

from tocsin.api.base.body import Body, naming
from tocsin.api.base.http import Id, answer
from tocsin.api.shapes.people import theirs
from tocsin.edge.context import Ctx, Who
from tocsin.edge.rights import Right
from tocsin.identity.model import USER_ID
from tocsin.notifications import queries as contact
from tocsin.notifications import telling
from tocsin.notifications.model import METHOD_ID, Tell
from tocsin.notifications.news import Wish


class NewsPreferenceOut(msgspec.Struct):
    """What the person is told of what they were paged for, and where.

    `all`: that somebody took it, that it was given back, that it is over. `over`: the end alone. `none`: nothing.
    `contact_method_id` is null for the quietest one by which the page went out.
    """

    tell: Tell
    low_urgency: bool
    contact_method_id: str | None


class SetNewsPreference(Body, kw_only=True):
    """All of it: what is left out is as it is for somebody who has said nothing."""

    example: ClassVar[Mapping[str, Any]] = {
        "tell": "over",
        "low_urgency": False,
        "contact_method_id": "cm_06b6fyrfa9xsgs9xe3vxkm3j3m",
    }
    tell: Tell = Tell.ALL
    low_urgency: bool = False
    contact_method_id: str | None = None


def _written(wish: Wish) -> NewsPreferenceOut:
    return NewsPreferenceOut(wish.tell, wish.low_urgency, METHOD_ID.write_or_none(wish.method_id))


@get("/{id:str}/news_preference", needs=Right.OWN)
async def get_news_preference(context: Ctx, who: Who, id: Id) -> Response[NewsPreferenceOut]:
    """Show what the person wants to be told."""
    async with context.begin() as tx:
        person = await theirs(tx, who, USER_ID.read(id))
        wish = telling.wish_of(await contact.news_preference(tx, person.id))
    return answer(_written(wish))


@put("/{id:str}/news_preference", needs=Right.OWN)
async def set_news_preference(
    context: Ctx, who: Who, id: Id, data: JSONBody[SetNewsPreference]
) -> Response[NewsPreferenceOut]:
    """Replace what the person wants to be told. What has been queued is sent all the same.

    409 `user.inactive` for somebody whose account is switched off: nothing is told to them.
    """
    user_id = USER_ID.read(id)
    with naming("contact_method_id"):
        method_id = METHOD_ID.read_or_none(data.contact_method_id)
    wish = Wish(data.tell, data.low_urgency, method_id)
    async with context.begin() as tx:
        wish = await telling.set_preference(tx, who, user_id=user_id, wish=wish)
    return answer(_written(wish))


ROUTER = Router("/users", route_handlers=[get_news_preference, set_news_preference], tags=["people"])
