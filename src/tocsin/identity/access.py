"""What people may do: permissions, the roles that hold them, and what one person was given where. Pure.

Two axes; either grants. A role counts in the whole organisation, or in one team and so for what that team owns. A
grant counts for one thing: an incident, or an alert source and with it its alerts. What is private, or is owned by
private teams only, is seen by its teams, by those who were granted it, and by whoever was asked about it, whatever
their role: to be paged is the right to look and to answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol
from uuid import UUID

from tocsin.kit.errors import Denied
from tocsin.kit.ids import ids_of


class Permission(StrEnum):
    """One thing that somebody may do. Tokens name them as their scopes."""

    INCIDENT_VIEW = "incident.view"
    INCIDENT_DECLARE = "incident.declare"
    INCIDENT_COMMENT = "incident.comment"
    INCIDENT_EDIT = "incident.edit"
    INCIDENT_RESOLVE = "incident.resolve"
    INCIDENT_PAGE = "incident.page"
    ALERT_VIEW = "alert.view"
    ALERT_EDIT = "alert.edit"
    SOURCE_VIEW = "source.view"
    SOURCE_MANAGE = "source.manage"
    ONCALL_VIEW = "oncall.view"
    ONCALL_MANAGE = "oncall.manage"
    USER_VIEW = "user.view"
    USER_MANAGE = "user.manage"
    TEAM_MANAGE = "team.manage"
    ACCESS_MANAGE = "access.manage"
    PRIVATE_VIEW = "private.view"
    ADMIN_VIEW = "admin.view"
    SELF_EDIT = "self.edit"


P = Permission

# What each is for, in the words of the pages and of the API.
MEANINGS: Mapping[Permission, str] = {
    P.INCIDENT_VIEW: "See incidents",
    P.INCIDENT_DECLARE: "Declare incidents",
    P.INCIDENT_COMMENT: "Comment on incidents, and be their communicator",
    P.INCIDENT_EDIT: "Change incidents, join them, give and take roles",
    P.INCIDENT_RESOLVE: "Resolve, close, cancel and reopen incidents",
    P.INCIDENT_PAGE: "Page people, and answer pages of others",
    P.ALERT_VIEW: "See alerts",
    P.ALERT_EDIT: "Acknowledge, give back, resolve and open alerts",
    P.SOURCE_VIEW: "See alert sources and what they sent",
    P.SOURCE_MANAGE: "Change alert sources and see their addresses",
    P.ONCALL_VIEW: "See routes and escalation policies",
    P.ONCALL_MANAGE: "Change routes, escalation policies and the last resort",
    P.USER_VIEW: "See people and teams",
    P.USER_MANAGE: "Invite and change people, and the organisation",
    P.TEAM_MANAGE: "Change teams and who is in them",
    P.ACCESS_MANAGE: "Change roles, and grant access to single things",
    P.PRIVATE_VIEW: "See what is private to teams that one is not in",
    P.ADMIN_VIEW: "Export the record of everything",
    P.SELF_EDIT: "Change one’s own profile, contact methods and tokens, and answer one’s own pages",
}

# Whoever has the first may do the others as well.
_IMPLIED: Mapping[Permission, frozenset[Permission]] = {
    P.INCIDENT_EDIT: frozenset({P.INCIDENT_COMMENT}),
    P.USER_MANAGE: frozenset({P.TEAM_MANAGE}),
    P.ADMIN_VIEW: frozenset({P.PRIVATE_VIEW}),
}

Permissions = frozenset[Permission]


def implied(given: Iterable[Permission]) -> Permissions:
    """Return these permissions and what they bring along."""
    held = frozenset(given)
    return held.union(*(_IMPLIED[each] for each in held if each in _IMPLIED))


def loses_roles(before: Permissions, after: Permissions) -> bool:
    """Say whether somebody may by this no longer have a role in incidents that they could have."""
    return not (before - after).isdisjoint({P.INCIDENT_EDIT, P.INCIDENT_COMMENT})


class Role(StrEnum):
    """The roles that are there from the beginning; an organisation may make its own beside them."""

    ADMIN = "admin"
    RESPONDER = "responder"
    COMMUNICATOR = "communicator"
    STAKEHOLDER = "stakeholder"
    GUEST = "guest"


VIEW: Permissions = frozenset({P.INCIDENT_VIEW, P.ALERT_VIEW, P.ONCALL_VIEW, P.USER_VIEW, P.SELF_EDIT})
_RESPOND = implied(
    VIEW | {P.INCIDENT_DECLARE, P.INCIDENT_EDIT, P.INCIDENT_RESOLVE, P.INCIDENT_PAGE, P.ALERT_EDIT, P.SOURCE_VIEW}
)
ALL: Permissions = frozenset(Permission)

BUILT_IN: Mapping[str, Permissions] = MappingProxyType(
    {
        Role.ADMIN: ALL,
        Role.RESPONDER: _RESPOND,
        Role.COMMUNICATOR: VIEW | {P.INCIDENT_COMMENT, P.INCIDENT_DECLARE},
        Role.STAKEHOLDER: VIEW,
        Role.GUEST: frozenset({P.SELF_EDIT}),
    }
)

# What lets find things, and nothing else.
_LOOKS: Permissions = frozenset({P.INCIDENT_VIEW, P.ALERT_VIEW, P.SOURCE_VIEW})
# What somebody is asked about they see, whatever their role. Which rows these are is known where the rows are.
BY_BEING_ASKED: Permissions = frozenset({P.INCIDENT_VIEW, P.ALERT_VIEW})
# What a member of a team may do with what it owns without a role in it.
MEMBERS: Permissions = frozenset({P.INCIDENT_VIEW, P.ALERT_VIEW, P.SOURCE_VIEW})
# What the link of a page can let its person do with what that page was about, as far as they may do it anyway.
BY_LINK: Permissions = frozenset({P.INCIDENT_VIEW, P.INCIDENT_COMMENT, P.INCIDENT_DECLARE, P.ALERT_VIEW, P.ALERT_EDIT})
# What a role in a team, or for one thing, can give; the rest is the organisation's alone.
SCOPED: Permissions = frozenset(
    {
        P.INCIDENT_VIEW,
        P.INCIDENT_COMMENT,
        P.INCIDENT_EDIT,
        P.INCIDENT_RESOLVE,
        P.INCIDENT_PAGE,
        P.ALERT_VIEW,
        P.ALERT_EDIT,
        P.SOURCE_VIEW,
        P.SOURCE_MANAGE,
        P.TEAM_MANAGE,
    }
)


class ResourceKind(StrEnum):
    """What can be granted by itself."""

    INCIDENT = "incident"
    ALERT_SOURCE = "alert_source"


Thing = tuple[ResourceKind, UUID]


def thing_named(text: str) -> Thing | None:
    """Return what a public id names; None when nothing of its kind can be granted, `NotFound` when it is no id."""
    for kind in ResourceKind:
        ids = ids_of(kind)
        if text.startswith(f"{ids.prefix}_"):
            return kind, ids.read(text)
    return None


@dataclass(frozen=True, slots=True)
class Owned:
    """What a decision about one thing hangs on: as what it may have been granted, and which teams own it."""

    things: tuple[Thing, ...] = ()
    team_ids: Collection[UUID] = ()


class HasOwners(Protocol):
    """A row that belongs to teams, and may be for them only."""

    @property
    def owned(self) -> Owned: ...


@dataclass(frozen=True, slots=True)
class Confined:
    """The few things that there are for somebody who came by the link of a page: what they were asked about."""

    alert_ids: frozenset[UUID]
    incident_ids: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class Access:
    """What one person may do and see, read once for a request."""

    organisation: Permissions
    # What is asked for in the teams that the person is in, by their ids.
    teams: Mapping[UUID, Permissions] = field(default_factory=dict[UUID, Permissions], hash=False)
    grants: Mapping[Thing, Permissions] = field(default_factory=dict[Thing, Permissions], hash=False)
    # Private teams that the person is not in: what only they own is hidden.
    closed: frozenset[UUID] = frozenset()
    # Alert sources that are private, or owned by such teams, and not by one of the person's.
    hidden_sources: frozenset[UUID] = frozenset()
    # Those that the person's teams own.
    own_sources: frozenset[UUID] = frozenset()
    user_id: UUID | None = None
    # What the credential is for: the scopes of a token. A person in the browser is not narrowed.
    within: Permissions = ALL
    # Of who came by the link of a page: all else is not there for them.
    only: Confined | None = None
    # Of a token, what it finds to act on. See `reach`.
    found: Access | None = field(default=None, compare=False, repr=False)

    def may(self, permission: Permission, on: Owned | None = None) -> bool:
        """Say whether this is allowed, in the organisation or, for something that can be seen, on it."""
        if permission in self.organisation:
            return True
        if on is None:
            return False
        return any(permission in self.teams.get(id, ()) for id in on.team_ids) or any(
            permission in self.grants.get(thing, ()) for thing in on.things
        )

    def may_somewhere(self, permission: Permission) -> bool:
        """Say whether there may be anything at all on which this is allowed."""
        given = (self.organisation, *self.teams.values(), *self.grants.values())
        return any(permission in each for each in given)

    def may_look(self, permission: Permission) -> bool:
        """Say whether there can be anything to see by this permission, for the lists and pages that show it."""
        return permission in self.within and (permission in BY_BEING_ASKED or self.may_somewhere(permission))

    def must(self, permission: Permission, on: Owned | None = None) -> None:
        """Raise `Denied` unless this is allowed."""
        if not self.may(permission, on):
            raise _denied(permission)

    def must_somewhere(self, permission: Permission) -> None:
        """Raise `Denied` unless there may be something on which this is allowed."""
        if not self.may_somewhere(permission):
            raise _denied(permission)

    def must_look(self, permission: Permission) -> None:
        """Raise `Denied` unless there can be anything to see by this permission."""
        if not self.may_look(permission):
            raise _denied(permission)

    def sees_all(self, permission: Permission) -> bool:
        """Say whether nothing of the kind that `permission` lets one see is hidden."""
        return permission in self.organisation and P.PRIVATE_VIEW in self.organisation

    def sees(self, permission: Permission, owned: Owned, *, is_private: bool) -> bool:
        """Say whether something of these owners may be seen by this permission."""
        return self.may(permission, owned) and not self.hides(owned, is_private=is_private)

    def hides(self, owned: Owned, *, is_private: bool) -> bool:
        """Say whether something of these owners is hidden, for somebody who sees what is not private."""
        if P.PRIVATE_VIEW in self.organisation or any(thing in self.grants for thing in owned.things):
            return False
        is_closed = is_private or not self.closed.isdisjoint(owned.team_ids)
        return is_closed and self.teams.keys().isdisjoint(owned.team_ids)

    def teams_with(self, permission: Permission) -> list[UUID]:
        """Return the teams in which this is allowed."""
        return [id for id, given in self.teams.items() if permission in given]

    def sources_with(self, permission: Permission) -> frozenset[UUID]:
        """Return the alert sources that this is allowed on by a grant, or by a team if each member may do it."""
        own = self.own_sources if permission in MEMBERS & self.within else frozenset[UUID]()
        return own.union(self.granted(ResourceKind.ALERT_SOURCE, permission))

    def granted(self, kind: ResourceKind, permission: Permission) -> list[UUID]:
        """Return the things of a kind for which this was granted."""
        return [id for (of, id), given in self.grants.items() if of is kind and permission in given]

    def narrowed(self, scopes: Collection[Permission]) -> Access:
        """Return what is left of it within the scopes of a token; a grant stays within them, too."""
        within = implied(scopes)
        return replace(self._only(within), found=self._only(within | _LOOKS))

    def confined(self, only: Confined) -> Access:
        """Return what is left of it for somebody who came by the link of a page (see `BY_LINK`)."""
        return replace(self._only(BY_LINK), only=only, found=None)

    def reaches(self, alert_id: UUID | None, incident_id: UUID | None = None) -> bool:
        """Say whether something about these, be it a page or what is to begin, can concern somebody at all."""
        return self.only is None or alert_id in self.only.alert_ids or incident_id in self.only.incident_ids

    def _only(self, within: Permissions) -> Access:
        # Many grants are of few roles.
        left = {given: given & within for given in {*self.teams.values(), *self.grants.values()}}
        return replace(
            self,
            organisation=self.organisation & within,
            teams={id: left[given] for id, given in self.teams.items()},
            grants={thing: left[given] for thing, given in self.grants.items()},
            within=within,
        )

    @property
    def reach(self) -> Access:
        """What is seen of a thing that is named in order to act on it: a token finds it without a scope to read."""
        return self.found or self

    def exceeds(self, other: Access) -> bool:
        """Say whether this allows anything, anywhere, that the other does not."""
        return (
            not self.organisation <= other.organisation
            or any(not given <= other._in_team(id) for id, given in self.teams.items())
            or any(
                not given <= other.organisation | other.grants.get(thing, frozenset())
                for thing, given in self.grants.items()
            )
        )

    def of_team(self, id: UUID) -> Permissions:
        """Return what being in this team allows with what it owns; nothing for who is not in it."""
        return self.teams.get(id, frozenset())

    def _in_team(self, id: UUID) -> Permissions:
        # Whoever manages all teams can be a member of each.
        members = MEMBERS if P.TEAM_MANAGE in self.organisation else frozenset[Permission]()
        return self.organisation | members | self.of_team(id)


def _denied(permission: Permission) -> Denied:
    """Say in the words of the pages what is not allowed, and which roles allow it."""
    meaning = MEANINGS[permission]
    roles = " or ".join(role for role, allowed in BUILT_IN.items() if permission in allowed)
    return Denied(
        f"Your role does not allow this: {meaning[:1].lower()}{meaning[1:]} ({permission}).",
        hint=f"The role for it is {roles}. An administrator can give you another role.",
    )


EVERYTHING = Access(ALL)
NOTHING = Access(frozenset())
