"""People: accounts, how they want to be reached, and trying whether pages reach them."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from litestar import Response, get, post, put
from litestar.params import FromQuery, JSONBody, QueryParameter

from tocsin.api.base.body import Body, naming
from tocsin.api.base.copying import copied
from tocsin.api.base.http import Confirm, Cursor, Id, Limit, Listing, Time, answer, listing, searchable
from tocsin.api.base.idempotency import COMMITS_ELSEWHERE
from tocsin.api.base.resource import AskedBy, ForAll, Order, Resource, copying, plainly
from tocsin.api.shapes.deliveries import LAST_DELIVERY_FIRST, DeliveryOut, write_deliveries, write_delivery
from tocsin.api.shapes.people import RoleKey, theirs
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Ctx, Who
from tocsin.edge.cursors import read_place
from tocsin.edge.rights import Right
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.access import P, Role
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import TEAM_ID, USER_ID, Actor, User
from tocsin.incidents import service as incidents
from tocsin.kit.search import IN_ANY_ORDER
from tocsin.notifications import people_queries
from tocsin.notifications import queries as contact
from tocsin.notifications import service as notifications
from tocsin.notifications.health import Reach
from tocsin.notifications.model import METHOD_ID, Delivery, NotificationRule, Urgency
from tocsin.notifications.people_queries import Filters, Place, Sort
from tocsin.notifications.service import RuleDraft

_SEARCH = f"{IN_ANY_ORDER} Searches name and e-mail."
_REACH = (
    "Only people whose account is on, and who can be reached: `well`, by a contact method that works; `failing`, all "
    "of theirs fail; `none`, they have none on the channels of this installation."
)
Delay = Annotated[int, msgspec.Meta(ge=0, le=1440)]
Password = Annotated[str, msgspec.Meta(max_length=1024)]


class UserOut(msgspec.Struct):
    """A person's account."""

    id: str
    name: str
    email: str
    role: str
    time_zone: str
    is_active: bool
    created_at: Time
    updated_at: Time
    version: int


class CreateUser(Body, kw_only=True):
    """A new account. Without a password the person signs in by a link."""

    example: ClassVar[Mapping[str, Any]] = {"email": "ada@example.org", "name": "Ada Lovelace", "role": "responder"}
    email: Annotated[str, msgspec.Meta(max_length=254)]
    name: Annotated[str, msgspec.Meta(max_length=80)]
    role: RoleKey = Role.RESPONDER
    password: Password | None = None
    time_zone: Annotated[str, msgspec.Meta(max_length=64)] = "UTC"


class EditUser(Body, kw_only=True):
    """A merge patch: only the fields that are there change."""

    example: ClassVar[Mapping[str, Any]] = {"time_zone": "Europe/Vienna"}
    email: Annotated[str, msgspec.Meta(max_length=254)] | msgspec.UnsetType = msgspec.UNSET
    name: Annotated[str, msgspec.Meta(max_length=80)] | msgspec.UnsetType = msgspec.UNSET
    role: RoleKey | msgspec.UnsetType = msgspec.UNSET
    time_zone: Annotated[str, msgspec.Meta(max_length=64)] | msgspec.UnsetType = msgspec.UNSET
    is_active: bool | msgspec.UnsetType = msgspec.UNSET


class SetPassword(Body, kw_only=True):
    """The new password, and the current one when it is one's own."""

    example: ClassVar[Mapping[str, Any]] = {"password": "correct horse battery", "current": "the one before"}
    password: Password
    current: Password | None = None


class RuleOut(msgspec.Struct):
    """So long after the page, use this contact method."""

    urgency: Urgency
    delay_minutes: int
    contact_method_id: str


class Rule(Body, kw_only=True):
    """So long after the page, use this contact method."""

    example: ClassVar[Mapping[str, Any]] = {
        "urgency": "high",
        "delay_minutes": 0,
        "contact_method_id": "cm_06b6fyrfa9xsgs9xe3vxkm3j3m",
    }
    urgency: Urgency
    delay_minutes: Delay = 0
    contact_method_id: str


class SetRules(Body, kw_only=True):
    """All rules of the person. None for an urgency means: all contact methods at once."""

    example: ClassVar[Mapping[str, Any]] = {"rules": [Rule.example]}
    rules: Annotated[list[Rule], msgspec.Meta(max_length=40)]


class SendTestPage(Body, kw_only=True):
    """One contact method, or all when it is left out."""

    example: ClassVar[Mapping[str, Any]] = {"contact_method_id": "cm_06b6fyrfa9xsgs9xe3vxkm3j3m"}
    contact_method_id: str | None = None


def _rule(rule: NotificationRule) -> RuleOut:
    return RuleOut(Urgency(rule.urgency), rule.delay_minutes, METHOD_ID.write(rule.contact_method_id))


def _draft(at: int, rule: Rule) -> RuleDraft:
    with naming("rules", at, "contact_method_id"):
        return RuleDraft(rule.urgency, rule.delay_minutes, METHOD_ID.read(rule.contact_method_id))


async def _edit(tx: Tx, who: Actor, user_id: UUID, changes: UserChanges, *, confirm: bool, **version: Any) -> User:
    return await incidents.update_person(tx, who, user_id, changes, confirmed=confirm, **version)


