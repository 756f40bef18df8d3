"""What each role may do, and what an account may look like."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from uuid import UUID

import pytest

from tocsin.identity import accounts
from tocsin.identity.access import ALL, BUILT_IN, P, Role
from tocsin.identity.model import Actor, ActorKind, User
from tocsin.identity.permission import must_manage
from tocsin.kit.errors import Denied, Invalid, Unauthenticated
from tocsin.kit.ids import new_id

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


def person(role: Role, *, id: UUID | None = None) -> User:
    return User(id=id or new_id(), email="ada@example.org", name="Ada", role=role.value, created_at=NOW, is_active=True)


def test_a_stakeholder_sees_and_changes_nothing_but_their_own_account() -> None:
    """F117: the right to view comes without any right to edit."""
    allowed = BUILT_IN[Role.STAKEHOLDER]
    assert {p for p in allowed if not p.endswith(".view")} == {"self.edit"}


@pytest.mark.parametrize(
    ("permission", "roles"),
    [
        (P.INCIDENT_VIEW, {Role.STAKEHOLDER, Role.COMMUNICATOR, Role.RESPONDER, Role.ADMIN}),
        (P.INCIDENT_COMMENT, {Role.COMMUNICATOR, Role.RESPONDER, Role.ADMIN}),
        (P.INCIDENT_DECLARE, {Role.COMMUNICATOR, Role.RESPONDER, Role.ADMIN}),
        (P.INCIDENT_EDIT, {Role.RESPONDER, Role.ADMIN}),
        (P.INCIDENT_RESOLVE, {Role.RESPONDER, Role.ADMIN}),
        (P.INCIDENT_PAGE, {Role.RESPONDER, Role.ADMIN}),
        (P.ALERT_EDIT, {Role.RESPONDER, Role.ADMIN}),
        (P.ONCALL_MANAGE, {Role.ADMIN}),
        (P.SOURCE_MANAGE, {Role.ADMIN}),
        (P.USER_MANAGE, {Role.ADMIN}),
        (P.ADMIN_VIEW, {Role.ADMIN}),
    ],
)
def test_a_right_belongs_to_its_roles(permission: P, roles: set[Role]) -> None:
    """F118, F119: each right stands alone and is granted by role."""
    assert {role for role in Role if Actor.person(person(role)).may(permission)} == roles


def test_every_role_is_contained_in_the_next() -> None:
    """F119: nobody loses a right by being given a higher role."""
    held = [BUILT_IN[role] for role in reversed(Role)]
    assert all(less < more for less, more in pairwise(held)) and held[-1] == ALL


def test_scopes_narrow_and_never_widen() -> None:
    """F118: a token's scope that its person's role does not grant is worth nothing."""
    actor = Actor.person(person(Role.RESPONDER), scopes=["incident.view", "user.manage"])
    assert actor.access.organisation == {"incident.view"}
    assert Actor.person(person(Role.RESPONDER), scopes=[]).access.organisation == BUILT_IN[Role.RESPONDER]


def test_a_missing_right_is_named() -> None:
    """F118: the refusal says which right is missing."""
    with pytest.raises(Denied, match=r"user\.manage"):
        Actor.person(person(Role.RESPONDER)).must(P.USER_MANAGE)


def test_a_source_may_nothing_and_tocsin_itself_everything() -> None:
    """Identity: actors that are not people."""
    assert Actor.source("Grafana").access.organisation == frozenset()
    assert Actor.system("worker").access.organisation == ALL
    assert Actor.system("worker").ref.kind == ActorKind.SYSTEM
    with pytest.raises(Unauthenticated):
        Actor.system("worker").must_be_someone()


def test_one_may_change_oneself_and_only_administrators_others() -> None:
    """F118: one's own account, or the right to manage people."""
    ada = person(Role.STAKEHOLDER)
    must_manage(Actor.person(ada), ada.id)
    must_manage(Actor.person(person(Role.ADMIN)), ada.id)
    with pytest.raises(Denied, match="your own account"):
        must_manage(Actor.person(person(Role.RESPONDER)), ada.id)
    with pytest.raises(Denied, match=r"self\.edit"):
        must_manage(Actor.person(ada, scopes=["incident.view"]), ada.id)


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        (" Ada@Example.ORG ", "ada@example.org"),
        ("root@localhost", "root@localhost"),
        ("ada+pager@sub.example.org", "ada+pager@sub.example.org"),
        ("ädä@exämple.org", "ädä@exämple.org"),
    ],
)
def test_an_address_is_stored_in_one_way(text: str, stored: str) -> None:
    """Identity: one address in any case of letters is one person."""
    assert accounts.clean_email(text) == stored


@pytest.mark.parametrize(
    "text",
    ["", "ada", "@example.org", "ada@", "a@b@c", "ada@exa mple.org", "ada@.org", "ada@example.", "ada@a..b",
     "a\x00da@example.org", "ada@example.org\nBcc: x@y", "x" * 65 + "@example.org", "a@" + "b" * 260, "\ud800@b.org"],
)  # fmt: skip
def test_what_is_not_an_address_is_refused(text: str) -> None:
    """Identity: nothing that could break a mail header or a query is taken for an address."""
    with pytest.raises(Invalid) as caught:
        accounts.clean_email(text)
    assert caught.value.errors[0].pointer == "#/email"


@pytest.mark.parametrize("text", ["", "  ", "x" * 81, "A\x00da", "\ud800"])
def test_what_is_not_a_name_is_refused(text: str) -> None:
    """Identity."""
    with pytest.raises(Invalid):
        accounts.clean_name(text)


def test_a_name_keeps_its_script_and_loses_its_line_breaks() -> None:
    """Identity: joiners belong to names of some scripts."""
    assert accounts.clean_name(" Ada\n Love\u200clace ") == "Ada Love\u200clace"


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../../etc/passwd", "Europe", "/etc/localtime", "Europe/Wien"])
def test_what_is_not_a_time_zone_is_refused(zone: str) -> None:
    """Identity."""
    with pytest.raises(Invalid):
        accounts.clean_time_zone(zone)


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("", "too_short"),
        ("123456789", "too_short"),
        ("Ada@Example.org", "too_easy"),
        ("ada lovelace", "too_easy"),
        ("x" * 1025, "invalid"),
        ("\ud800" * 12, "invalid"),
    ],
)
def test_a_poor_password_is_refused(password: str, code: str) -> None:
    """Identity: at least ten characters, and not what everybody knows."""
    with pytest.raises(Invalid) as caught:
        accounts.check_new_password(password, email="ada@example.org", name="Ada Lovelace")
    assert caught.value.errors[0].code == code


def test_a_good_password_is_taken() -> None:
    """Identity: length counts, not kinds of characters."""
    accounts.check_new_password("correct horse", email="ada@example.org", name="Ada")
