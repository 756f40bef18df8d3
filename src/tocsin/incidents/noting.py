"""Who may do what with a note that is there, and what becomes of two who write it at once. Pure.

A note is a working text of those who work on the incident: whoever may edit the incident may write it anew, and so may
its author. What it said before is for the same people, since a text is also edited to take something out of sight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents.model import Incident
from tocsin.incidents.note_model import Note, NoteRevision
from tocsin.kit.changes import Copy, Seen, apart, is_current
from tocsin.kit.errors import Conflict, Stale, Theirs

FIELDS = ("title", "body")


def may_change(who: Actor, incident: Incident, note: Note) -> bool:
    """Say whether the actor may edit and delete it, and read what it said before."""
    # Who came by the link of a page is the author of nothing.
    is_own = who.user_id is not None and who.user_id == note.author_id and who.access.only is None
    return (is_own and who.may(P.INCIDENT_COMMENT, on=incident)) or who.may(P.INCIDENT_EDIT, on=incident)


def must_change(who: Actor, incident: Incident, note: Note) -> None:
    """Raise `Denied` unless the actor may."""
    if not may_change(who, incident, note):
        who.must(P.INCIDENT_EDIT, on=incident)


def must_be_there(note: Note) -> None:
    """Raise `Conflict` for a note that somebody has deleted meanwhile."""
    if note.deleted_at is not None:
        raise Conflict(
            f"{note.deleted_by_name} has deleted this note. Nothing was saved.",
            code="note.deleted",
            hint="Copy your text into a new note.",
        )


def settled(now: NoteRevision, wanted: Mapping[str, str], copy: Copy, since: Sequence[NoteRevision]) -> tuple[str, str]:
    """Return title and body as they are to be, from what somebody sent who may have seen an older text.

    `since` are the texts from the newest one back to the one that they saw, in that order, or as many as there are.
    A field that others changed and they sent back as they saw it stays as it is now. Raises `Stale` where both changed
    the same, or for an exact version where others changed anything.
    """
    mine = {name: text for name, text in wanted.items() if text != getattr(now, name)}
    if not is_current(now.number, copy):
        theirs = _done(since)
        if not isinstance(copy, Seen):
            raise _stale(now, theirs, {})
        left, both = apart(mine, copy, theirs) if _is_all(since, copy) else (frozenset[str](), frozenset(mine))
        if both:
            raise _stale(now, theirs, {name: mine[name] for name in both})
        mine = {name: text for name, text in mine.items() if name not in left}
    return mine.get("title", now.title), mine.get("body", now.body)


def _is_all(since: Sequence[NoteRevision], copy: Seen) -> bool:
    return any(text.number == copy.version for text in since)


def _done(since: Sequence[NoteRevision]) -> list[Theirs]:
    return [_theirs(text, before) for text, before in pairwise(since)]


def _theirs(text: NoteRevision, before: NoteRevision) -> Theirs:
    changed = [name for name in FIELDS if getattr(text, name) != getattr(before, name)]
    return Theirs(
        text.author_name,
        text.written_at,
        f"{text.author_name} changed the {' and the '.join(changed)} of this note",
        {name: getattr(text, name) for name in changed},
        {name: getattr(before, name) for name in changed},
        text.number,
    )


def _stale(now: NoteRevision, theirs: Sequence[Theirs], mine: Mapping[str, str | None]) -> Stale:
    said = theirs[0].words if theirs else f"{now.author_name} changed this note"
    return Stale(
        f"{said} after you opened it. Nothing was saved.",
        code="note.stale",
        hint="Look at what it says now and make your change again.",
        theirs=theirs,
        version=now.number,
        mine=mine,
    )
