"""One contact method: its address, its name, and for a webhook what it is sent, with a preview and a test page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from litestar import get, post
from litestar.params import FromPath

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.rights import Right
from tocsin.identity import queries
from tocsin.identity.model import USER_ID, Actor
from tocsin.identity.permission import must_manage
from tocsin.kit.changes import UNSET
from tocsin.kit.errors import Invalid
from tocsin.kit.templates import LONGEST
from tocsin.notifications import queries as contact
from tocsin.notifications import service as notifications
from tocsin.notifications.channels.webhook import bodies
from tocsin.notifications.channels.webhook.template import FILTERS
from tocsin.notifications.model import METHOD_ID, WEBHOOK, BodyFormat, ContactMethod
from tocsin.web.base import forms, pages
from tocsin.web.base.forms import Form, Refused
from tocsin.web.base.screens import ShellScreen
from tocsin.web.parts.targets import Choice
from tocsin.web.people import exchanges
from tocsin.web.people.method_health import HealthView, read_health

FORMATS: list[Choice] = [(format.value, name) for format, name in bodies.NAMES.items()]
_FORM = "method-form"
FIELDS = {
    "title": "what is wrong",
    "body": "the description",
    "severity": "SEV1 to SEV5",
    "urgency": "high or low",
    "source": "who noticed it, or who asks",
    "reason": "why it is you",
    "labels": "labels.team, or a loop",
    "acknowledge_url": "where to answer; empty for news and a test",
    "url": "where to see more",
    "kind": "page, news or test",
    "possible_duplicate": "true if it may have come before",
    "minutes_late": "0, or how late it is",
    "attempt": "which try it is",
    "recipient_name": "whom it is for",
    "sent_at": "when, in UTC",
    "delivery_id": "the same for every try",
    "status": "of the alert",
    "alert_id": "may be empty",
    "incident_id": "may be empty",
    "incident_number": "may be empty",
}


@dataclass(frozen=True, slots=True)
class PersonName:
    """Whose it is."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class MethodForm:
    """A contact method as its form shows it."""

    id: str
    kind_name: str
    is_webhook: bool
    name: str
    address: str
    format: str
    template: str
    content_type: str
    version: int


@dataclass(frozen=True, slots=True)
class PreviewView:
    """What a sample page looks like. `note` says why it is not what was asked for."""

    content_type: str
    body: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodScreen(ShellScreen):
    """One contact method, with what a template may use. `preview` is for a webhook, `is_tried` of what is not saved."""

    template: ClassVar = "people/contact_method.html"
    person: PersonName
    is_own: bool
    method: MethodForm
    health: HealthView
    formats: list[Choice]
    fields: list[tuple[str, str]]
    filters: Sequence[str]
    longest: int
    preview: PreviewView | None
    is_tried: bool
    test: exchanges.TestPage | None

    @property
    def shows_secret(self) -> bool:
        return True


@get("/people/{id:str}/contact-methods/{method_id:str}", needs=Right.OWN)
async def method_page(
    request: AppRequest, context: Ctx, who: Who, id: FromPath[str], method_id: FromPath[str]
) -> pages.Page:
    """Show one contact method to those who may change it."""
    return await _show(request, context, who, id, method_id)


async def _show(
    request: AppRequest,
    context: Context,
    who: Actor,
    id: str,
    method_id: str,
    *,
    refused: Refused | None = None,
    tried: Form | None = None,
) -> pages.Page:
    user_id = USER_ID.read(id)
    must_manage(who, user_id)
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        person = await queries.user(tx, user_id)
        method = await contact.contact_method(tx, METHOD_ID.read(method_id), user_id=user_id)
        sent = await contact.latest_test(tx, user_id, method_id=method.id)
        known = await contact.conditions(tx, [method.id], context.channels)
    shown = _form(context, method, tried)
    screen = MethodScreen(
        shell,
        person=PersonName(USER_ID.write(person.id), person.name),
        is_own=person.id == who.user_id,
        method=shown,
        health=read_health(known[method.id]),
        formats=FORMATS,
        fields=list(FIELDS.items()),
        filters=FILTERS,
        longest=LONGEST,
        preview=_preview(who, method, shown if tried else None) if shown.is_webhook and refused is None else None,
        is_tried=tried is not None,
        test=exchanges.read_test(context, sent, [method]),
        refused=refused,
    )
    return pages.render(screen)


