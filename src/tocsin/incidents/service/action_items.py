"""What is to be done because of an incident: adding it, changing it, doing it, deleting it, and doing so to several.

Whoever may edit the incident may; also when it is over, as much of this is done afterwards. Each change stands on the
timeline of the incident, and changes nothing of the incident itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Unpack, cast
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events import since
from tocsin.events.action_items import (
    ActionItemCompleted,
    ActionItemCreated,
    ActionItemDeleted,
    ActionItemReopened,
    ActionItemUpdated,
)
from tocsin.events.base import SYSTEM, ActorRef, Change, Subject
from tocsin.events.facts import SwitchedOff, Why
from tocsin.events.log import emit
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.access_queries import access
from tocsin.identity.model import Actor
from tocsin.incidents import action_item_queries, action_items, queries, reminding
from tocsin.incidents.action_item_queries import Listed
from tocsin.incidents.action_items import ActionItemChanges, NewActionItem, is_to_do
from tocsin.incidents.model import ACTION_ITEM_ID, TO_DO, ActionItem, ActionStatus, Incident
from tocsin.incidents.queries import Ref
from tocsin.kit.changes import Copy
from tocsin.kit.errors import Invalid, NotFound, Problem
from tocsin.kit.ids import new_id

# So many at once are one transaction that others wait for.
MOST_TOGETHER = 100
_PORTION = 100
# What the record calls a field, where that is not its own name, and in which order it tells of them.
_TOLD: Mapping[str, str] = {
    "description": "description",
    "assignee_id": "assignee",
    "due_date": "due_date",
    "priority": "priority",
    "kind": "kind",
    "status": "status",
}


async def create_action_item(tx: Tx, who: Actor, ref: Ref, **written: Unpack[NewActionItem]) -> Listed:
    """Add something to be done because of an incident, also when that is over.

    Raises `Invalid` for a description that says nothing, and for somebody who cannot do it.
    """
    incident = await queries.get(tx, who.access.reach, ref)
    who.must(P.INCIDENT_EDIT, on=incident)
    checked = await _checked(tx, incident, {"description": ""} | dict(written))
    item = ActionItem(
        id=new_id(),
        incident_id=incident.id,
        status=ActionStatus.OPEN,
        created_by_kind=who.ref.kind,
        created_by_id=who.ref.id,
        created_by_name=who.ref.name,
        created_at=tx.now,
        updated_at=tx.now,
        version=1,
        **dict.fromkeys(("assignee_id", "due_date", "priority", "kind", "ended_at", "reminder", "remind_at")),
    )
    names = await _names(tx, checked.get("assignee_id"))
    said = {name: value for name, value in checked.items() if value is not None and name != "description"}
    told = [Change(_TOLD[name], None, _said(name, said[name], names)) for name in _TOLD if name in said]
    _write(item, checked, tx.now)
    reminding.plan(item, await identity.zone_of(tx, item.assignee_id), now=tx.now)
    tx.session.add(item)
    await tx.session.flush()
    await emit(tx, ActionItemCreated(actor=who.ref, **_about(item), changes=told))
    return Listed(item, incident)


async def update_action_item(
    tx: Tx, who: Actor, item_id: UUID, changes: ActionItemChanges, *, if_version: Copy = None
) -> Listed:
    """Change an action item; raises `Stale` where somebody else has changed the same fields meanwhile."""
    found = await action_item_queries.lock(tx, who.access.reach, item_id)
    who.must(P.INCIDENT_EDIT, on=found.incident)
    await _change(tx, who, found, changes, if_version)
    return found


async def complete_action_item(tx: Tx, who: Actor, item_id: UUID, *, if_version: Copy = None) -> Listed:
    """Say that it is done. Idempotent."""
    return await update_action_item(tx, who, item_id, {"status": ActionStatus.DONE}, if_version=if_version)


async def reopen_action_item(tx: Tx, who: Actor, item_id: UUID, *, if_version: Copy = None) -> Listed:
    """Say that it is to be done after all; one that is not at its end stays as it is."""
    found = await action_item_queries.lock(tx, who.access.reach, item_id)
    who.must(P.INCIDENT_EDIT, on=found.incident)
    if not is_to_do(found.item):
        await _change(tx, who, found, {"status": ActionStatus.OPEN}, if_version)
    return found


async def delete_action_item(tx: Tx, who: Actor, item_id: UUID) -> None:
    """Take it out of the lists for good; the timeline keeps what it was called."""
    found = await action_item_queries.lock(tx, who.access.reach, item_id)
    who.must(P.INCIDENT_EDIT, on=found.incident)
    await tx.session.delete(found.item)
    await emit(tx, ActionItemDeleted(actor=who.ref, **_about(found.item, version=False)))


@dataclass(frozen=True, slots=True)
class ChangedItem:
    """An action item as it is now, and whether this made it so."""

    listed: Listed
    is_new: bool


async def change_action_items(
    tx: Tx, who: Actor, changes: ActionItemChanges, ids: Sequence[UUID]
) -> list[ChangedItem | Problem]:
    """Change the same of each of these; returns what became of each, in the order of the ids.

    One that it cannot be done to stays as it is and does not stop the rest. What is wrong with the change itself is
    raised: `Invalid`, where that is why it could be done to none.
    """
    who.must_somewhere(P.INCIDENT_EDIT)
    there = await action_item_queries.lock_many(tx, who.access.reach, ids)
    became = {id: await _alone(tx, who, found, changes) for id, found in there.items()}
    found = [became.get(id) or NotFound(f"There is no “{ACTION_ITEM_ID.write(id)}”.") for id in ids]
    if found and isinstance(found[0], Invalid) and all(isinstance(each, Invalid) for each in found):
        raise found[0]
    return found


async def _alone(tx: Tx, who: Actor, found: Listed, changes: ActionItemChanges) -> ChangedItem | Problem:
    before = found.item.version
    try:
        async with tx.session.begin_nested():
            who.must(P.INCIDENT_EDIT, on=found.incident)
            await _change(tx, who, found, changes, None)
    except Problem as problem:
        return problem
    return ChangedItem(found, found.item.version != before)


async def free_action_items(tx: Tx, user_id: UUID) -> bool:
    """Take what somebody was to do from them, some of it, if their account is off; says whether there may be more."""
    items = await action_item_queries.lock_open_of(tx, user_id, limit=_PORTION)
    person = await identity.user(tx, user_id)
    await tx.session.refresh(person)
    if person.is_active:
        return False
    why = SwitchedOff(person.name)
    for item in items:
        await _put(tx, SYSTEM, item, {"assignee_id": None}, [Change("assignee", person.name, None)], why)
    return len(items) == _PORTION


async def _change(tx: Tx, who: Actor, found: Listed, changes: ActionItemChanges, if_version: Copy) -> None:
    """Change what differs of an action item that is locked."""
    item = found.item
    checked = {
        name: value
        for name, value in (await _checked(tx, found.incident, changes, item)).items()
        if value != getattr(item, name)
    }
    names = await _names(tx, checked.get("assignee_id"), item.assignee_id)
    told = {
        name: Change(_TOLD[name], _said(name, getattr(item, name), names), _said(name, checked[name], names))
        for name in _TOLD
        if name in checked
    }
    about = Subject(ACTION_ITEM_ID.name, item.id)
    called, copy = "this action item", if_version
    left = await since.left_alone(tx, about, item.version, copy, [*told.values()], called, code="action_item.stale")
    told = {name: change for name, change in told.items() if change.field not in left}
    await _put(tx, who.ref, item, {name: checked[name] for name in told}, [*told.values()])


async def _put(
    tx: Tx, by: ActorRef, item: ActionItem, new: Mapping[str, Any], told: Sequence[Change], why: Why | None = None
) -> None:
    """Write what is new into an action item that is locked, plan its reminders by it, and tell of it."""
    if not new:
        return
    status = ActionStatus(item.status)
    _write(item, new, tx.now)
    item.updated_at = tx.now
    if "due_date" in new or "status" in new:
        reminding.plan(item, await identity.zone_of(tx, item.assignee_id), now=tx.now)
    elif "assignee_id" in new:
        reminding.move(item, await identity.zone_of(tx, item.assignee_id))
    # That it is done, or not after all, is told by itself; so is whatever else was changed with it.
    is_done = item.status == ActionStatus.DONE and status != ActionStatus.DONE
    is_again = status not in TO_DO and is_to_do(item)
    plain = [change for change in told if change.field != "status" or not (is_done or is_again)]
    if plain:
        item.version += 1
        await emit(tx, ActionItemUpdated(actor=by, **_about(item), changes=plain, why=why))
    if is_done or is_again:
        item.version += 1
    if is_done:
        await emit(tx, ActionItemCompleted(actor=by, **_about(item), old=status))
    if is_again:
        await emit(tx, ActionItemReopened(actor=by, **_about(item), old=status, new=item.status))
    await tx.session.flush()


def _write(item: ActionItem, new: Mapping[str, Any], now: datetime) -> None:
    for name, value in new.items():
        if name == "status":
            action_items.put(item, value, at=now)
        else:
            setattr(item, name, value)


async def _checked(
    tx: Tx, incident: Incident, written: Mapping[str, Any], item: ActionItem | None = None
) -> dict[str, Any]:
    """Return what was written as it is stored; who has it already may keep it."""
    checked = dict(written)
    if "description" in checked:
        checked["description"] = action_items.description(checked["description"])
    if "due_date" in checked:
        checked["due_date"] = action_items.due_date(cast("date | None", checked["due_date"]), tx.now)
    assignee = checked.get("assignee_id")
    if assignee is not None and (item is None or assignee != item.assignee_id):
        await _must_be_able(tx, incident, assignee)
    return checked


async def _must_be_able(tx: Tx, incident: Incident, user_id: UUID) -> None:
    """Raise `Invalid` unless this person can sign in, sees the incident and may work on it."""
    people = await identity.keep_active(tx, [user_id])
    if user_id not in people:
        raise Invalid("assignee_id", "Choose a person who can sign in.", code="unknown")
    theirs = await access(tx, user_id)
    if not await queries.by_id(tx, theirs, [incident.id]) or not theirs.may(P.INCIDENT_EDIT, incident.owned):
        who = f"{people[user_id].name} may not work on {incident.reference}"
        raise Invalid("assignee_id", f"{who}. Choose somebody who may edit it.", code="role")


async def _names(tx: Tx, *ids: UUID | None) -> dict[UUID, str]:
    known = await identity.users_by_id(tx, [id for id in ids if id is not None])
    return {id: person.name for id, person in known.items()}


def _said(name: str, value: Any, names: Mapping[UUID, str]) -> str | None:
    """Say a value as the record shows it."""
    if value is None:
        return None
    return names.get(value, "") if name == "assignee_id" else str(value)


def _about(item: ActionItem, *, version: bool = True) -> dict[str, Any]:
    about = {"incident_id": item.incident_id, "action_item_id": item.id, "description": item.description}
    return about | ({"version": item.version} if version else {})