@get("/", needs=P.USER_VIEW)
async def list_users(
    request: AppRequest,
    context: Ctx,
    who: Who,
    role: Annotated[
        list[str] | None, QueryParameter(description="Only with one of these roles in the organisation.")
    ] = None,
    team_id: Annotated[list[str] | None, QueryParameter(description="Only members of one of these teams.")] = None,
    is_active: Annotated[
        bool | None, QueryParameter(description="Only accounts that are on, or only those that are switched off.")
    ] = None,
    active_only: FromQuery[bool] = False,
    reach: Annotated[list[Reach] | None, QueryParameter(description=_REACH)] = None,
    q: Annotated[str | None, QueryParameter(description=_SEARCH, max_length=200)] = None,
    sort: FromQuery[Sort] = "created_at",
    limit: Limit = 25,
    cursor: Cursor = None,
) -> Response[Listing[UserOut]]:
    """List people in the order in which they were added, or by name.

    The same parameter twice means either value; different parameters must all hold.
    """
    place = read_place(cursor, tuple[str, UUID])
    narrowed = Filters(
        q=searchable(q),
        roles=role or (),
        team_ids=TEAM_ID.read_all(team_id or ()),
        is_active=True if active_only else is_active,
        reach=reach or (),
    )
    async with context.db.look() as tx:
        rows = await people_queries.listed(
            tx,
            who.access,
            context.channels,
            narrowed,
            sort=sort,
            after=Place(*place) if place is not None else None,
            limit=limit + 1,
        )
    return listing(
        request, rows, limit, lambda row: copied(UserOut, row[0], USER_ID), lambda row: (row[0].name, row[0].id)
    )


@post("/{id:str}/actions/set_password", status_code=200, opt={COMMITS_ELSEWHERE: True}, needs=Right.OWN)
async def set_user_password(context: Ctx, who: Who, id: Id, data: JSONBody[SetPassword]) -> Response[UserOut]:
    """Set the password; the person's other sessions end, tokens stay. 429 after several wrong current passwords."""
    user = await identity.set_password(context.db, who, USER_ID.read(id), data.password, data.current)
    return answer(copied(UserOut, user, USER_ID), version=user.version)


async def _rules(tx: Tx, who: Actor, user_id: UUID, **place: Any) -> list[NotificationRule]:
    await theirs(tx, who, user_id)
    return await contact.rules(tx, user_id, **place)


@put("/{id:str}/notification_rules", needs=Right.OWN)
async def set_notification_rules(context: Ctx, who: Who, id: Id, data: JSONBody[SetRules]) -> Listing[RuleOut]:
    """Replace the person's rules."""
    drafts = [_draft(at, rule) for at, rule in enumerate(data.rules)]
    async with context.begin() as tx:
        rows = await notifications.set_rules(tx, who, user_id=USER_ID.read(id), rules=drafts)
    return Listing([_rule(row) for row in rows])


@post("/{id:str}/actions/send_test_page", status_code=200, needs=Right.OWN)
async def send_test_page(context: Ctx, who: Who, id: Id, data: JSONBody[SendTestPage]) -> Listing[DeliveryOut]:
    """Send a message that says it is only a test; answers with the deliveries, whose states can be followed."""
    async with context.begin() as tx:
        person = await theirs(tx, who, USER_ID.read(id))
        with naming("contact_method_id"):
            method_id = METHOD_ID.read_or_none(data.contact_method_id)
            rows = await notifications.send_test_page(tx, who, user_id=person.id, method_id=method_id)
        return Listing([write_delivery(who, row, person.name) for row in rows])


async def _deliveries(tx: Tx, who: Actor, user_id: UUID, **place: Any) -> list[tuple[Delivery, str]]:
    await theirs(tx, who, user_id)
    return await contact.deliveries(tx, user_id=user_id, **place)


USERS = Resource(
    "/users", USER_ID, UserOut, copying(UserOut, USER_ID), view=P.USER_VIEW, manage=P.USER_MANAGE, tag="people"
)
ROUTER = USERS.router(
    list_users,
    USERS.create(CreateUser, identity.create_user, "Add a person."),
    USERS.get(ForAll(queries.user), "Show one person."),
    USERS.edit(
        EditUser,
        UserChanges,
        _edit,
        """Change a person (JSON merge patch): name and time zone of oneself, everything with `user.manage`.

        `is_active: false` ends the person's sessions, tokens and links; others take over what they were asked, held and
        led. Somebody who is needed goes only with `confirm=true`; else 409, with what names them in `uses`, as when a
        role takes the lead of open incidents from them. The last administrator cannot be lost (409).
        """,
        needs=Right.OWN,
        asks={"confirm": (Confirm, False)},
    ),
    set_user_password,
    USERS.list_of(
        "notification_rules",
        AskedBy(_rules),
        RuleOut,
        plainly(_rule),
        "List the person's rules by urgency and delay.",
        name="list_notification_rules",
        order=Order(
            attrgetter("urgency", "delay_minutes", "id"), lambda cursor: read_place(cursor, tuple[Urgency, Delay, UUID])
        ),
        needs=Right.OWN,
    ),
    set_notification_rules,
    send_test_page,
    USERS.list_of(
        "deliveries",
        AskedBy(_deliveries),
        DeliveryOut,
        write_deliveries,
        "List the messages to the person, pages and tests, with their states, the newest first.",
        name="list_user_deliveries",
        order=LAST_DELIVERY_FIRST,
        needs=Right.OWN,
    ),
)
