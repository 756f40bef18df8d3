"""How somebody is reached: their contact methods, rules and news, and trying whether it works."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from litestar import post
from litestar.params import FromPath

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.rights import Right
from tocsin.identity.model import USER_ID, Actor
from tocsin.identity.permission import must_manage
from tocsin.kit.errors import Invalid
from tocsin.notifications import service as notifications
from tocsin.notifications import telling
from tocsin.notifications.model import (
    METHOD_ID,
    RULE_ID,
    WEBHOOK,
    BodyFormat,
    Tell,
    Urgency,
)
from tocsin.notifications.news import Wish
from tocsin.notifications.service import RuleDraft
from tocsin.oncall import service as oncall
from tocsin.web.base import forms, pages
from tocsin.web.base.actions import Action, Actions
from tocsin.web.base.forms import Form
from tocsin.web.people import dialogs
from tocsin.web.people.person import QUIETEST, show


@post("/people/{id:str}/contact-methods", needs=Right.OWN)
async def add_method(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Add a way to be reached. Form fields: kind, address, method_name, format. An own template is written next."""
    form = await forms.read(request)
    made: list[str] = []
    refused = await forms.attempt(context, form, "add-method", partial(_add_method, context, who, id, form, made))
    if refused is not None:
        return await dialogs.ADD_METHOD.show(request, context, who, id, refused)
    if made and form.text("format") == BodyFormat.TEMPLATE:
        return pages.go(f"/people/{id}/contact-methods/{made[0]}", "Contact method added. Write its template.")
    return pages.go(USER_ID.page(id), "Contact method added. Send a test page.")


async def _add_method(context: Context, who: Actor, id: str, form: Form, made: list[str], tx: Tx) -> None:
    kind = form.text("kind")
    method = await notifications.add_contact_method(
        tx,
        who,
        context.channels,
        user_id=USER_ID.read(id),
        kind=kind,
        address=form.text("address"),
        name=form.text("method_name"),
        # The form always has the field; for another kind it means nothing.
        format=form.text("format") or None if kind == WEBHOOK else None,
    )
    made += [METHOD_ID.write(method.id)] if kind == WEBHOOK else []


@post("/people/{id:str}/contact-methods/{method_id:str}/delete", needs=Right.OWN)
async def remove_method(
    request: AppRequest, context: Ctx, who: Who, id: FromPath[str], method_id: FromPath[str]
) -> pages.Page:
    """Take a way to be reached away. Form field: confirm, for the last one of somebody whom policies page."""
    form = await forms.read(request)
    use_case = partial(_remove_method, who, id, method_id, form)
    refused = await forms.attempt(context, form, f"remove-{method_id}", use_case)
    if refused is not None:
        named = {"id": id, "method_id": method_id}
        return await dialogs.REMOVE_METHOD.again(request, context, who, named, refused)
    return pages.go(USER_ID.page(id), "Contact method removed.")


async def _remove_method(who: Actor, id: str, method_id: str, form: Form, tx: Tx) -> None:
    is_confirmed = form.text("confirm") == "1"
    await oncall.remove_contact_method(
        tx, who, user_id=USER_ID.read(id), method_id=METHOD_ID.read(method_id), confirmed=is_confirmed
    )


async def _change_rules(tx: Tx, who: Actor, user_id: UUID, form: Form) -> None:
    """Add a rule (do=add, urgency, method_id, after_minutes) or remove one (do=remove, rule_id)."""
    match form.text("do"):
        case "add":
            await notifications.add_rule(tx, who, user_id=user_id, rule=_read_rule(form))
        case "remove":
            await notifications.remove_rule(tx, who, user_id=user_id, rule_id=form.id("rule_id", RULE_ID))
        case _:
            must_manage(who, user_id)
            raise Invalid("", "Choose one of the list.")


def _read_rule(form: Form) -> RuleDraft:
    if form.text("urgency") not in set(Urgency):
        raise Invalid("urgency", "Choose one of the list.")
    minutes = form.whole("after_minutes", most=1440)
    return RuleDraft(Urgency(form.text("urgency")), minutes, form.id("method_id", METHOD_ID))


async def _change_news(tx: Tx, who: Actor, user_id: UUID, form: Form) -> None:
    """Say what the person wants to be told of their pages. Form fields: tell, method_id, low_urgency (1)."""
    must_manage(who, user_id)
    if form.text("tell") not in set(Tell):
        raise Invalid("tell", "Choose one of the list.")
    method_id = None if form.text("method_id") == QUIETEST else form.id("method_id", METHOD_ID)
    wish = Wish(Tell(form.text("tell")), form.text("low_urgency") == "1", method_id)
    with forms.naming({"contact_method_id": "method_id"}):
        await telling.set_preference(tx, who, user_id=user_id, wish=wish)


async def _send_test(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Send a page that changes nothing on every contact method, or on one. Form fields: form_id, method_id."""
    method_id = form.optional_id("method_id", METHOD_ID)
    if await forms.once(tx, who, form, "test", form.text("method_id")):
        await notifications.send_test_page(tx, who, user_id=id, method_id=method_id)


HANDLERS = [
    add_method,
    remove_method,
    *Actions("/people/{id:str}", show, needs=Right.OWN, ids=USER_ID).handlers(
        Action("rules", _change_rules, form="rule-{urgency}"),
        Action("news", _change_news, "Saved."),
        Action("test", _send_test, "Test page sent.", form="test-page"),
    ),
]
