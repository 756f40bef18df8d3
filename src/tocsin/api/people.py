"""People: accounts, how they want to be reached, and trying whether pages reach them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, patch, post, put
from litestar.params import FromQuery, JSONBody

from tocsin.api.body import Body, naming
from tocsin.api.deliveries import DeliveryOut, write_delivery
from tocsin.api.http import Cursor, Id, IfMatch, Limit, Listing, Time, answer, given, listing, read_if_match
from tocsin.api.idempotency import COMMITS_ELSEWHERE
from tocsin.edge.context import AppRequest, Ctx, Who
from tocsin.edge.cursors import read_place
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import Actor, Role, User
from tocsin.identity.permission import must_manage
from tocsin.kit.clock import stamp
from tocsin.kit.ids import parse, public
from tocsin.notifications import queries as contact
from tocsin.notifications import service as notifications
from tocsin.notifications.channels.webhook.bodies import LONGEST_CONTENT_TYPE
from tocsin.notifications.channels.webhook.template import LONGEST
from tocsin.notifications.model import BodyFormat, ContactMethod, NotificationRule, Urgency
from tocsin.notifications.service import RuleDraft

Delay = Annotated[int, msgspec.Meta(ge=0, le=1440)]
Password = Annotated[str, msgspec.Meta(max_length=1024)]


class UserOut(msgspec.Struct):
    """A person's account."""

    id: str
    name: str
    email: str
    role: Role
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
    role: Role = Role.RESPONDER
    password: Password | None = None
    time_zone: Annotated[str, msgspec.Meta(max_length=64)] = "UTC"


class EditUser(Body, kw_only=True):
    """A merge patch: only the fields that are there change."""

    example: ClassVar[Mapping[str, Any]] = {"time_zone": "Europe/Vienna"}
    email: Annotated[str, msgspec.Meta(max_length=254)] | msgspec.UnsetType = msgspec.UNSET
    name: Annotated[str, msgspec.Meta(max_length=80)] | msgspec.UnsetType = msgspec.UNSET
    role: Role | msgspec.UnsetType = msgspec.UNSET
    time_zone: Annotated[str, msgspec.Meta(max_length=64)] | msgspec.UnsetType = msgspec.UNSET
    is_active: bool | msgspec.UnsetType = msgspec.UNSET


class SetPassword(Body, kw_only=True):
    """The new password, and the current one when it is one's own."""

    example: ClassVar[Mapping[str, Any]] = {"password": "correct horse battery", "current": "the one before"}
    password: Password
    current: Password | None = None


Address = Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
MethodName = Annotated[str, msgspec.Meta(max_length=100)]
BodyTemplate = Annotated[str, msgspec.Meta(max_length=LONGEST)]
ContentType = Annotated[str, msgspec.Meta(max_length=LONGEST_CONTENT_TYPE)]


class MethodOut(msgspec.Struct):
    """One address of one person on one channel.

    `format` is null for all but webhooks, `template` and `content_type` for all formats but `template`.
    """

    id: str
    kind: str
    address: str
    name: str
    format: BodyFormat | None
    template: str | None
    content_type: str | None
    created_at: Time
    version: int


class AddMethod(Body, kw_only=True):
    """A channel (`email`, `webhook`, …) and an address in its form. The format is for webhooks, `tocsin` if left out.

    `template` and `content_type` belong to the format `template`: at most 8,000 characters of Jinja, tried with sample
    pages before they are saved; left out, they are an example and `application/json`.
    """

    example: ClassVar[Mapping[str, Any]] = {"kind": "email", "address": "ada@example.org", "name": "Work"}
    kind: Annotated[str, msgspec.Meta(max_length=40)]
    address: Address
    name: MethodName = ""
    format: BodyFormat | None = None
    template: BodyTemplate | None = None
    content_type: ContentType | None = None


class EditMethod(Body, kw_only=True):
    """A merge patch: only the fields that are there change. Another format than `template` drops the template."""

    example: ClassVar[Mapping[str, Any]] = {
        "format": "template",
        "template": '{"text": {{ title|json }}, "link": {{ acknowledge_url|json }}}',
        "content_type": "application/json",
    }
    address: Address | msgspec.UnsetType = msgspec.UNSET
    name: MethodName | msgspec.UnsetType = msgspec.UNSET
    format: BodyFormat | msgspec.UnsetType = msgspec.UNSET
    template: BodyTemplate | msgspec.UnsetType = msgspec.UNSET
    content_type: ContentType | msgspec.UnsetType = msgspec.UNSET


class PreviewBody(Body, kw_only=True):
    """A format as a webhook may have it; nothing is saved."""

    example: ClassVar[Mapping[str, Any]] = {"format": "slack"}
    format: BodyFormat
    template: BodyTemplate | None = None
    content_type: ContentType | None = None


class PreviewOut(msgspec.Struct):
    """What a sample page looks like in this format."""

    content_type: str
    body: str


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


