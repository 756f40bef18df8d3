"""Who may do what with a comment that is there. Pure; a comment is its author's, and what it says can be erased."""

from __future__ import annotations

from datetime import datetime

from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents.model import Comment, Incident
from tocsin.kit.changes import Copy, is_current
from tocsin.kit.errors import Conflict, Denied, Stale, Theirs


def is_author(who: Actor, comment: Comment) -> bool:
    """Say whether the actor has written it; nobody else's words are ever theirs, whatever they may do.

    Who came by the link of a page may write, and is the author of nothing: what is written anew has to be signed for.
    """
    return who.user_id is not None and who.user_id == comment.author_id and who.access.only is None


def may_edit(who: Actor, incident: Incident, comment: Comment) -> bool:
    """Say whether the actor may write it anew: its author, while they may comment at all."""
    return comment.erased_at is None and is_author(who, comment) and who.may(P.INCIDENT_COMMENT, on=incident)


def may_erase(who: Actor, incident: Incident, comment: Comment) -> bool:
    """Say whether the actor may take its text out: its author, and whoever may edit the incident."""
    if comment.erased_at is not None:
        return False
    is_own = is_author(who, comment) and who.may(P.INCIDENT_COMMENT, on=incident)
    return is_own or who.may(P.INCIDENT_EDIT, on=incident)


def may_read_earlier(who: Actor, incident: Incident, comment: Comment) -> bool:
    """Say whether the actor may read what it said before it was edited: its author, and who may edit the incident."""
    return is_author(who, comment) or who.may(P.INCIDENT_EDIT, on=incident)


def must_edit(who: Actor, incident: Incident, comment: Comment) -> None:
    """Raise `Denied` unless the actor may edit it, and `Conflict` when there is nothing left to edit."""
    who.must(P.INCIDENT_COMMENT, on=incident)
    if not is_author(who, comment):
        raise Denied(
            f"Only {comment.author_name} may edit this comment.", hint="Write another one, or erase it if you may."
        )
    if comment.erased_at is not None:
        raise Conflict(
            f"{comment.erased_by_name} has erased this comment. Nothing was saved.",
            code="comment.erased",
            hint="Write a new one.",
        )


def must_erase(who: Actor, incident: Incident, comment: Comment) -> None:
    """Raise `Denied` unless the actor may erase it; one that is erased already may be erased again."""
    who.must(P.INCIDENT_COMMENT if is_author(who, comment) else P.INCIDENT_EDIT, on=incident)


def must_read_earlier(who: Actor, incident: Incident, comment: Comment) -> None:
    """Raise `Denied` unless the actor may read what it said before."""
    if not may_read_earlier(who, incident, comment):
        who.must(P.INCIDENT_EDIT, on=incident)


def must_be_current(comment: Comment, if_version: Copy) -> None:
    """Raise `Stale` when the caller has seen another version than the stored one; None does not ask."""
    if not is_current(comment.version, if_version):
        edited = [] if comment.edited_at is None else [_edited(comment, comment.edited_at)]
        raise Stale(
            "This comment was changed after you opened it. Nothing was saved.",
            code="comment.stale",
            hint="Look at what it says now and make your change again.",
            theirs=edited,
            version=comment.version,
        )


def _edited(comment: Comment, at: datetime) -> Theirs:
    return Theirs(comment.author_name, at, f"{comment.author_name} edited this comment", {"body": None})
