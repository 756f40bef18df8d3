"""The page of one person, which is one's own profile as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar
from zoneinfo import available_timezones

from litestar import get
from litestar.params import FromPath

from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.events import vocabulary
from tocsin.identity import queries
from tocsin.identity.access import P
from tocsin.identity.accounts import SHORTEST_PASSWORD
from tocsin.identity.model import USER_ID, Actor
from tocsin.incidents import service as incidents
from tocsin.kit.addresses import at
from tocsin.kit.errors import InUse
from tocsin.notifications import queries as contact
from tocsin.notifications import telling
from tocsin.notifications.channels.webhook import bodies
from tocsin.notifications.health import Condition
from tocsin.notifications.model import (
    METHOD_ID,
    RULE_ID,
    WEBHOOK,
    ContactMethod,
    NotificationRule,
    Tell,
    Urgency,
)
from tocsin.oncall import list_queries
from tocsin.web.base import pages
from tocsin.web.base.forms import Refused
from tocsin.web.base.screens import ShellScreen
from tocsin.web.parts.roles import known_roles
from tocsin.web.parts.targets import Choice
from tocsin.web.people.exchanges import TestPage, called, read_test
from tocsin.web.people.method_health import HealthView, read_health
from tocsin.web.people.uses import listed

_TOLD: list[Choice] = [
    (Tell.ALL.value, "Who took it, and when it is over"),
    (Tell.OVER.value, "Only when it is over"),
    (Tell.NONE.value, "Nothing"),
]
QUIETEST = "quietest"
_ZONES = [(name, name) for name in sorted(available_timezones()) if "/" in name or name == "UTC"]


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

    `called` tells it from the others, by its own name or its address.
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
    """What somebody wants to be told of what they were paged for, and where: a contact method or `QUIETEST`."""

    tell: str
    low_urgency: bool
    method_id: str


@dataclass(frozen=True, slots=True)
class May:
    """What the reader may do with this account."""

    edit: bool
    manage: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonScreen(ShellScreen):
    """One person, and how they are reached.

    `needs` is what names them, each with its address, or "", and its words. `asks_to_confirm`: the change that was
    refused is one to be sure of.
    `new_password_until` is set while the current password is not asked for. `test` and `zones` are for whoever may
    edit, `roles` for whoever may manage. `link_url` was just made, and is shown this once.
    """

    template: ClassVar = "people/person.html"
    person: PersonView
    is_me: bool
    # They may be paged, and nothing could be sent to them.
    lacks_method: bool
    needs: list[tuple[str, str]]
    asks_to_confirm: bool
    methods: list[MethodView]
    method_options: list[Choice]
    has_password: bool
    new_password_until: datetime | None
    rules: Mapping[str, Sequence[RuleView]]
    news: NewsView
    told: list[Choice]
    zones: list[Choice]
    test: TestPage | None
    roles: list[Choice]
    may: May
    shortest_password: int
    link_url: str

    @property
    def shows_secret(self) -> bool:
        return bool(self.link_url) or self.may.edit


def link_url(context: Context, token: str) -> str:
    return at(context.settings.base_url, f"/link/{token}")


@get("/people/{id:str}", needs=P.USER_VIEW)
async def person_page(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Show one person; for oneself it is the profile."""
    return await show(request, context, who, id)


async def show(
    request: AppRequest, context: Context, who: Actor, id: str, refused: Refused | None = None, *, link_url: str = ""
) -> pages.Page:
    who.must(P.USER_VIEW)
    async with context.db.begin() as tx:
        person = await queries.user(tx, USER_ID.read(id))
        shell = await pages.shell(tx, request, context, who)
        methods = await contact.contact_methods(tx, person.id)
        rules = await contact.rules(tx, person.id)
        wish = telling.wish_of(await contact.news_preference(tx, person.id))
        test = await contact.latest_test(tx, person.id)
        until = await queries.new_password_until(tx, who.session_id, person.id)
        known = await contact.conditions(tx, [method.id for method in methods], context.channels)
        needs = await incidents.needs_of(tx, who, person.id) if who.may(P.USER_MANAGE) else []
        is_paged = person.id in await list_queries.may_be_paged(tx, [person.id])
        roles = [role.choice for role in await known_roles(tx)] if who.may(P.USER_MANAGE) else []
    is_me = person.id == who.user_id
    may = May(edit=who.may(P.USER_MANAGE) or (is_me and who.may(P.SELF_EDIT)), manage=who.may(P.USER_MANAGE))
    shown = [_method(context, method, may, known[method.id]) for method in methods]
    screen = PersonScreen(
        shell,
        person=PersonView(
            id=USER_ID.write(person.id),
            name=person.name,
            email=person.email,
            role=person.role,
            zone=person.time_zone,
            is_active=person.is_active,
            version=person.version,
        ),
        is_me=is_me,
        lacks_method=is_paged and not any(method.kind in context.channels for method in methods),
        needs=listed(needs),
        asks_to_confirm=refused is not None and isinstance(refused.problem, InUse),
        methods=shown,
        method_options=[(method.id, method.called) for method in shown],
        has_password=person.password_hash is not None,
        new_password_until=until if until is not None and until > shell.now else None,
        rules={urgency.value: _rules(rules, urgency, shown) for urgency in Urgency},
        news=NewsView(wish.tell, wish.low_urgency, METHOD_ID.write(wish.method_id) if wish.method_id else QUIETEST),
        told=_TOLD,
        zones=_zones(person.time_zone) if may.edit else [],
        test=read_test(context, test, methods) if may.edit else None,
        roles=roles,
        may=may,
        shortest_password=SHORTEST_PASSWORD,
        link_url=link_url,
        refused=refused,
    )
    return pages.render(screen)


def _zones(own: str) -> list[tuple[str, str]]:
    return _ZONES if (own, own) in _ZONES else [(own, own), *_ZONES]


def _method(context: Context, method: ContactMethod, may: May, known: Condition) -> MethodView:
    name = called(context, method, with_address=False)
    _, icon = vocabulary.channel(method.kind)
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


HANDLERS = [person_page]
