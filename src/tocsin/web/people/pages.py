"""People: who has an account, how they are reached, and one's own profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID
from zoneinfo import available_timezones

from litestar import get, post
from litestar.params import FromPath

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.rights import Right
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.access import P
from tocsin.identity.accounts import SHORTEST_PASSWORD, UserChanges
from tocsin.identity.model import USER_ID, Actor, User
from tocsin.identity.permission import must_manage
from tocsin.incidents import service as incidents
from tocsin.kit.addresses import at
from tocsin.kit.errors import Denied, InUse, Invalid
from tocsin.notifications import queries as contact
from tocsin.notifications import service as notifications
from tocsin.notifications import telling
from tocsin.notifications.channels.webhook import bodies
from tocsin.notifications.health import Condition, MethodState
from tocsin.notifications.model import (
    METHOD_ID,
    RULE_ID,
    WEBHOOK,
    BodyFormat,
    ContactMethod,
    Method,
    NotificationRule,
    Tell,
    Urgency,
)
from tocsin.notifications.news import Wish
from tocsin.notifications.service import RuleDraft
from tocsin.oncall import service as oncall
from tocsin.web.base import forms, pages
from tocsin.web.base.forms import Form, Refused
from tocsin.web.parts.roles import role_choices
from tocsin.web.people.contact_methods import FORMATS
from tocsin.web.people.exchanges import called, label_of, read_test
from tocsin.web.people.method_health import HealthView, read_health
from tocsin.web.people.uses import listed, mark_of

_TOLD = (
    (Tell.ALL.value, "Who took it, and when it is over"),
    (Tell.OVER.value, "Only when it is over"),
    (Tell.NONE.value, "Nothing"),
)
_QUIETEST = "quietest"
_ICONS: Mapping[str, str] = {"email": "mail", "webhook": "webhook", "console": "monitor"}
_ZONES = [(name, name) for name in sorted(available_timezones()) if "/" in name or name == "UTC"]


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One person in the list."""

    id: str
    name: str
    email: str
    role: str
    is_active: bool
    reachable: bool
    fails: bool
    methods: str


@dataclass(frozen=True, slots=True)
class PersonView:
    """One person in full."""

    id: str
    name: str
    email: str
    role: str
    zone: str
    is_active: bool
    version: int


@dataclass(frozen=True, slots=True)
class MethodView:
    """A contact method; its address is hidden from those who may not change it. `form` is what a webhook is sent.

    `called` tells it from the others.
    """

    id: str
    kind: str
    kind_name: str
    called: str
    icon: str
    address: str
    form: str
    health: HealthView


@dataclass(frozen=True, slots=True)
class RuleView:
    """One step of a person's rules."""

    id: str
    method_name: str
    after_minutes: int


@dataclass(frozen=True, slots=True)
class NewsView:
    """What somebody wants to be told of what they were paged for, and where: a contact method or `_QUIETEST`."""

    tell: str
    low_urgency: bool
    method_id: str


@dataclass(frozen=True, slots=True)
class May:
    """What the reader may do with this account."""

    edit: bool
    manage: bool


