"""People, teams, what they may do, and the credentials they hold. Rules and rows; no clock, no database."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec
from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from tocsin.events.base import BY_PAGE_LINK, ActorRef
from tocsin.identity.access import (
    ALL,
    BUILT_IN,
    EVERYTHING,
    NOTHING,
    Access,
    Confined,
    HasOwners,
    Owned,
    P,
    Permission,
    ResourceKind,
    Role,
)
from tocsin.kit.errors import Unauthenticated
from tocsin.kit.ids import IdKind
from tocsin.kit.record import JsonObject, Record, one_of

# The roles of 0.1.0, which runs beside this version while an installation is upgraded.
_KNOWN = (Role.ADMIN, Role.RESPONDER, Role.STAKEHOLDER)

USER_ID = IdKind("user", "usr", "/people")
TEAM_ID = IdKind("team", "tem", "/teams")
TOKEN_ID = IdKind("api_token", "tok")
SESSION_ID = IdKind("session", "ses")
GRANT_ID = IdKind("access_grant", "grt")


class ActorKind(StrEnum):
    """Who or what caused a change."""

    USER = "user"
    SOURCE = "source"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: a person in the browser, a person's token, an alert source, or Tocsin itself."""

    kind: ActorKind
    name: str
    user_id: UUID | None = None
    role: str | None = None
    email: str = ""
    access: Access = NOTHING
    session_id: UUID | None = None
    token_id: UUID | None = None
    # Of who came by the link of a page and has not signed in: when that is over.
    by_link_until: datetime | None = None

    @classmethod
    def system(cls, name: str) -> Actor:
        """Tocsin itself, named after the part that acts; may do everything."""
        return cls(kind=ActorKind.SYSTEM, name=name, access=EVERYTHING)

    @classmethod
    def source(cls, name: str) -> Actor:
        """An alert source; it opens and resolves its own alerts and nothing else."""
        return cls(kind=ActorKind.SOURCE, name=name)

    @classmethod
    def person(
        cls,
        user: User,
        access: Access | None = None,
        *,
        session_id: UUID | None = None,
        token_id: UUID | None = None,
        scopes: list[str] | None = None,
    ) -> Actor:
        """A person with what they were granted, by default what a built-in role gives in the organisation.

        A token's scopes narrow it (no scopes: everything that they may do).
        """
        access = access or Access(BUILT_IN.get(user.role, NOTHING.organisation), user_id=user.id)
        return cls(
            kind=ActorKind.USER,
            name=user.name,
            user_id=user.id,
            role=user.role,
            email=user.email,
            # A scope of a newer version beside this one allows nothing here.
            access=access.narrowed({P(scope) for scope in scopes if scope in ALL}) if scopes else access,
            session_id=session_id,
            token_id=token_id,
        )

    @property
    def ref(self) -> ActorRef:
        """How this actor is written into events."""
        return ActorRef(kind=self.kind.value, name=self.name, id=self.user_id, via=self.via or msgspec.UNSET)

    @property
    def via(self) -> str:
        """Say by what a person acts, where that is not their sign-in or their token."""
        return BY_PAGE_LINK if self.by_link_until is not None else ""

    def by_link(self, only: Confined, until: datetime) -> Actor:
        """The person as one who came by the link of a page, which lets them do little with what it was about."""
        return replace(self, access=self.access.confined(only), by_link_until=until)

    def may(self, permission: Permission, on: HasOwners | None = None) -> bool:
        return self.access.may(permission, on.owned if on is not None else None)

    def must(self, permission: Permission, on: HasOwners | None = None) -> None:
        """Raise `Denied` unless the permission is granted, in the organisation or on this, which can be seen."""
        self.access.must(permission, on.owned if on is not None else None)

    def must_somewhere(self, permission: Permission) -> None:
        """Raise `Denied` unless there may be something on which this is granted; what that is shows later."""
        self.access.must_somewhere(permission)

    def must_look(self, permission: Permission) -> None:
        """Raise `Denied` unless there can be anything that the actor may see by this permission."""
        self.access.must_look(permission)

    def must_be_someone(self) -> UUID:
        """Return the person's id; raises `Unauthenticated` for a source or for Tocsin itself."""
        if self.user_id is None:
            raise Unauthenticated("Only a person can do this.")
        return self.user_id