def write_user(user: User) -> UserOut:
    """Write a person's account."""
    return UserOut(
        id=public("usr", user.id),
        name=user.name,
        email=user.email,
        role=Role(user.role),
        time_zone=user.time_zone,
        is_active=user.is_active,
        created_at=stamp(user.created_at),
        updated_at=stamp(user.updated_at),
        version=user.version,
    )


def _method(method: ContactMethod) -> MethodOut:
    return MethodOut(
        id=public("cm", method.id),
        kind=method.kind,
        address=method.address,
        name=method.name,
        format=BodyFormat(method.format) if method.format else None,
        template=method.template,
        content_type=method.content_type,
        created_at=stamp(method.created_at),
        version=method.version,
    )


def _rule(rule: NotificationRule) -> RuleOut:
    return RuleOut(Urgency(rule.urgency), rule.delay_minutes, public("cm", rule.contact_method_id))


def _draft(at: int, rule: Rule) -> RuleDraft:
    with naming("rules", at, "contact_method_id"):
        return RuleDraft(rule.urgency, rule.delay_minutes, parse("cm", rule.contact_method_id))


def _theirs(who: Actor, id: str) -> UUID:
    """Read whose settings are asked for; addresses are shown to their person and to those who manage people."""
    user_id = parse("usr", id)
    must_manage(who, user_id)
    return user_id


@get("/")
async def list_users(
    request: AppRequest,
    context: Ctx,
    who: Who,
    active_only: FromQuery[bool] = False,
    limit: Limit = 25,
    cursor: Cursor = None,
) -> Response[Listing[UserOut]]:
    """List people in the order in which they were added."""
    who.must("user.view")
    after = read_place(cursor, UUID)
    async with context.begin() as tx:
        rows = await queries.users(tx, after=after, limit=limit + 1, active_only=active_only)
    return listing(request, rows, limit, write_user, lambda row: row.id)


@post("/")
async def create_user(context: Ctx, who: Who, data: JSONBody[CreateUser]) -> Response[UserOut]:
    """Add a person."""
    async with context.begin() as tx:
        user = await identity.create_user(
            tx,
            who,
            email=data.email,
            name=data.name,
            role=data.role,
            password=data.password,
            time_zone=data.time_zone,
        )
    return answer(write_user(user), version=user.version, status=201)


@get("/{id:str}")
async def get_user(context: Ctx, who: Who, id: Id) -> Response[UserOut]:
    """Show one person."""
    who.must("user.view")
    async with context.begin() as tx:
        user = await queries.user(tx, parse("usr", id))
    return answer(write_user(user), version=user.version)


@patch("/{id:str}")
async def edit_user(
    context: Ctx, who: Who, id: Id, data: JSONBody[EditUser], if_match: IfMatch = None
) -> Response[UserOut]:
    """Change a person (JSON merge patch): name and time zone of oneself, everything with `user.manage`.

    `is_active: false` ends the person's sessions, tokens and links. The last administrator cannot be lost (409).
    """
    changes = UserChanges(
        email=given(data.email),
        name=given(data.name),
        role=given(data.role),
        time_zone=given(data.time_zone),
        is_active=given(data.is_active),
    )
    async with context.begin() as tx:
        user = await identity.update_user(tx, who, parse("usr", id), changes, read_if_match(if_match))
    return answer(write_user(user), version=user.version)


@post("/{id:str}/actions/set_password", status_code=200, opt={COMMITS_ELSEWHERE: True})
async def set_user_password(context: Ctx, who: Who, id: Id, data: JSONBody[SetPassword]) -> Response[UserOut]:
    """Set the password; the person's other sessions end, tokens stay. 429 after several wrong current passwords."""
    user = await identity.set_password(context.db, who, parse("usr", id), data.password, data.current)
    return answer(write_user(user), version=user.version)


@get("/{id:str}/contact_methods")
async def list_contact_methods(
    request: AppRequest, context: Ctx, who: Who, id: Id, limit: Limit = 25, cursor: Cursor = None
) -> Response[Listing[MethodOut]]:
    """List the ways to reach the person, the oldest first."""
    user_id = _theirs(who, id)
    after = read_place(cursor, UUID)
    async with context.begin() as tx:
        await queries.user(tx, user_id)
        rows = await contact.contact_methods(tx, user_id, after=after, limit=limit + 1)
    return listing(request, rows, limit, _method, lambda row: row.id)


@post("/{id:str}/contact_methods")
async def add_contact_method(context: Ctx, who: Who, id: Id, data: JSONBody[AddMethod]) -> Response[MethodOut]:
    """Add a way to reach the person."""
    async with context.begin() as tx:
        method = await notifications.add_contact_method(
            tx,
            who,
            context.channels,
            user_id=parse("usr", id),
            kind=data.kind,
            address=data.address,
            name=data.name,
            format=data.format,
            template=data.template,
            content_type=data.content_type,
        )
    return answer(_method(method), version=method.version, status=201)


