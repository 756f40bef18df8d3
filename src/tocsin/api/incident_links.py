"""Where else an incident goes on: tickets, chats, meetings, dashboards, documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec

from tocsin.api.base.body import Body
from tocsin.api.base.copying import copied
from tocsin.api.base.http import Time
from tocsin.api.base.resource import Resource, plainly
from tocsin.api.shapes.refs import INCIDENT
from tocsin.db.engine import Tx
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import related_queries
from tocsin.incidents.model import LINK_ID, IncidentLink, LinkKind
from tocsin.incidents.service import relating


class AddLink(Body, kw_only=True):
    """What stands there, an http or https address, and what it is called; without a name it is called by its address.

    A link of type `meeting` is where people talk now.
    """

    example: ClassVar[Mapping[str, Any]] = {
        "type": "meeting",
        "name": "Bridge",
        "url": "https://meet.example.org/inc-7",
    }
    type: LinkKind
    url: Annotated[str, msgspec.Meta(max_length=relating.URL_LIMIT)]
    name: Annotated[str, msgspec.Meta(max_length=relating.NAME_LIMIT)] = ""


class IncidentLinkOut(msgspec.Struct):
    """A link of an incident."""

    id: str
    type: LinkKind
    name: str
    url: str
    created_at: Time


def _write(link: IncidentLink) -> IncidentLinkOut:
    return copied(IncidentLinkOut, link, LINK_ID, type=LinkKind(link.kind))


async def _add(tx: Tx, who: Actor, ref: str, *, type: LinkKind, url: str, name: str) -> IncidentLink:
    return await relating.add_link(tx, who, ref, kind=type, url=url, name=name)


LINKS = Resource(
    "/incidents/{id:str}/links",
    LINK_ID,
    IncidentLinkOut,
    plainly(_write),
    view=P.INCIDENT_VIEW,
    manage=P.INCIDENT_EDIT,
    tag="incidents",
    below=INCIDENT,
    item="link_id",
)
ROUTER = LINKS.router(
    LINKS.list(related_queries.links, "List the links of an incident in the order in which they were added."),
    LINKS.create(AddLink, _add, "Add a link, at most 50; also when the incident is over."),
    LINKS.delete(relating.remove_link, "Take a link away; the record keeps what it was."),
)
