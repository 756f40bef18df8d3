"""What is to be done because of incidents, whichever they are; what is added to one stands beside that."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from litestar import Response, get, post
from litestar.params import JSONBody, QueryParameter

from tocsin.api.base.body import Body, ids_in, naming, writes
from tocsin.api.base.http import Cursor, Limit, Listing, listing, searchable
from tocsin.api.base.resource import IF_MATCH, Resource
from tocsin.api.shapes.action_items import ActionItemOut, place_at, place_of, shape_items
from tocsin.api.shapes.failures import Failure, failures
from tocsin.edge.context import AppRequest, Ctx, Who
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import TEAM_ID, USER_ID
from tocsin.incidents import action_item_queries, queries, service
from tocsin.incidents.action_item_queries import Filters
from tocsin.incidents.action_items import ActionItemChanges, ActionItemFields
from tocsin.incidents.model import ACTION_ITEM_ID, ActionKind, ActionStatus, Priority
from tocsin.incidents.service.action_items import MOST_TOGETHER
from tocsin.kit.errors import Invalid, NotFound
from tocsin.kit.ids import IdKind
from tocsin.kit.search import AT_LEAST, IN_ANY_ORDER, NARROWED

_SEARCH = f"{IN_ANY_ORDER} Searches descriptions; `INC-7` finds the items of that incident. {AT_LEAST}"
_STATUS = "Where it stands: `open` and `in_progress` are still to be done."
_MINE = "Only what is given to you."
_MY_TEAMS = "Only of incidents that your teams own, or given to somebody in them."
_OVERDUE = "Only what is still to be done and was due before today, where you are."
_UNASSIGNED = "What is given to nobody: with `assignee_id` as well as theirs, else only that."
_INCIDENT = "Of one of these incidents, by `inc_…` or `INC-7`."
_TEAM = "Of incidents that one of these teams owns, or given to somebody in them."


@writes(ActionItemFields)
class EditActionItem(Body, kw_only=True):
    """A merge patch: only the fields that are there change; null takes one away."""

    example: ClassVar[Mapping[str, Any]] = {"status": "in_progress", "due_date": "2026-12-18"}
    refs: ClassVar[Mapping[str, IdKind]] = {"assignee_id": USER_ID}
    assignee_id: str | msgspec.UnsetType | None = msgspec.UNSET
    status: ActionStatus | msgspec.UnsetType = msgspec.UNSET


class ChangeActionItems(Body, kw_only=True):
    """One action for several action items, with the field that it needs; null gives them to nobody, or no due date."""

    example: ClassVar[Mapping[str, Any]] = {
        "action": "due_date",
        "ids": ["act_06b6fyrfa9xsgs9xe3vxkm3j3m"],
        "due_date": "2026-12-18",
    }
    action: Literal["assign", "due_date", "status"]
    ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MOST_TOGETHER)]
    assignee_id: str | msgspec.UnsetType | None = msgspec.UNSET
    due_date: date | msgspec.UnsetType | None = msgspec.UNSET
    status: ActionStatus | msgspec.UnsetType = msgspec.UNSET


class ChangedActionItems(msgspec.Struct):
    """What became of each action item, in the order of the request; `unchanged` were so before."""

    data: list[ActionItemOut]
    unchanged: list[str]
    failed: list[Failure]


def _change(data: ChangeActionItems) -> ActionItemChanges:
    match data.action:
        case "assign" if data.assignee_id is None:
            return {"assignee_id": None}
        case "assign" if isinstance(data.assignee_id, str):
            with naming("assignee_id"):
                return {"assignee_id": USER_ID.read(data.assignee_id)}
        case "due_date" if not isinstance(data.due_date, msgspec.UnsetType):
            return {"due_date": data.due_date}
        case "status" if not isinstance(data.status, msgspec.UnsetType):
            return {"status": data.status}
        case _:
            field = "assignee_id" if data.action == "assign" else data.action
            raise Invalid(field, "This action needs it.", code="required")


@get("/", needs=P.INCIDENT_VIEW)
async def list_all_action_items(
    request: AppRequest,
    context: Ctx,
    who: Who,
    mine: Annotated[bool, QueryParameter(description=_MINE)] = False,
    my_teams: Annotated[bool, QueryParameter(description=_MY_TEAMS)] = False,
    overdue: Annotated[bool, QueryParameter(description=_OVERDUE)] = False,
    status: Annotated[list[ActionStatus] | None, QueryParameter(description=_STATUS)] = None,
    kind: Annotated[list[ActionKind] | None, QueryParameter(description="What it is for.")] = None,
    priority: Annotated[list[Priority] | None, QueryParameter(description="How much it matters.")] = None,
    assignee_id: Annotated[list[str] | None, QueryParameter(description="Given to one of these people.")] = None,
    unassigned: Annotated[bool, QueryParameter(description=_UNASSIGNED)] = False,
    incident: Annotated[list[str] | None, QueryParameter(description=_INCIDENT)] = None,
    team_id: Annotated[list[str] | None, QueryParameter(description=_TEAM)] = None,
    q: Annotated[str | None, QueryParameter(description=_SEARCH, max_length=200)] = None,
    limit: Limit = 25,
    cursor: Cursor = None,
) -> Response[Listing[ActionItemOut]]:
    """List action items by their due dates, those that are due first; what has none comes last.

    The same parameter twice means either value; different parameters must all hold.
    """
    who.must_look(P.INCIDENT_VIEW)
    words, after = searchable(q), place_at(cursor)
    teams = [*TEAM_ID.read_all(team_id or ()), *(who.access.teams if my_teams else ())]
    async with context.db.look() as tx:
        today = tx.now.astimezone(await identity.zone_of(tx, who.user_id)).date()
        narrowed = Filters(
            statuses=status or (),
            kinds=kind or (),
            priorities=priority or (),
            assignee_ids=[*USER_ID.read_all(assignee_id or ()), *([who.must_be_someone()] if mine else [])],
            is_unassigned=unassigned,
            incident_ids=(await queries.ids_called(tx, who.access, incident)).values() if incident else None,
            team_ids=teams if team_id or my_teams else None,
            overdue_on=today if overdue else None,
        )
        rows = await action_item_queries.listed(tx, who.access, narrowed, q=words, after=after, limit=limit + 1)
        notice = NARROWED if await action_item_queries.is_searched_in_part(tx, who.access, narrowed, words) else ""
        shaped = await shape_items(tx, context, who, rows)
    pairs = list(zip(rows, shaped, strict=True))
    return listing(request, pairs, limit, lambda p: p[1], lambda p: place_of(p[0]), notice=notice)


@post("/actions/bulk", status_code=200, needs=P.INCIDENT_EDIT)
async def change_action_items(context: Ctx, who: Who, data: JSONBody[ChangeActionItems]) -> ChangedActionItems:
    """Assign, date or move up to 100 action items. Each is a change of its own: one that fails does not stop the rest.

    An id that names none, or one that you may not see, is refused, and nothing is changed (422).
    """
    change, ids = _change(data), ids_in("ids", ACTION_ITEM_ID, data.ids)
    async with context.begin() as tx:
        became = await service.change_action_items(tx, who, change, ids)
        for at, each in enumerate(became):
            with naming("ids", at):
                if isinstance(each, NotFound):
                    raise each
        done = [each for each in became if isinstance(each, service.ChangedItem)]
        return ChangedActionItems(
            data=await shape_items(tx, context, who, [each.listed for each in done]),
            unchanged=[ACTION_ITEM_ID.write(each.listed.item.id) for each in done if not each.is_new],
            failed=failures(data.ids, became),
        )


ACTION_ITEMS = Resource(
    "/action_items",
    ACTION_ITEM_ID,
    ActionItemOut,
    shape_items,
    view=P.INCIDENT_VIEW,
    manage=P.INCIDENT_EDIT,
    tag="incidents",
)
ROUTER = ACTION_ITEMS.router(
    list_all_action_items,
    change_action_items,
    ACTION_ITEMS.get(action_item_queries.get, "Show one action item."),
    ACTION_ITEMS.edit(
        EditActionItem,
        ActionItemChanges,
        service.update_action_item,
        "Change what is to be done, by whom, until when, or where it stands (JSON merge patch).",
    ),
    ACTION_ITEMS.delete(
        service.delete_action_item, "Delete an action item; the timeline of its incident keeps what it was."
    ),
    ACTION_ITEMS.action("complete", service.complete_action_item, "Say that it is done.", asks=IF_MATCH),
    ACTION_ITEMS.action("reopen", service.reopen_action_item, "Say that it is to be done after all.", asks=IF_MATCH),
)