@get("/{id:str}/contact_methods/{method_id:str}")
async def get_contact_method(context: Ctx, who: Who, id: Id, method_id: Id) -> Response[MethodOut]:
    """Show one contact method."""
    user_id = _theirs(who, id)
    async with context.begin() as tx:
        method = await contact.contact_method(tx, parse("cm", method_id), user_id=user_id)
    return answer(_method(method), version=method.version)


@patch("/{id:str}/contact_methods/{method_id:str}")
async def edit_contact_method(
    context: Ctx, who: Who, id: Id, method_id: Id, data: JSONBody[EditMethod], if_match: IfMatch = None
) -> Response[MethodOut]:
    """Change address, name or format of a contact method (JSON merge patch); its kind stays.

    Messages under way keep the address and the format that they were queued with.
    """
    changes = notifications.MethodChanges(
        address=given(data.address),
        name=given(data.name),
        format=given(data.format),
        template=given(data.template),
        content_type=given(data.content_type),
    )
    async with context.begin() as tx:
        method = await notifications.update_contact_method(
            tx,
            who,
            context.channels,
            user_id=parse("usr", id),
            method_id=parse("cm", method_id),
            changes=changes,
            if_version=read_if_match(if_match),
        )
    return answer(_method(method), version=method.version)


@post("/{id:str}/actions/preview_webhook_body", status_code=200)
async def preview_webhook_body(context: Ctx, who: Who, id: Id, data: JSONBody[PreviewBody]) -> PreviewOut:
    """Show what a webhook of the person would be sent for a sample page. Refuses a template as saving it would."""
    user_id = parse("usr", id)
    body = notifications.preview_webhook(
        who, user_id=user_id, format=data.format, template=data.template, content_type=data.content_type
    )
    async with context.begin() as tx:
        await queries.user(tx, user_id)
    return PreviewOut(body.content_type, body.content.decode("utf-8", "replace"))


@delete("/{id:str}/contact_methods/{method_id:str}")
async def remove_contact_method(context: Ctx, who: Who, id: Id, method_id: Id) -> None:
    """Take a contact method away, with the rules that use it."""
    async with context.begin() as tx:
        await notifications.remove_contact_method(tx, who, user_id=parse("usr", id), method_id=parse("cm", method_id))


@get("/{id:str}/notification_rules")
async def list_notification_rules(
    request: AppRequest, context: Ctx, who: Who, id: Id, limit: Limit = 25, cursor: Cursor = None
) -> Response[Listing[RuleOut]]:
    """List the person's rules by urgency and delay."""
    user_id = _theirs(who, id)
    after = read_place(cursor, tuple[Urgency, Delay, UUID])
    async with context.begin() as tx:
        await queries.user(tx, user_id)
        rows = await contact.rules(tx, user_id, after=after, limit=limit + 1)
    return listing(request, rows, limit, _rule, lambda row: (row.urgency, row.delay_minutes, row.id))


@put("/{id:str}/notification_rules")
async def set_notification_rules(context: Ctx, who: Who, id: Id, data: JSONBody[SetRules]) -> Listing[RuleOut]:
    """Replace the person's rules."""
    drafts = [_draft(at, rule) for at, rule in enumerate(data.rules)]
    async with context.begin() as tx:
        rows = await notifications.set_rules(tx, who, user_id=parse("usr", id), rules=drafts)
    return Listing([_rule(row) for row in rows])


@post("/{id:str}/actions/send_test_page", status_code=200)
async def send_test_page(context: Ctx, who: Who, id: Id, data: JSONBody[SendTestPage]) -> Listing[DeliveryOut]:
    """Send a message that says it is only a test; answers with the deliveries, whose states can be followed."""
    user_id = parse("usr", id)
    with naming("contact_method_id"):
        method_id = parse("cm", data.contact_method_id) if data.contact_method_id is not None else None
    must_manage(who, user_id)
    async with context.begin() as tx:
        name = (await queries.user(tx, user_id)).name
        with naming("contact_method_id"):
            rows = await notifications.send_test_page(tx, who, user_id=user_id, method_id=method_id)
    return Listing([write_delivery(who, row, name) for row in rows])


@get("/{id:str}/deliveries")
async def list_user_deliveries(
    request: AppRequest, context: Ctx, who: Who, id: Id, limit: Limit = 25, cursor: Cursor = None
) -> Response[Listing[DeliveryOut]]:
    """List the messages to the person, pages and tests, with their states, the newest first."""
    user_id = _theirs(who, id)
    before = read_place(cursor, UUID)
    async with context.begin() as tx:
        await queries.user(tx, user_id)
        rows = await contact.deliveries(tx, user_id=user_id, before=before, limit=limit + 1)
    return listing(request, rows, limit, lambda row: write_delivery(who, *row), lambda row: row[0].id)


ROUTER = Router(
    "/users",
    route_handlers=[
        list_users,
        create_user,
        get_user,
        edit_user,
        set_user_password,
        list_contact_methods,
        add_contact_method,
        get_contact_method,
        edit_contact_method,
        preview_webhook_body,
        remove_contact_method,
        list_notification_rules,
        set_notification_rules,
        send_test_page,
        list_user_deliveries,
    ],
    tags=["people"],
)
