"""What was done to something since somebody looked at it, and refusing a change that would undo it unseen.

The version of a thing counts its changes, and each event of one says which version it made. So the record knows what
whoever saw an older one has not seen: who did it, when, and to which fields.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, tzinfo

from tocsin.db.engine import Tx
from tocsin.events import log, words
from tocsin.events.base import Change, Subject
from tocsin.events.configuration import ConfigurationChanged
from tocsin.events.log import LoggedEvent
from tocsin.kit.changes import Copy, Seen, apart, is_current, is_refused, version_of
from tocsin.kit.errors import Stale, Theirs

# Who comes back after more than that is told of the newest.
_MOST = 50
# The events of an incident that make another version of it.
_OF_INCIDENT = tuple(
    f"incident.{word}"
    for word in (
        *("updated", "severity_changed", "status_changed", "acknowledged", "resolved", "closed", "cancelled"),
        *("reopened", "role_changed", "drill_changed"),
    )
)
_OF_ACTION_ITEM = tuple(f"action_item.{word}" for word in ("updated", "completed", "reopened"))


async def must_be_unchanged(
    tx: Tx,
    about: Subject,
    version: int,
    copy: Copy,
    wanted: Collection[str] | None,
    called: str,
    *,
    code: str = "stale",
) -> None:
    """Raise `Stale` when the fields `wanted` were changed since the caller looked, or anything for an exact version.

    The caller has locked it. `called` is what people call it: “INC-7”, “this route”. No fields: only the state of the
    thing decides, which the rules look at; None: all of them.
    """
    if is_current(version, copy) or (isinstance(copy, Seen) and wanted is not None and not wanted):
        return
    done, is_all = await what_was_done(tx, about, version, version_of(copy) or 0)
    if not is_refused(copy, wanted, done if is_all else None):
        return
    of_these = [each for each in done if not wanted or any(field in each.fields for field in wanted)]
    raise _stale(of_these or done, version, called, code)


async def left_alone(
    tx: Tx, about: Subject, version: int, copy: Copy, wanted: Sequence[Change], called: str, *, code: str = "stale"
) -> frozenset[str]:
    """Return the fields of `wanted` that are to stay as they are: the caller sent back what they saw, and others wrote.

    `wanted` is all in which what was sent differs from what is stored, in the words of the record. Raises `Stale` when
    somebody else has changed one that the caller changed too, or anything for an exact version. As
    `must_be_unchanged`, for a form of several fields; the caller has locked it.
    """
    if not isinstance(copy, Seen) or copy.version == version:
        await must_be_unchanged(tx, about, version, copy, None, called, code=code)
        return frozenset()
    done, is_all = await what_was_done(tx, about, version, copy.version)
    if not is_all:
        # What they saw nobody knows: all that they sent is theirs, once they were told of the newest.
        await must_be_unchanged(tx, about, version, copy, [each.field for each in wanted], called, code=code)
        return frozenset()
    mine = {each.field: each.new for each in wanted}
    left, both = apart(mine, copy, done)
    if both:
        theirs = [replace(each, fields={f: v for f, v in each.fields.items() if f in both}) for each in done]
        raise _stale([each for each in theirs if each.fields], version, called, code, mine)
    return left


def _stale(
    theirs: Sequence[Theirs], version: int, called: str, code: str, mine: Mapping[str, str | None] | None = None
) -> Stale:
    return Stale(
        _sentence(theirs, called),
        code=code,
        hint="Look at the current state and make your change again.",
        theirs=theirs,
        version=version,
        mine=mine,
    )


def _sentence(theirs: Sequence[Theirs], called: str) -> str:
    said = f"{theirs[0].words} after you opened it" if theirs else f"Somebody changed {called} after you opened it"
    return f"{said}. Nothing was saved."


async def what_was_done(
    tx: Tx, about: Subject, version: int, seen: int, zone: tzinfo = UTC
) -> tuple[list[Theirs], bool]:
    """Return what was done since the version `seen`, the newest first, and whether that is all of it."""
    found = await _changes(tx, about)
    since = [event for event in found if _made(event) > seen]
    is_all = {_made(event) for event in since} >= set(range(seen + 1, version + 1))
    told = since if is_all else found[: max(len(since), 1)]
    return [_theirs(event, zone) for event in told], is_all


async def _changes(tx: Tx, about: Subject) -> list[LoggedEvent]:
    if about.kind == "incident":
        return await log.newest_first(tx, incident_id=about.id, names=_OF_INCIDENT, limit=_MOST)
    names = _OF_ACTION_ITEM if about.kind == "action_item" else (ConfigurationChanged.name,)
    return await log.newest_first(tx, subject=about, names=names, limit=_MOST)


def _made(event: LoggedEvent) -> int:
    return int(event.data.get("version") or 0)


def _theirs(event: LoggedEvent, zone: tzinfo) -> Theirs:
    line = words.describe(event.name, event.actor_name, event.data, zone)
    before, now = words.says(event.name, event.data)
    return Theirs(event.actor_name, event.at, line.text, now, before, _made(event))
