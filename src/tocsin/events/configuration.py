"""What can happen to the configuration and to accounts: who changed what, for the audit."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from tocsin.events.base import Change, Event


class ConfigurationCreated(Event, frozen=True, kw_only=True):
    """A person, team, role, grant, source, route, policy, contact method, rule, token or sign-in link was made."""

    name: ClassVar[str] = "configuration.created"
    kind: str
    id: UUID
    title: str


class ConfigurationChanged(Event, frozen=True, kw_only=True):
    """Its fields changed. Secrets appear as changed, never with their value."""

    name: ClassVar[str] = "configuration.changed"
    kind: str
    id: UUID
    title: str
    changes: list[Change]


class ConfigurationDeleted(Event, frozen=True, kw_only=True):
    """It is gone; the record keeps its name."""

    name: ClassVar[str] = "configuration.deleted"
    kind: str
    id: UUID
    title: str


class UserDeactivated(Event, frozen=True, kw_only=True):
    """An account was switched off: what the person was asked, held and led goes to others."""

    name: ClassVar[str] = "user.deactivated"
    user_id: UUID
    user_name: str


class UserLostRights(Event, frozen=True, kw_only=True):
    """A person may act on fewer incidents: roles in the others go to somebody else. They can be paged, and answer."""

    name: ClassVar[str] = "user.lost_rights"
    user_id: UUID
    user_name: str


class ContactMethodRecovered(Event, frozen=True, kw_only=True):
    """A contact method that had failed for some minutes took a message again; `id` is its own, `title` its name."""

    name: ClassVar[str] = "contact_method.recovered"
    kind: str = "contact_method"
    id: UUID
    title: str
    user_name: str


class SignedIn(Event, frozen=True, kw_only=True):
    """Somebody signed in with a password or a one-time link."""

    name: ClassVar[str] = "user.signed_in"
    ip: str
    how: str


class SignInFailed(Event, frozen=True, kw_only=True):
    """Somebody tried to sign in and was refused. The address that was typed is not recorded unless it exists."""

    name: ClassVar[str] = "user.sign_in_failed"
    ip: str


class SessionRevoked(Event, frozen=True, kw_only=True):
    """A session was ended by sign-out or by hand."""

    name: ClassVar[str] = "user.session_revoked"
    session_id: UUID
