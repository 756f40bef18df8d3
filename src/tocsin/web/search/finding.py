"""What can be found by a few words, and where it stands. A kind of thing is one more finder."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tocsin.alerts import queries as alerts
from tocsin.alerts import source_queries
from tocsin.alerts.model import ALERT_ID, SOURCE_ID
from tocsin.db.engine import Tx
from tocsin.events.vocabulary import ACTION_STATUSES, called_alert
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import TEAM_ID, USER_ID, Actor
from tocsin.incidents import action_item_queries
from tocsin.incidents import queries as incidents
from tocsin.incidents.model import INCIDENT_ID
from tocsin.kit.search import has_words, words_in
from tocsin.oncall import queries as oncall
from tocsin.oncall.model import POLICY_ID
from tocsin.web.base.forms import MOST_CHOICES
from tocsin.web.base.navigation import Menu

# Of each kind; whoever wants more narrows the list of that kind.
_MOST = 6


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing. `severity` draws its sign, 0 for things that have none and have an `icon` instead."""

    place: str
    title: str
    ref: str = ""
    words: str = ""
    icon: str = ""
    severity: int = 0
    keys: str = ""


@dataclass(frozen=True, slots=True)
class Hits:
    """What was found of one kind."""

    kind: str
    hits: Sequence[Hit]


Finder = Callable[[Tx, Actor, str], Awaitable[Sequence[Hit]]]


async def find(tx: Tx, who: Actor, q: str) -> list[Hits]:
    """Look for words in everything that the reader may see."""
    found = [Hits(kind, hits) for kind, finder in _FINDERS if (hits := await finder(tx, who, q))]
    wanted = q.upper()
    # Whoever writes a whole number means that one.
    return sorted(found, key=lambda hits: not any(hit.ref == wanted for hit in hits.hits))


def places(menu: Menu, q: str) -> list[Hits]:
    """Return the places whose names or words have all of the words in them; without words all places."""
    hits = [
        Hit(entry.path, entry.text, words=entry.words, icon=entry.icon, keys=entry.keys)
        for entry in menu.places
        if has_words(words_in(q), entry.text, entry.tab, entry.words)
    ]
    return [Hits("Places", hits)] if hits else []


async def _incidents(tx: Tx, who: Actor, q: str) -> Sequence[Hit]:
    if not who.access.may_look(P.INCIDENT_VIEW):
        return ()
    found = await incidents.listed(tx, who.access, incidents.Filters(), q=q, limit=_MOST)
    return [
        Hit(
            INCIDENT_ID.page(each.reference), each.headline, each.reference, each.status.capitalize(), "", each.severity
        )
        for each in found
    ]


async def _alerts(tx: Tx, who: Actor, q: str) -> Sequence[Hit]:
    if not who.access.may_look(P.ALERT_VIEW):
        return ()
    found = await alerts.listed(tx, who.access, alerts.Filter(q=q), limit=_MOST)
    return [
        Hit(ALERT_ID.page(each.id), each.title, called_alert(each.number), each.status.capitalize(), "", each.severity)
        for each, _, _ in found
    ]


async def _action_items(tx: Tx, who: Actor, q: str) -> Sequence[Hit]:
    if not who.access.may_look(P.INCIDENT_VIEW):
        return ()
    found = await action_item_queries.listed(tx, who.access, action_item_queries.Filters(), q=q, limit=_MOST)
    return [
        Hit(
            f"{INCIDENT_ID.page(each.incident.reference)}/action-items",
            each.item.description,
            words=f"{each.incident.reference}, {ACTION_STATUSES[each.item.status].label.lower()}",
            icon="list-checks",
        )
        for each in found
    ]


async def _people(tx: Tx, who: Actor, q: str) -> Sequence[Hit]:
    if not who.may(P.USER_VIEW):
        return ()
    found = await identity.users(tx, limit=_MOST, words=words_in(q))
    return [Hit(USER_ID.page(each.id), each.name, words=each.email, icon="user") for each in found]


async def _teams(tx: Tx, who: Actor, q: str) -> Sequence[Hit]:
    if not who.may(P.USER_VIEW):
        return ()
    found = await identity.teams(tx, who.access, limit=MOST_CHOICES, is_archived=False)
    named = [each for each in found if has_words(words_in(q), each.name)]
    return [Hit(TEAM_ID.page(each.id), each.name, icon="users-round") for each in named[:_MOST]]


async def _policies(tx: Tx, who: Actor, q: str) -> Sequence[Hit]:
    if not who.may(P.ONCALL_VIEW):
        return ()
    found = await oncall.policies(tx, limit=_MOST, words=words_in(q))
    return [Hit(POLICY_ID.page(each.id), each.name, icon="arrow-up-from-line") for each in found]


async def _sources(tx: Tx, who: Actor, q: str) -> Sequence[Hit]:
    if not who.access.may_look(P.SOURCE_VIEW):
        return ()
    found = await source_queries.sources(tx, who.access, limit=MOST_CHOICES)
    named = [each for each in found if has_words(words_in(q), each.name)]
    return [Hit(SOURCE_ID.page(each.id), each.name, icon="radio-tower") for each in named[:_MOST]]


_FINDERS: Sequence[tuple[str, Finder]] = (
    ("Incidents", _incidents),
    ("Alerts", _alerts),
    ("Action items", _action_items),
    ("People", _people),
    ("Teams", _teams),
    ("Policies", _policies),
    ("Sources", _sources),
)
