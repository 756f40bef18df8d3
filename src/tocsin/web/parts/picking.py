"""Choosing from many: people, policies, teams, incidents and alerts, by the words that one types.

With a script a field asks for what it offers (`web/pick.py`), and a page does not grow with the number of people.
Without one it is a menu of all of them, which only the page of the form itself carries (`ui.picker`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from tocsin.alerts import queries as alerts
from tocsin.alerts.model import ALERT_ID, OPEN, Alert
from tocsin.db.engine import Tx
from tocsin.events.vocabulary import called_alert, severity
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import TEAM_ID, USER_ID, Actor, User
from tocsin.incidents import queries as incidents
from tocsin.incidents.model import Incident
from tocsin.kit.errors import NotFound
from tocsin.kit.search import has_words
from tocsin.oncall import queries as oncall
from tocsin.oncall.escalation import can_reach
from tocsin.oncall.model import POLICY_ID, EscalationPolicy
from tocsin.web.base.forms import MOST_CHOICES, Refused

UNREACHABLE = "cannot be reached"
# Among how many the chosen ones of a refused form are looked for.
_MOST_NAMED = 5_000


@dataclass(frozen=True, slots=True)
class Option:
    """One that can be chosen. `note` is what marks it, such as that nobody can be reached."""

    value: str
    text: str
    note: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Picker:
    """What a field offers: `options` for a menu, nothing where the script asks for them; `chosen` is chosen now."""

    options: Sequence[Option] = ()
    chosen: Sequence[Option] = ()


# Finds what has each of these words, at most so many of them.
Find = Callable[[Tx, Actor, Sequence[str], int], Awaitable[list[Option]]]


async def picker(
    tx: Tx,
    who: Actor,
    kind: str,
    *,
    in_sheet: bool,
    name: str = "",
    refused: Refused | None = None,
    chosen: Sequence[Option] = (),
) -> Picker:
    """Return what the field `name` offers; of a form that was refused, with what was chosen in it."""
    found = kind_for(who, kind)
    sent = refused.form.texts(name) if refused is not None and name in refused.form.names else None
    every = await found.find(tx, who, [], _MOST_NAMED if sent else MOST_CHOICES) if sent or not in_sheet else []
    known = {option.value: option for option in [*every, *chosen]}
    if sent is not None:
        chosen = [known[value] for value in sent if value in known]
    # What is chosen can be kept, also where it is offered no more.
    offered = {option.value for option in every}
    kept = [option for option in chosen if option.value not in offered]
    return Picker(() if in_sheet else [*every, *kept], chosen)


async def _people(tx: Tx, who: Actor, words: Sequence[str], limit: int) -> list[Option]:
    """Find who may work on incidents."""
    found = await identity.users(tx, limit=_MOST_NAMED, active_only=True, may=P.INCIDENT_EDIT, words=words)
    return [_person(each) for each in _by_name(found)[:limit]]


def _person(person: User) -> Option:
    return Option(USER_ID.write(person.id), person.name)


def _by_name(people: Collection[User]) -> list[User]:
    return sorted(people, key=lambda person: person.name.casefold())


async def _colleagues(tx: Tx, who: Actor, words: Sequence[str], limit: int) -> list[Option]:
    """Find everybody who has an account."""
    return [_person(each) for each in await _everybody(tx, words, limit)]


async def _everybody(tx: Tx, words: Sequence[str], limit: int) -> list[User]:
    return _by_name(await identity.users(tx, limit=_MOST_NAMED, active_only=True, words=words))[:limit]


async def _pageable(tx: Tx, who: Actor, words: Sequence[str], limit: int) -> list[Option]:
    """Find who can stand on a step of a policy. Whoever cannot be reached stays among them, and is marked."""
    methods = (await oncall.known_directory(tx)).methods
    return [
        Option(f"user:{USER_ID.write(each.id)}", each.name, "" if each.id in methods else UNREACHABLE)
        for each in await _everybody(tx, words, limit)
    ]


async def _holders(tx: Tx, who: Actor, words: Sequence[str], limit: int) -> list[Option]:
    """Find who can be granted something: people, and the teams that the reader sees."""
    teams = [replace(each, value=f"team:{each.value}", group="Teams") for each in await _teams(tx, who, words, limit)]
    people = [
        replace(each, value=f"user:{each.value}", group="People") for each in await _colleagues(tx, who, words, limit)
    ]
    return [*teams, *people][:limit]


async def _targets(tx: Tx, who: Actor, words: Sequence[str], limit: int) -> list[Option]:
    """Find whom one can page. Whoever cannot be reached stays among them, and is marked."""
    people = await identity.users(tx, limit=_MOST_NAMED, active_only=True, may=P.INCIDENT_EDIT, words=words)
    policies = await oncall.policies(tx, limit=limit, words=words)
    known = await oncall.known_directory(tx)
    reaching = {id for id, plan in known.plans.items() if can_reach(plan, known.methods)}
    return [
        *(_policy_target(each, is_reachable=each.id in reaching) for each in policies),
        *(_person_target(each, is_reachable=each.id in known.methods) for each in _by_name(people)),
    ][:limit]


def _person_target(person: User, *, is_reachable: bool) -> Option:
    return Option(f"user:{USER_ID.write(person.id)}", person.name, "" if is_reachable else UNREACHABLE, group="People")


def _policy_target(policy: EscalationPolicy, *, is_reachable: bool) -> Option:
    value = f"policy:{POLICY_ID.write(policy.id)}"
    return Option(value, policy.name, "" if is_reachable else UNREACHABLE, group="Policies")


async def _policies(tx: Tx, who: Actor, words: Sequence[str], limit: int) -> list[Option]:
    found = await oncall.policies(tx, limit=limit, words=words)
    return [Option(POLICY_ID.write(each.id), each.name) for each in found]


async def _teams(tx: Tx, who: Actor, words: Sequence[str], limit: int) -> list[Option]:
    found = await identity.teams(tx, who.access, limit=MOST_CHOICES, is_archived=False)
    named = [team for team in found if has_words(words, team.name)]
    return [Option(TEAM_ID.write(each.id), each.name) for each in named[:limit]]


async def _incidents(tx: Tx, who: Actor, words: Sequence[str], limit: int) -> list[Option]:
    """Find incidents, the newest first, by their number or by words."""
    return [_incident(each) for each in await incidents.listed(tx, who.access, q=" ".join(words), limit=limit)]


def _incident(incident: Incident) -> Option:
    return Option(
        incident.reference,
        f"{incident.reference} {incident.headline[:80]}",
        f"{severity(incident.severity)}, {incident.status}",
    )


async def _alerts(tx: Tx, who: Actor, words: Sequence[str], limit: int) -> list[Option]:
    """Find open alerts that belong to no incident, the newest first."""
    wanted = alerts.Filter(statuses=OPEN, is_free=True, q=" ".join(words))
    return [_alert(alert) for alert, _, _ in await alerts.listed(tx, who.access, wanted, limit=limit)]


def _alert(alert: Alert) -> Option:
    return Option(
        ALERT_ID.write(alert.id), f"{called_alert(alert.number)} {alert.title[:80]}", severity(alert.severity)
    )


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of what is chosen, and by which rights: one of them, anywhere, will do."""

    find: Find
    rights: tuple[P, ...]


_HELPS = (P.INCIDENT_EDIT, P.INCIDENT_PAGE, P.INCIDENT_DECLARE, P.USER_VIEW)
KINDS: Mapping[str, Kind] = {
    "people": Kind(_people, _HELPS),
    "targets": Kind(_targets, _HELPS),
    "colleagues": Kind(_colleagues, (P.USER_VIEW,)),
    "pageable": Kind(_pageable, (P.ONCALL_VIEW,)),
    "holders": Kind(_holders, (P.USER_VIEW,)),
    "policies": Kind(_policies, (P.ONCALL_VIEW,)),
    "teams": Kind(_teams, (P.USER_VIEW,)),
    "incidents": Kind(_incidents, (P.INCIDENT_VIEW,)),
    "alerts": Kind(_alerts, (P.ALERT_VIEW,)),
}


def kind_for(who: Actor, name: str) -> Kind:
    """Return the kind; raises `NotFound` where there is none of it for this person."""
    kind = KINDS.get(name)
    if kind is None or not any(who.access.may_somewhere(right) for right in kind.rights):
        raise NotFound("There is nothing to choose from here.")
    return kind