class Organisation(Record):
    """The one organisation of this installation, and the counter behind incident numbers."""

    __tablename__ = "organisation"
    __table_args__ = (
        CheckConstraint("id = 1", name="single"),
        CheckConstraint("remind_after_hours BETWEEN 1 AND 720", name="remind_after"),
        CheckConstraint("give_back_after_hours BETWEEN 1 AND 720", name="give_back_after"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    incident_prefix: Mapped[str] = mapped_column(server_default="INC")
    last_incident_number: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime]
    # After so many hours without progress the owner of an urgent alert is reminded of it; None never reminds.
    remind_after_hours: Mapped[int | None] = mapped_column(server_default="4")
    # After so many hours without progress an acknowledged alert is given back; None never does.
    give_back_after_hours: Mapped[int | None]
    # Counts the changes of what people set; an incident's number is none.
    version: Mapped[int] = mapped_column(server_default="1")


class User(Record):
    """A person who can sign in, be paged and take roles."""

    __tablename__ = "user_account"
    __table_args__ = (
        CheckConstraint(one_of("role", _KNOWN), name="role"),
        Index("user_account_email_key", text("lower(email)"), unique=True),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str]
    name: Mapped[str]
    # What 0.1.0 reads: a role that it knows. Any other is `given_role`, and this the least that it knows.
    known_role: Mapped[str] = mapped_column("role")
    given_role: Mapped[str | None]
    password_hash: Mapped[str | None]
    time_zone: Mapped[str] = mapped_column(server_default="UTC")
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(server_default="1")

    @property
    def role(self) -> str:
        """The key of the person's role in the organisation: a word of `Role`, or that of one of its own."""
        return role_of(self.known_role, self.given_role)

    @role.setter
    def role(self, key: str) -> None:
        self.known_role, self.given_role = told_as(key)


def role_of(known: str, given: str | None) -> str:
    """Return a role from how it is stored. What 0.1.0 has set since counts: it does not know of the other word."""
    return given if given is not None and known == Role.STAKEHOLDER else known


def told_as(role: str) -> tuple[str, str | None]:
    """Return how a role is stored: as one that 0.1.0 knows, and as itself where that does not say it."""
    return (role, None) if role in _KNOWN else (Role.STAKEHOLDER.value, role)


class CustomRole(Record):
    """A role that an organisation made for itself. Its key is given once and never changes."""

    __tablename__ = "role"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str] = mapped_column(server_default="")
    permissions: Mapped[list[str]]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(server_default="1")


class Team(Record):
    """People who own something together. An archived one owns what it owned, and is offered for nothing new."""

    __tablename__ = "team"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str] = mapped_column(server_default="")
    # What it owns is hidden from whoever is in none of the teams that own it.
    is_private: Mapped[bool] = mapped_column(server_default=text("false"))
    archived_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(server_default="1")

    @property
    def owned(self) -> Owned:
        return Owned(team_ids=(self.id,))


class TeamMember(Record):
    """One person's place in one team."""

    __tablename__ = "team_member"

    team_id: Mapped[UUID] = mapped_column(ForeignKey("team.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), primary_key=True, index=True)
    # What the person may do beyond seeing what the team owns; None: what their role in the organisation allows.
    role: Mapped[str | None]


class OwnedByTeams:
    """What teams own. What is private is for them, for whoever was asked or granted it, and for nobody else."""

    team_ids: Mapped[list[UUID]] = mapped_column(server_default="{}")
    is_private: Mapped[bool] = mapped_column(server_default=text("false"))


class AccessGrant(Record):
    """What one person, or whoever is in one team, may do with one thing beside all else."""

    __tablename__ = "access_grant"
    __table_args__ = (
        CheckConstraint("(user_id IS NULL) <> (team_id IS NULL)", name="holder"),
        CheckConstraint(one_of("kind", ResourceKind), name="kind"),
        UniqueConstraint(
            "kind", "resource_id", "user_id", "team_id", name="access_grant_key", postgresql_nulls_not_distinct=True
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id"), index=True)
    team_id: Mapped[UUID | None] = mapped_column(ForeignKey("team.id", ondelete="CASCADE"), index=True)
    role: Mapped[str]
    kind: Mapped[str]
    resource_id: Mapped[UUID]
    created_at: Mapped[datetime]


class Session(Record):
    """A browser that is signed in, or came by links of pages. Only the digest of its cookie is stored."""

    __tablename__ = "session"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    token_digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), index=True)
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    # Its person came by a one-time link and may set a new password without the old one until then, once.
    new_password_until: Mapped[datetime | None]
    ip: Mapped[str] = mapped_column(server_default="")
    user_agent: Mapped[str] = mapped_column(server_default="")
    # The messages by whose links it came, the latest last; None for a browser that is signed in.
    delivery_ids: Mapped[list[UUID] | None]

    @property
    def is_by_link(self) -> bool:
        return self.delivery_ids is not None


class ApiToken(Record):
    """A credential for programs, acting as its person within its scopes. Only its digest is stored."""

    __tablename__ = "api_token"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    token_digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    hint: Mapped[str]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), index=True)
    name: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class OneTimeLink(Record):
    """A link that signs somebody in, or lets the first person set Tocsin up, once."""

    __tablename__ = "one_time_link"

    token_digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id"), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class SignInThrottle(Record):
    """What is known of wrong passwords under one key, such as an account and a network; see `guessing`."""

    __tablename__ = "sign_in_throttle"

    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    failures: Mapped[int]
    at: Mapped[datetime]
    over_at: Mapped[datetime]


class Secret(Record):
    """Keys that all processes of this installation share, such as the one that signs acknowledge links."""

    __tablename__ = "secret"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[bytes] = mapped_column(LargeBinary)


class IdempotencyKey(Record):
    """The answer to a request that carried an Idempotency-Key, kept for 24 hours."""

    __tablename__ = "idempotency_key"

    caller: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_digest: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int | None]
    headers: Mapped[JsonObject | None]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(index=True)
