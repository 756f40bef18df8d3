"""Which changes of an incident are told to whom, and how. No clock, no database, no logging.

Whoever follows an incident is told of changes by their kind: in the inbox, and beside it by e-mail or webhook if they
want that. Those who were paged are told who took it and when it is over by another way (`notifications/news.py`), so
that the defaults of who works on it are quiet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta, tzinfo
from enum import StrEnum

from tocsin.events.action_items import (
    ActionItemCompleted,
    ActionItemCreated,
    ActionItemDeleted,
    ActionItemReopened,
    ActionItemUpdated,
)
from tocsin.events.base import Event
from tocsin.events.incidents import (
    AlertLinked,
    AlertUnlinked,
    CommentAdded,
    CommentEdited,
    IncidentAcknowledged,
    IncidentCancelled,
    IncidentClosed,
    IncidentDuplicated,
    IncidentReopened,
    IncidentResolved,
    IncidentSeverityChanged,
    IncidentStatusChanged,
    IncidentUpdated,
    ResponderDeclined,
    ResponderJoined,
    ResponderLeft,
    ResponderPaged,
    RoleChanged,
)
from tocsin.events.timeline import KeyEventAdded

# Changes of one incident within this time of the first are one row of the inbox, while nobody has read it.
STORM = timedelta(minutes=1)
# Changes within this time of the first are one mail.
BUNDLE = timedelta(minutes=2)
# When a daily digest comes, in the reader's zone.
_DAILY_AT = time(8)


class ChangeKind(StrEnum):
    """What has changed, the gravest first: of several at once the gravest is named."""

    MENTIONS = "mentions"
    RESOLUTION = "resolution"
    SEVERITY = "severity"
    STATUS = "status"
    ROLES = "roles"
    UPDATES = "updates"
    ACTION_ITEMS = "action_items"
    COMMENTS = "comments"


class Way(StrEnum):
    """How somebody is told: not at all, in the inbox, or in the inbox and by one of these."""

    NONE = "none"
    INBOX = "inbox"
    EMAIL = "email"
    WEBHOOK = "webhook"
    HOURLY = "hourly"
    DAILY = "daily"


# Those by which something leaves the inbox, the quickest first.
SENT = (Way.EMAIL, Way.WEBHOOK, Way.HOURLY, Way.DAILY)
AT_ONCE = frozenset({Way.EMAIL, Way.WEBHOOK})


class Follows(StrEnum):
    """By what somebody follows an incident; whoever does in several ways follows by the first."""

    ROLE = "role"
    RESPONDER = "responder"
    SUBSCRIBER = "subscriber"
    MENTIONED = "mentioned"


# What is told when it happens to an incident. An edited comment tells those whom it names anew, and nobody else.
CHANGES: Mapping[type[Event], ChangeKind] = {
    IncidentStatusChanged: ChangeKind.STATUS,
    IncidentSeverityChanged: ChangeKind.SEVERITY,
    IncidentResolved: ChangeKind.RESOLUTION,
    IncidentClosed: ChangeKind.RESOLUTION,
    IncidentCancelled: ChangeKind.RESOLUTION,
    IncidentReopened: ChangeKind.RESOLUTION,
    IncidentDuplicated: ChangeKind.RESOLUTION,
    # Who takes it on moves it in the same act: the status is what is named then.
    IncidentAcknowledged: ChangeKind.ROLES,
    RoleChanged: ChangeKind.ROLES,
    ResponderPaged: ChangeKind.ROLES,
    ResponderJoined: ChangeKind.ROLES,
    ResponderDeclined: ChangeKind.ROLES,
    ResponderLeft: ChangeKind.ROLES,
    CommentAdded: ChangeKind.COMMENTS,
    CommentEdited: ChangeKind.MENTIONS,
    IncidentUpdated: ChangeKind.UPDATES,
    AlertLinked: ChangeKind.UPDATES,
    AlertUnlinked: ChangeKind.UPDATES,
    KeyEventAdded: ChangeKind.UPDATES,
    ActionItemCreated: ChangeKind.ACTION_ITEMS,
    ActionItemUpdated: ChangeKind.ACTION_ITEMS,
    ActionItemCompleted: ChangeKind.ACTION_ITEMS,
    ActionItemReopened: ChangeKind.ACTION_ITEMS,
    ActionItemDeleted: ChangeKind.ACTION_ITEMS,
}

_BY_MAIL = frozenset(
    {ChangeKind.MENTIONS, ChangeKind.RESOLUTION, ChangeKind.SEVERITY, ChangeKind.STATUS, ChangeKind.UPDATES}
)
# What somebody who was only named once hears of beside mentions.
_OF_MENTIONED = frozenset({ChangeKind.RESOLUTION, ChangeKind.SEVERITY, ChangeKind.STATUS, ChangeKind.COMMENTS})


def default_way(change: ChangeKind, follows: Follows) -> Way:
    """Return how somebody is told who has not said so."""
    if change is ChangeKind.MENTIONS:
        return Way.EMAIL
    match follows:
        case Follows.ROLE | Follows.RESPONDER:
            return Way.INBOX
        case Follows.SUBSCRIBER:
            return Way.EMAIL if change in _BY_MAIL else Way.INBOX
        case Follows.MENTIONED:
            return Way.INBOX if change in _OF_MENTIONED else Way.NONE


def graver(one: ChangeKind, other: ChangeKind) -> bool:
    """Say whether one change is named in the place of another; of two alike the newer one is."""
    order = list(ChangeKind)
    return order.index(one) <= order.index(other)


def quicker(ways: Sequence[Way]) -> Way:
    """Return by which of these ways, all of which leave the inbox, something goes that is to go in several."""
    return min(ways, key=SENT.index)


def due(way: Way, at: datetime, zone: tzinfo) -> datetime:
    """Say when what happened at this time goes out: after the bundle, at the full hour, or in the morning."""
    local = at.astimezone(zone)
    match way:
        case Way.HOURLY:
            return at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        case Way.DAILY:
            morning = datetime.combine(local.date(), _DAILY_AT, zone)
            return morning if morning > at else datetime.combine(local.date() + timedelta(days=1), _DAILY_AT, zone)
        case _:
            return at + BUNDLE
