"""What is done to several alerts of the list at once, and what is said of it: how many, and which it could not be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from tocsin.alerts import list_queries, queries
from tocsin.alerts import service as alerts
from tocsin.alerts.service import Done
from tocsin.db.engine import Tx
from tocsin.events.vocabulary import called_alert
from tocsin.identity.model import Actor
from tocsin.incidents import service as incidents
from tocsin.kit.errors import Invalid, NotFound, Problem
from tocsin.web.alerts.listing import wanted_of
from tocsin.web.base import became
from tocsin.web.base.forms import Form
from tocsin.web.base.lists import MOST_COUNTED, Asked

# What is said when it was done, and when it was so before.
_WORDS: Mapping[alerts.Act, tuple[str, str]] = {
    "acknowledge": ("acknowledged", "acknowledged already"),
    "resolve": ("resolved", "resolved already"),
    "unacknowledge": ("given back", "not acknowledged"),
    "escalate": ("escalated", ""),
}


async def work(who: Actor, form: Form, asked: Asked, told: list[str], tx: Tx) -> None:
    """Do what the form says and note what there is to say.

    Form fields: act (a verb of `listing.ACTS`), id (repeated) or one (a single alert, which counts over the others);
    all, the time of the page, for all that the list shows, also on other pages; list, the query of the list; incident,
    for linking.
    """
    ids, gone, left = await _selected(tx, who, form, asked)
    act = form.text("act") or "acknowledge"
    if act == "link":
        said = await _link(tx, who, form, ids, gone)
    elif act in _WORDS:
        known = cast("alerts.Act", act)
        said = _said(known, await alerts.do_to_all(tx, who, known, ids), await _called(tx, who, ids), gone)
    else:
        raise Invalid("act", "Choose what to do.")
    told.append(f"{said} {left} more are in this list: do it once more." if left > 0 else said)


async def _selected(tx: Tx, who: Actor, form: Form, asked: Asked) -> tuple[list[UUID], list[tuple[str, NotFound]], int]:
    """Return the alerts that were selected, those that are not there, and how many more than are changed at once.

    What was made private, or deleted, since the list was shown is not there any more, and does not stop the rest.
    """
    most = alerts.MOST_TOGETHER
    if form.text("all") and not form.text("one"):
        # What came after the page was made nobody has seen who presses.
        wanted = replace(await wanted_of(tx, who, asked), created_to=_time(form.text("all")))
        found = await list_queries.listed(tx, who.access, wanted, limit=most)
        total = await list_queries.count(tx, who.access, wanted, most=MOST_COUNTED)
        return [alert.id for alert, _, _ in found], [], total - len(found)
    refs = [form.text("one")] if form.text("one") else form.chosen("id", most)
    known = await queries.numbered(tx, who.access, refs)
    named = {ref: _read(ref, known) for ref in refs}
    there = set(await queries.seen(tx, who.access, [id for id in named.values() if id is not None]))
    gone = [(_as_said(ref), NotFound("There is no such alert.")) for ref, id in named.items() if id not in there]
    return list(dict.fromkeys(id for id in named.values() if id is not None and id in there)), gone, 0


def _read(ref: str, known: Mapping[int, UUID]) -> UUID | None:
    try:
        return queries.read_ref(ref, known)
    except NotFound:
        return None


def _as_said(ref: str) -> str:
    number = queries.number_in(ref)
    return called_alert(number) if number is not None else "One alert"


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    # Beyond these years the store, or the arithmetic on the way to it, may refuse a time.
    if at is None or at.tzinfo is None or not 1970 <= at.year <= 2200:
        raise Invalid("all", "Load the list again.")
    # What was there at that very moment was seen.
    return at + timedelta(microseconds=1)


async def _called(tx: Tx, who: Actor, ids: Sequence[UUID]) -> list[str]:
    """Return what each of these alerts is called, in their order."""
    numbers = await queries.numbers_of(tx, who.access, ids)
    return [called_alert(numbers[id]) if id in numbers else "One alert" for id in ids]


def _said(
    act: alerts.Act, found: Sequence[Done | Problem], names: Sequence[str], gone: Sequence[tuple[str, Problem]]
) -> str:
    """Say how many it was done to, how many were so before, and why it could not be done to the others."""
    new, before = _WORDS[act]
    done = [each for each in found if isinstance(each, Done)]
    changed = sum(each.is_new for each in done)
    parts = [f"{_alerts(changed)} {new}."] if changed else []
    if same := len(done) - changed:
        parts.append(f"{_alerts(same)} {_were(same)} {before}.")
    refused = [(name, each) for name, each in zip(names, found, strict=True) if isinstance(each, Problem)]
    return " ".join([*parts, *became.refused([*refused, *gone])])


def _alerts(number: int) -> str:
    return "1 alert" if number == 1 else f"{number} alerts"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


async def _link(tx: Tx, who: Actor, form: Form, ids: Sequence[UUID], gone: Sequence[tuple[str, Problem]]) -> str:
    """Link to the incident that the form names. Those of another incident stay there."""
    said = form.text("incident").strip()
    if not said:
        raise Invalid("incident", "Name the incident, such as INC-7.")
    try:
        linked = await incidents.link_free_alerts(tx, who, said, ids)
    except NotFound as problem:
        raise Invalid("incident", problem.message) from None
    name = linked.incident.reference
    parts = [f"{_alerts(len(linked.new))} linked to {name}."] if linked.new else []
    if linked.there:
        parts.append(f"{_alerts(len(linked.there))} {_were(len(linked.there))} there before.")
    elsewhere = [(called_alert(alert.number), problem) for alert, problem in linked.elsewhere]
    return " ".join([*parts, *became.refused([*elsewhere, *gone])])