def _form(context: Context, method: ContactMethod, tried: Form | None) -> MethodForm:
    kept = method.shape
    seen = tried.version() if tried else None
    return MethodForm(
        id=METHOD_ID.write(method.id),
        kind_name=exchanges.label_of(context, method.kind),
        is_webhook=method.kind == WEBHOOK,
        name=tried.text("method_name") if tried else method.name,
        address=tried.text("address") if tried else method.address,
        format=tried.text("format") if tried else kept.format,
        template=(tried.text("template") if tried else kept.template or "") or bodies.EXAMPLE,
        content_type=(tried.text("content_type") if tried else kept.content_type or "") or bodies.JSON,
        version=seen.version if seen else method.version,
    )


def _preview(who: Actor, method: ContactMethod, tried: MethodForm | None) -> PreviewView:
    if tried is None:
        body = bodies.preview(method.shape)
    else:
        is_own = tried.format == BodyFormat.TEMPLATE
        body = notifications.preview_webhook(
            who,
            user_id=method.user_id,
            format=tried.format,
            template=tried.template if is_own else None,
            content_type=tried.content_type if is_own else None,
        )
    return PreviewView(body.content_type, exchanges.readable(body.content.decode("utf-8", "replace")), body.note)


@post("/people/{id:str}/contact-methods/{method_id:str}", needs=Right.OWN)
async def change_method(
    request: AppRequest, context: Ctx, who: Who, id: FromPath[str], method_id: FromPath[str]
) -> pages.Page:
    """Save or preview. Form fields: address, method_name, version; of a webhook format, template, content_type; do."""
    form = await forms.read(request)
    if form.text("do") == "preview":
        return await _try(request, context, who, id, method_id, form)
    use_case = partial(_change, context, who, id, method_id, form)
    refused = await forms.attempt(context, form, _FORM, use_case)
    if refused is not None:
        return await _show(request, context, who, id, method_id, refused=refused)
    return pages.go(_path(id, method_id), "Saved. Send a test page.")


def _path(id: str, method_id: str) -> str:
    return f"/people/{id}/contact-methods/{method_id}"


async def _try(request: AppRequest, context: Context, who: Actor, id: str, method_id: str, form: Form) -> pages.Page:
    """Show the form as it was sent, with its preview or with what is wrong."""
    try:
        return await _show(request, context, who, id, method_id, tried=form)
    except Invalid as problem:
        return await _show(request, context, who, id, method_id, refused=Refused(_FORM, form, problem))


async def _change(context: Context, who: Actor, id: str, method_id: str, form: Form, tx: Tx) -> None:
    is_own = form.text("format") == BodyFormat.TEMPLATE
    changes = notifications.MethodChanges(
        address=form.text("address"),
        name=form.text("method_name"),
        format=form.text("format") or UNSET,
        template=form.text("template") if is_own else UNSET,
        content_type=form.text("content_type") if is_own else UNSET,
    )
    await notifications.update_contact_method(
        tx,
        who,
        context.channels,
        user_id=USER_ID.read(id),
        method_id=METHOD_ID.read(method_id),
        changes=changes,
        if_version=form.version(),
    )


@post("/people/{id:str}/contact-methods/{method_id:str}/test", needs=Right.OWN)
async def test_method(
    request: AppRequest, context: Ctx, who: Who, id: FromPath[str], method_id: FromPath[str]
) -> pages.Page:
    """Send a page that changes nothing on this contact method. Form field: form_id."""
    form = await forms.read(request)
    refused = await forms.attempt(context, form, "test-page", partial(_test, who, id, method_id, form))
    if refused is not None:
        return await _show(request, context, who, id, method_id, refused=refused)
    return pages.go(_path(id, method_id), "Test page sent.")


async def _test(who: Actor, id: str, method_id: str, form: Form, tx: Tx) -> None:
    if await forms.once(tx, who, form, "test", method_id):
        await notifications.send_test_page(tx, who, user_id=USER_ID.read(id), method_id=METHOD_ID.read(method_id))


HANDLERS = [method_page, change_method, test_method]