@get("/people", needs=P.USER_VIEW)
async def people_list(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show everybody who has an account, 50 at a time."""
    return await _show_list(request, context, who)


async def _show_list(
    request: AppRequest, context: Context, who: Actor, refused: Refused | None = None, *, invite_url: str = ""
) -> pages.Page:
    who.must(P.USER_VIEW)
    after = request.query_params.get("after", "")
    async with context.db.begin() as tx:
        values = await pages.shell(tx, request, context, who)
        found = await queries.users(tx, after=USER_ID.read(after) if after else None, limit=pages.PAGE_SIZE + 1)
        shown = found[: pages.PAGE_SIZE]
        methods, _ = await contact.ways_to_reach(tx, [person.id for person in shown])
        ids = [method.id for theirs in methods.values() for method in theirs]
        known = await contact.conditions(tx, ids, context.channels)
        values["roles"] = await role_choices(tx)
    more = len(found) > len(shown)
    values |= {
        "people": [_row(context, person, methods.get(person.id, []), known) for person in shown],
        "newer": "/people" if after else None,
        "older": pages.address("/people", after=USER_ID.write(shown[-1].id)) if more else None,
        "may": {"invite": who.may(P.USER_MANAGE)},
        "invite_url": invite_url,
        "conflict": "",
    }
    return pages.render("people/people.html", values, refused=refused)


def _row(context: Context, person: User, methods: Sequence[Method], known: Mapping[UUID, Condition]) -> PersonRow:
    usable = [method for method in methods if method.kind in context.channels]
    working = [method for method in usable if known[method.id].state is not MethodState.FAILING]
    labels = dict.fromkeys(label_of(context, method.kind) for method in working or usable)
    return PersonRow(
        id=USER_ID.write(person.id),
        name=person.name,
        email=person.email,
        role=person.role,
        is_active=person.is_active,
        reachable=bool(usable) and person.is_active,
        fails=bool(usable) and not working,
        methods=", ".join(labels),
    )


@post("/people", needs=P.USER_MANAGE)
async def invite(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Make an account and show the link that signs its person in, once. Form fields: name, email, role, form_id."""
    form = await forms.read(request)
    made: list[str] = []
    refused = await forms.attempt(context, form, "invite", partial(_invite, who, form, made))
    url = _link_url(context, made[0]) if made else ""
    return await _show_list(request, context, who, refused, invite_url=url)


async def _invite(who: Actor, form: Form, made: list[str], tx: Tx) -> None:
    email, name, role = form.text("email"), form.text("name"), form.text("role")
    # Only the answer to the second of two equal forms is seen, and the first one's link cannot be read again.
    is_new = await forms.once(tx, who, form, "invite", email)
    made.append(await identity.invite(tx, who, email=email, name=name, role=role, again=not is_new))


def _link_url(context: Context, token: str) -> str:
    return at(context.settings.base_url, f"/link/{token}")


@get("/people/{id:str}", needs=P.USER_VIEW)
async def person_page(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Show one person; for oneself it is the profile."""
    return await _show(request, context, who, id)


async def _show(
    request: AppRequest, context: Context, who: Actor, id: str, refused: Refused | None = None, *, link_url: str = ""
) -> pages.Page:
    who.must(P.USER_VIEW)
    async with context.db.begin() as tx:
        person = await queries.user(tx, USER_ID.read(id))
        values = await pages.shell(tx, request, context, who)
        methods = await contact.contact_methods(tx, person.id)
        rules = await contact.rules(tx, person.id)
        wish = telling.wish_of(await contact.news_preference(tx, person.id))
        test = await contact.latest_test(tx, person.id)
        until = await queries.new_password_until(tx, who.session_id, person.id)
        known = await contact.conditions(tx, [method.id for method in methods], context.channels)
        needs = await incidents.needs_of(tx, who, person.id) if who.may(P.USER_MANAGE) else []
        paged_by = await oncall.pages_them(tx, person.id)
        roles = await role_choices(tx) if who.may(P.USER_MANAGE) else []
    is_me = person.id == who.user_id
    may = May(edit=who.may(P.USER_MANAGE) or (is_me and who.may(P.SELF_EDIT)), manage=who.may(P.USER_MANAGE))
    shown = [_method(context, method, may, known[method.id]) for method in methods]
    values |= {
        "person": PersonView(
            id=USER_ID.write(person.id),
            name=person.name,
            email=person.email,
            role=person.role,
            zone=person.time_zone,
            is_active=person.is_active,
            version=person.version,
        ),
        "is_me": is_me,
        "can_be_reached": any(method.kind in context.channels for method in methods),
        "needs": listed(needs),
        "needs_seen": mark_of(needs),
        "is_last_method": len(methods) == 1 and person.is_active and bool(paged_by),
        "paged_by": listed(paged_by),
        "asks_to_confirm": refused is not None and isinstance(refused.problem, InUse),
        "methods": shown,
        "method_options": [(method.id, method.called) for method in shown],
        "formats": FORMATS,
        "method_kinds": [(kind, channel.label) for kind, channel in context.channels.items()],
        "has_mail": "email" in context.channels,
        "has_password": person.password_hash is not None,
        "new_password_until": until if until is not None and until > values["now"] else None,
        "rules": {urgency.value: _rules(rules, urgency, shown) for urgency in Urgency},
        "news": NewsView(wish.tell, wish.low_urgency, METHOD_ID.write(wish.method_id) if wish.method_id else _QUIETEST),
        "told": _TOLD,
        "zones": _zones(person.time_zone) if may.edit else [],
        "test": read_test(context, test, methods) if may.edit else None,
        "roles": roles,
        "may": may,
        "shortest_password": SHORTEST_PASSWORD,
        "link_url": link_url,
        "conflict": "",
    }
    return pages.render("people/person.html", values, refused=refused)


def _zones(own: str) -> list[tuple[str, str]]:
    return _ZONES if (own, own) in _ZONES else [(own, own), *_ZONES]


def _method(context: Context, method: ContactMethod, may: May, known: Condition) -> MethodView:
    name = called(context, method, with_address=False)
    icon = _ICONS.get(method.kind, "bell")
    form = bodies.NAMES[method.shape.format] if method.kind == WEBHOOK else ""
    address = method.address if may.edit else "Hidden"
    # What a receiver says may hold a part of the address.
    health = read_health(known if may.edit else replace(known, error=None))
    return MethodView(
        id=METHOD_ID.write(method.id),
        kind=method.kind,
        kind_name=name,
        called=called(context, method, with_address=may.edit),
        icon=icon,
        address=address,
        form=form,
        health=health,
    )


def _rules(rules: Sequence[NotificationRule], urgency: Urgency, methods: Sequence[MethodView]) -> list[RuleView]:
    names = {method.id: method.called for method in methods}
    return [
        RuleView(RULE_ID.write(rule.id), names.get(METHOD_ID.write(rule.contact_method_id), ""), rule.delay_minutes)
        for rule in rules
        if rule.urgency == urgency
    ]


_act = partial(pages.act, "/people", _show)


@post("/people/{id:str}", needs=Right.OWN)
async def update(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Change a person. Form fields: name, time_zone, version, and where they may be changed email, role, confirm."""
    form = await forms.read(request)
    return await _act(request, context, who, id, "person-form", form, partial(_update, who, id, form), "Saved.")


async def _update(who: Actor, id: str, form: Form, tx: Tx) -> None:
    changes = UserChanges(
        email=form.text("email") if "email" in form.names else None,
        name=form.text("name"),
        time_zone=form.text("time_zone"),
        role=form.text("role") or None,
    )
    is_confirmed = form.text("confirm") == "1"
    await incidents.update_person(tx, who, USER_ID.read(id), changes, form.version(), confirmed=is_confirmed)


@post("/people/{id:str}/password", needs=Right.OWN)
async def change_password(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Set one's own password and end one's other sessions. Form fields: current, password."""
    form = await forms.read(request)
    if USER_ID.read(id) != who.user_id:
        raise Denied("You can change your own password only.", hint="Send the person a sign-in link instead.")
    me, new, current = who.must_be_someone(), form.text("password"), form.text("current")
    refused = await forms.attempted(form, "password-form", identity.set_password(context.db, who, me, new, current))
    return (
        await _show(request, context, who, id, refused) if refused else pages.go(f"/people/{id}", "Password changed.")
    )


@post("/people/{id:str}/contact-methods", needs=Right.OWN)
async def add_method(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Add a way to be reached. Form fields: kind, address, method_name, format. An own template is written next."""
    form = await forms.read(request)
    made: list[str] = []
    refused = await forms.attempt(context, form, "add-method", partial(_add_method, context, who, id, form, made))
    if refused is not None:
        return await _show(request, context, who, id, refused)
    if made and form.text("format") == BodyFormat.TEMPLATE:
        return pages.go(f"/people/{id}/contact-methods/{made[0]}", "Contact method added. Write its template.")
    return pages.go(f"/people/{id}", "Contact method added. Send a test page.")


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
    return await _act(request, context, who, id, f"remove-{method_id}", form, use_case, "Contact method removed.")


async def _remove_method(who: Actor, id: str, method_id: str, form: Form, tx: Tx) -> None:
    is_confirmed = form.text("confirm") == "1"
    await oncall.remove_contact_method(
        tx, who, user_id=USER_ID.read(id), method_id=METHOD_ID.read(method_id), confirmed=is_confirmed
    )


@post("/people/{id:str}/rules", needs=Right.OWN)
async def change_rules(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Add a rule (do=add, urgency, method_id, after_minutes) or remove one (do=remove, rule_id)."""
    form = await forms.read(request)
    form_id = f"rule-{form.text('urgency')}"
    return await _act(request, context, who, id, form_id, form, partial(_change_rules, who, id, form), "")


async def _change_rules(who: Actor, id: str, form: Form, tx: Tx) -> None:
    user_id = USER_ID.read(id)
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


@post("/people/{id:str}/news", needs=Right.OWN)
async def change_news(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Say what the person wants to be told of their pages. Form fields: tell, method_id, low_urgency (1)."""
    form = await forms.read(request)
    return await _act(request, context, who, id, "news", form, partial(_change_news, who, id, form), "Saved.")


async def _change_news(who: Actor, id: str, form: Form, tx: Tx) -> None:
    user_id = USER_ID.read(id)
    must_manage(who, user_id)
    if form.text("tell") not in set(Tell):
        raise Invalid("tell", "Choose one of the list.")
    method_id = None if form.text("method_id") == _QUIETEST else form.id("method_id", METHOD_ID)
    wish = Wish(Tell(form.text("tell")), form.text("low_urgency") == "1", method_id)
    await telling.set_preference(tx, who, user_id=user_id, wish=wish)


@post("/people/{id:str}/test", needs=Right.OWN)
async def send_test(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Send a page that changes nothing on every contact method, or on one. Form fields: form_id, method_id."""
    form = await forms.read(request)
    return await _act(
        request, context, who, id, "test-page", form, partial(_send_test, who, id, form), "Test page sent."
    )


async def _send_test(who: Actor, id: str, form: Form, tx: Tx) -> None:
    method_id = form.optional_id("method_id", METHOD_ID)
    if await forms.once(tx, who, form, "test", form.text("method_id")):
        await notifications.send_test_page(tx, who, user_id=USER_ID.read(id), method_id=method_id)


@post("/people/{id:str}/link", needs=P.USER_MANAGE)
async def make_link(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Make a link that signs the person in and show it, once. No fields; only for those who manage people."""
    made: list[str] = []
    refused = await forms.attempt(context, Form({}), "make-link", partial(_make_link, who, id, made))
    url = _link_url(context, made[0]) if made else ""
    return await _show(request, context, who, id, refused, link_url=url)


async def _make_link(who: Actor, id: str, made: list[str], tx: Tx) -> None:
    made.append(await identity.make_sign_in_link(tx, who, USER_ID.read(id), identity.INVITATION_VALID_FOR))


@post("/people/{id:str}/deactivate", needs=P.USER_MANAGE)
async def deactivate(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """End the account: sessions, tokens and pages. Form field: seen, what was said to need the person."""
    form = await forms.read(request)
    use_case = partial(_switch, who, id, False, form)
    return await _act(request, context, who, id, "deactivate", form, use_case, "Account deactivated.")


@post("/people/{id:str}/activate", needs=P.USER_MANAGE)
async def activate(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Give the account back. No fields."""
    use_case = partial(_switch, who, id, True, Form({}))
    return await _act(request, context, who, id, "activate", Form({}), use_case, "Account activated.")


async def _switch(who: Actor, id: str, is_active: bool, form: Form, tx: Tx) -> None:
    who.must(P.USER_MANAGE)
    needs = await incidents.needs_of(tx, who, USER_ID.read(id))
    # What has come since the page was shown is asked about again.
    confirmed = needs if form.text("seen") == mark_of(needs) else ()
    await incidents.update_person(tx, who, USER_ID.read(id), UserChanges(is_active=is_active), confirmed=confirmed)


HANDLERS = [
    people_list,
    invite,
    person_page,
    update,
    change_password,
    add_method,
    remove_method,
    change_rules,
    change_news,
    send_test,
    make_link,
    deactivate,
    activate,
]
