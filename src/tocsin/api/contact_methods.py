"""Contact methods: the ways to reach a person, how it stands with them, and what a webhook is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from litestar import Response, Router, patch, post
from litestar.params import JSONBody

from tocsin.api.base.body import Body, fields_of
from tocsin.api.base.http import Confirm, Id, IfMatch, Time, read_if_match, when
from tocsin.api.base.resource import AskedBy, Resource
from tocsin.api.shapes.people import theirs
from tocsin.db.engine import Tx
from tocsin.edge.context import Context, Ctx, Who
from tocsin.edge.rights import Right
from tocsin.identity import queries
from tocsin.identity.model import USER_ID, Actor
from tocsin.identity.permission import must_manage
from tocsin.kit.clock import stamp
from tocsin.kit.templates import LONGEST
from tocsin.notifications import queries as contact
from tocsin.notifications import service as notifications
from tocsin.notifications.channels.webhook.bodies import LONGEST_CONTENT_TYPE
from tocsin.notifications.health import Condition, MethodState
from tocsin.notifications.model import METHOD_ID, BodyFormat, ContactMethod
from tocsin.oncall import service as oncall

Address = Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
MethodName = Annotated[str, msgspec.Meta(max_length=100)]
BodyTemplate = Annotated[str, msgspec.Meta(max_length=LONGEST)]
ContentType = Annotated[str, msgspec.Meta(max_length=LONGEST_CONTENT_TYPE)]


class MethodHealth(msgspec.Struct):
    """What became of the latest messages to the address that it has now. `last_error` is in the receiver's words.

    `accepted_at` is when the other side last took one, `confirmed_at` when it last said that one arrived. One that is
    `slow` answered after `answers_after_seconds`.
    """

    state: MethodState
    accepted_at: Time | None
    confirmed_at: Time | None
    failing_since: Time | None
    last_error: str | None
    answers_after_seconds: int | None


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
    health: MethodHealth


class AddMethod(Body, kw_only=True):
    """A channel (`email`, `webhook`, …) and an address in its form. The format is for webhooks, `tocsin` if left out.

    Only `console` needs no address; the one that it is given is the name that it prints beside a page.

    `template` and `content_type` belong to the format `template`: at most 8,000 characters of Jinja, tried with sample
    pages before they are saved; left out, they are an example and `application/json`.
    """

    example: ClassVar[Mapping[str, Any]] = {"kind": "email", "address": "ada@example.org", "name": "Work"}
    kind: Annotated[str, msgspec.Meta(max_length=40)]
    address: Address = ""
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


def _method(method: ContactMethod, known: Condition) -> MethodOut:
    return MethodOut(
        id=METHOD_ID.write(method.id),
        kind=method.kind,
        address=method.address,
        name=method.name,
        format=BodyFormat(method.format) if method.format else None,
        template=method.template,
        content_type=method.content_type,
        created_at=stamp(method.created_at),
        version=method.version,
        health=MethodHealth(
            state=known.state,
            accepted_at=when(known.accepted_at),
            confirmed_at=when(known.confirmed_at),
            failing_since=when(known.failing_since),
            last_error=known.error,
            answers_after_seconds=known.answers_after,
        ),
    )


async def _write(tx: Tx, context: Context, _who: Actor, methods: Sequence[ContactMethod]) -> list[MethodOut]:
    await tx.flush()
    known = await contact.conditions(tx, [method.id for method in methods], context.channels)
    return [_method(method, known[method.id]) for method in methods]


async def _all(tx: Tx, who: Actor, user_id: UUID, **place: Any) -> list[ContactMethod]:
    await theirs(tx, who, user_id)
    return await contact.contact_methods(tx, user_id, **place)


async def _one(tx: Tx, who: Actor, user_id: UUID, id: UUID) -> ContactMethod:
    must_manage(who, user_id)
    return await contact.contact_method(tx, id, user_id=user_id)


@post("/", needs=Right.OWN)
async def add_contact_method(context: Ctx, who: Who, id: Id, data: JSONBody[AddMethod]) -> Response[MethodOut]:
    """Add a way to reach the person."""
    async with context.begin() as tx:
        method = await notifications.add_contact_method(
            tx, who, context.channels, user_id=USER_ID.read(id), **fields_of(data)
        )
        return await METHODS.answer(tx, context, who, method, status=201)


@patch("/{method_id:str}", needs=Right.OWN)
async def edit_contact_method(
    context: Ctx, who: Who, id: Id, method_id: Id, data: JSONBody[EditMethod], if_match: IfMatch = None
) -> Response[MethodOut]:
    """Change address, name or format of a contact method (JSON merge patch); its kind stays.

    Another address or format is used at once, also by messages that wait, and begins with a clean record.
    """
    async with context.begin() as tx:
        method = await notifications.update_contact_method(
            tx,
            who,
            context.channels,
            user_id=USER_ID.read(id),
            method_id=METHOD_ID.read(method_id),
            changes=notifications.MethodChanges(**fields_of(data)),
            if_version=read_if_match(if_match),
        )
        return await METHODS.answer(tx, context, who, method)


@post("/users/{id:str}/actions/preview_webhook_body", status_code=200, needs=Right.OWN)
async def preview_webhook_body(context: Ctx, who: Who, id: Id, data: JSONBody[PreviewBody]) -> PreviewOut:
    """Show what a webhook of the person would be sent for a sample page. Refuses a template as saving it would."""
    user_id = USER_ID.read(id)
    body = notifications.preview_webhook(
        who, user_id=user_id, format=data.format, template=data.template, content_type=data.content_type
    )
    async with context.begin() as tx:
        await queries.user(tx, user_id)
    return PreviewOut(body.content_type, body.content.decode("utf-8", "replace"))


async def _remove(tx: Tx, who: Actor, user_id: UUID, id: UUID, *, confirm: bool) -> None:
    await oncall.remove_contact_method(tx, who, user_id=user_id, method_id=id, confirmed=confirm)


METHODS = Resource(
    "/users/{id:str}/contact_methods",
    METHOD_ID,
    MethodOut,
    _write,
    view=Right.OWN,
    tag="people",
    below=USER_ID,
    item="method_id",
)
ROUTER = Router(
    "/",
    route_handlers=[
        METHODS.router(
            METHODS.list(AskedBy(_all), "List the ways to reach the person, the oldest first."),
            add_contact_method,
            METHODS.get(AskedBy(_one), "Show one contact method."),
            edit_contact_method,
            METHODS.delete(
                _remove,
                """Take a contact method away, with the rules that use it.

                The last one of somebody whom policies page goes only with `confirm=true`; else 409, with the policies
                in `uses`.
                """,
                name="remove_contact_method",
                asks={"confirm": (Confirm, False)},
            ),
            shows_secrets=True,
        ),
        preview_webhook_body,
    ],
    tags=["people"],
)
