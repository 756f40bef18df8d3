"""What is to be done because of one incident: its list, and adding to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from tocsin.api.base.body import Body, writes
from tocsin.api.base.resource import Order, Resource
from tocsin.api.shapes.action_items import ActionItemOut, place_at, place_of, shape_items
from tocsin.api.shapes.refs import INCIDENT
from tocsin.identity.access import P
from tocsin.identity.model import USER_ID
from tocsin.incidents import action_item_queries, service
from tocsin.incidents.action_items import ActionItemFields
from tocsin.incidents.model import ACTION_ITEM_ID
from tocsin.kit.ids import IdKind


@writes(ActionItemFields, require=["description"])
class CreateActionItem(Body, kw_only=True):
    """What is to be done because of the incident, and, if that is known, until when and by whom."""

    example: ClassVar[Mapping[str, Any]] = {
        "description": "Alert on TLS endpoints that retire within 30 days",
        "due_date": "2026-12-11",
        "priority": "P2",
        "kind": "detect",
    }
    refs: ClassVar[Mapping[str, IdKind]] = {"assignee_id": USER_ID}
    assignee_id: str | msgspec.UnsetType | None = msgspec.UNSET


ACTION_ITEMS = Resource(
    "/incidents/{id:str}/action_items",
    ACTION_ITEM_ID,
    ActionItemOut,
    shape_items,
    view=P.INCIDENT_VIEW,
    manage=P.INCIDENT_EDIT,
    tag="incidents",
    order=Order(place_of, place_at),
    below=INCIDENT,
    item="action_item_id",
)
ROUTER = ACTION_ITEMS.router(
    ACTION_ITEMS.list(
        action_item_queries.of_incident, "List what is to be done because of an incident, by its due dates."
    ),
    ACTION_ITEMS.create(
        CreateActionItem,
        service.create_action_item,
        "Add something to be done because of the incident; also when the incident is over.",
    ),
)
