"""What can happen to the configuration and to accounts: who changed what, for the audit, and how it reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
from uuid import UUID

from tocsin.events.base import BY_PAGE_LINK, ActorRef, Change, Event, Subject
from tocsin.events.lines import By, Line, Words, changed, fields, plain

# What the record calls otherwise than its ids are called, or names by the id of its person. The function
# `subjects_of_event` in the migrations says the same of what was written by 0.1.0.
_KINDS: Mapping[str, str] = {
    "token": "api_token",
    "sign_in_link": "user",
    "notification_rules": "user",
    "change_preferences": "user",
}


def _about(kind: str, id: UUID, of: tuple[Subject, ...]) -> tuple[Subject, ...]:
    return (Subject(_KINDS.get(kind, kind), id), *of)


def _person(actor: ActorRef) -> tuple[Subject, ...]:
    return (Subject("user", actor.id),) if actor.kind == "user" and actor.id is not None else ()


class ConfigurationCreated(Event, frozen=True, kw_only=True):
    """A person, team, role, grant, source, route, policy, contact method, rule, token or sign-in link was made.

    `of` is what it belongs to: the person of a contact method or a token, both sides of a grant.
    """

    name: ClassVar[str] = "configuration.created"
    kind: str
    id: UUID
    title: str
    of: tuple[Subject, ...] = ()

    def subjects(self) -> tuple[Subject, ...]:
        return _about(self.kind, self.id, self.of)


class ConfigurationChanged(Event, frozen=True, kw_only=True):
    """Its fields changed. Secrets appear as changed, never with their value."""

    name: ClassVar[str] = "configuration.changed"
    kind: str
    id: UUID
    title: str
    changes: list[Change]
    of: tuple[Subject, ...] = ()

    def says(self) -> Mapping[str, str | None]:
        return {each.field: each.new for each in self.changes}

    def said(self) -> Mapping[str, str | None]:
        return {each.field: each.old for each in self.changes}

    def subjects(self) -> tuple[Subject, ...]:
        return _about(self.kind, self.id, self.of)


class ConfigurationDeleted(Event, frozen=True, kw_only=True):
    """It is gone; the record keeps its name."""

    name: ClassVar[str] = "configuration.deleted"
    kind: str
    id: UUID
    title: str
    of: tuple[Subject, ...] = ()

    def subjects(self) -> tuple[Subject, ...]:
        return _about(self.kind, self.id, self.of)


class UserDeactivated(Event, frozen=True, kw_only=True):
    """An account was switched off: what the person was asked, held and led goes to others."""

    name: ClassVar[str] = "user.deactivated"
    user_id: UUID
    user_name: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("user", self.user_id),)


class UserLostRights(Event, frozen=True, kw_only=True):
    """A person may act on fewer incidents: roles in the others go to somebody else. They can be paged, and answer."""

    name: ClassVar[str] = "user.lost_rights"
    user_id: UUID
    user_name: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("user", self.user_id),)


class ContactMethodRecovered(Event, frozen=True, kw_only=True):
    """A contact method that had failed for some minutes took a message again; `id` is its own, `title` its name."""

    name: ClassVar[str] = "contact_method.recovered"
    kind: str = "contact_method"
    id: UUID
    title: str
    user_name: str

    def subjects(self) -> tuple[Subject, ...]:
        return _about(self.kind, self.id, ())


class SignedIn(Event, frozen=True, kw_only=True):
    """Somebody signed in with a password or a one-time link, or opened by its link what a page was about."""

    name: ClassVar[str] = "user.signed_in"
    ip: str
    how: str

    def subjects(self) -> tuple[Subject, ...]:
        return _person(self.actor)


class SignInFailed(Event, frozen=True, kw_only=True):
    """Somebody tried to sign in and was refused. The address that was typed is not recorded unless it exists."""

    name: ClassVar[str] = "user.sign_in_failed"
    ip: str

    def subjects(self) -> tuple[Subject, ...]:
        return _person(self.actor)


class SessionRevoked(Event, frozen=True, kw_only=True):
    """A session was ended by sign-out or by hand."""

    name: ClassVar[str] = "user.session_revoked"
    session_id: UUID

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("session", self.session_id),)


def _created(event: ConfigurationCreated, by: By) -> Line:
    match event.kind:
        case "sign_in_link":
            return Line("key-round", f"{by.name} made a sign-in link for {event.title}", "slate", "system")
        case "acknowledge_key":
            return Line("key-round", f"{by.name} made a new key for acknowledge links", "slate", "system")
        case _:
            return Line("plus", f"{by.name} added the {plain(event.kind)} “{event.title}”", "slate", "system")


def _changed(event: ConfigurationChanged, by: By) -> Line:
    text = f"{by.name} changed {fields(event.changes)} of the {plain(event.kind)} “{event.title}”"
    return Line("pencil", text, "slate", "system", changed(event.changes))


def _deleted(event: ConfigurationDeleted, by: By) -> Line:
    return Line("trash-2", f"{by.name} deleted the {plain(event.kind)} “{event.title}”", "slate", "system")


def _deactivated(event: UserDeactivated, by: By) -> Line:
    return Line("user-x", f"{by.name} switched off the account of {event.user_name}", "orange", "system")


def _lost_rights(event: UserLostRights, _: By) -> Line:
    return Line("user-x", f"{event.user_name} may act on fewer incidents than before", "orange", "system")


def _recovered(event: ContactMethodRecovered, _: By) -> Line:
    text = f"The contact method “{event.title}” of {event.user_name} works again"
    return Line("check", text, "green", "system")


def _signed_in(event: SignedIn, by: By) -> Line:
    if event.how == BY_PAGE_LINK:
        return Line("log-in", f"{by.name} opened what a page was about", "slate", "system", f"from {event.ip}")
    return Line("log-in", f"{by.name} signed in", "slate", "system", f"with a {plain(event.how)}, from {event.ip}")


def _refused(event: SignInFailed, _: By) -> Line:
    return Line("lock", f"A sign-in from {event.ip} was refused", "amber", "system")


def _revoked(_event: SessionRevoked, by: By) -> Line:
    return Line("log-out", f"{by.name} ended a session", "slate", "system")


WORDS: Words = {
    ConfigurationCreated: _created,
    ConfigurationChanged: _changed,
    ConfigurationDeleted: _deleted,
    UserDeactivated: _deactivated,
    UserLostRights: _lost_rights,
    ContactMethodRecovered: _recovered,
    SignedIn: _signed_in,
    SignInFailed: _refused,
    SessionRevoked: _revoked,
}
