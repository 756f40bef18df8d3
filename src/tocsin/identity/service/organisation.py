"""The installation itself: its set-up, its incident numbers, and tidying up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.base import Change, Subject
from tocsin.events.configuration import ConfigurationChanged, ConfigurationCreated
from tocsin.events.log import emit
from tocsin.events.since import left_alone
from tocsin.identity import credential_queries, idempotency_queries, organisation_queries, queries
from tocsin.identity.access import P, Role
from tocsin.identity.accounts import clean_name
from tocsin.identity.model import Actor, OneTimeLink, Organisation, User
from tocsin.identity.service.idempotency import KEPT_FOR
from tocsin.identity.service.people import check_user, store_user, take_zone
from tocsin.kit.changes import UNSET, Copy, UnsetType, set_or
from tocsin.kit.crypto import digest, new_secret
from tocsin.kit.errors import Conflict, Invalid, Unauthenticated

SET_UP_LINK_VALID_FOR = timedelta(hours=24)
# How long an alert may lie at most: a month.
MOST_HOURS = 720


async def needs_set_up(tx: Tx) -> bool:
    """Say whether nobody exists yet, so that the first person must be made by the set-up link."""
    return not await queries.has_users(tx)


async def make_set_up_link(tx: Tx) -> str:
    """Return the token of the link that makes the first administrator; earlier ones stop working. Valid for 24 h."""
    if not await needs_set_up(tx):
        raise _already_set_up()
    await credential_queries.delete_links_of(tx, None)
    token = new_secret()
    expires_at = tx.now + SET_UP_LINK_VALID_FOR
    tx.session.add(OneTimeLink(token_digest=digest(token), user_id=None, created_at=tx.now, expires_at=expires_at))
    await tx.session.flush()
    return token


async def set_up(
    tx: Tx, token: str, *, organisation: str, name: str, email: str, password: str, time_zone: str = ""
) -> User:
    """Name the organisation and make its first administrator, once; uses the set-up link up.

    Raises `Unauthenticated` for a link that is not good and `Conflict` when somebody was faster. Of two at once,
    one wins. The caller opens the session.
    """
    link = await queries.link(tx, digest(token))
    if link is None or link.user_id is not None:
        raise _already_set_up() if not await needs_set_up(tx) else _bad_link()
    title = clean_name(organisation, field="organisation")
    new = await check_user(email=email, name=name, role=Role.ADMIN, password=password, time_zone="UTC")

    # The one row that everybody who sets up must write: the second waits here until the first is done.
    await organisation_queries.name(tx, title)
    if not await needs_set_up(tx):
        raise _already_set_up()
    if not await credential_queries.use_link_up(tx, digest(token)):
        raise _bad_link()
    user = await store_user(tx, new)
    await emit(tx, ConfigurationCreated(actor=Actor.person(user).ref, kind="user", id=user.id, title=user.name))
    await take_zone(tx, user, time_zone)
    return user


async def ensure_organisation(tx: Tx, name: str) -> Organisation:
    """Return the organisation; give it this name if there is none yet."""
    return await organisation_queries.make_sure_of(tx, clean_name(name))


@dataclass(frozen=True, slots=True)
class OrganisationChanges:
    """What to change about the organisation.

    The hours (1 to 720) are how long an acknowledged alert may stay without progress; None means for ever.
    """

    name: str | UnsetType = UNSET
    remind_after_hours: int | UnsetType | None = UNSET
    give_back_after_hours: int | UnsetType | None = UNSET


async def update_organisation(
    tx: Tx, who: Actor, changes: OrganisationChanges, *, if_version: Copy = None
) -> Organisation:
    """Change the name, or how long alerts may lie.

    Raises `Invalid`, and `Stale` when `if_version` is not the stored version.
    """
    who.must(P.USER_MANAGE)
    organisation = await queries.lock_organisation(tx)
    if organisation is None:
        raise _not_set_up()
    about = Subject("organisation", UUID(int=organisation.id))
    wanted = _wanted(organisation, changes)
    told = [Change(field=f, old=_in_words(getattr(organisation, f)), new=_in_words(new)) for f, new in wanted.items()]
    left = await left_alone(tx, about, organisation.version, if_version, told, "the organisation")
    told = [each for each in told if each.field not in left]
    for each in told:
        setattr(organisation, each.field, wanted[each.field])
    if told:
        organisation.version += 1
        await tx.session.flush()
        # There is one organisation and it is row 1, so that is its id in the record.
        said: dict[str, Any] = {"kind": about.kind, "id": about.id, "title": organisation.name}
        await emit(tx, ConfigurationChanged(actor=who.ref, **said, version=organisation.version, changes=told))
    return organisation


def _wanted(organisation: Organisation, changes: OrganisationChanges) -> dict[str, str | int | None]:
    """Return the fields that are to be other than they are, checked, as they are stored."""
    remind, give_back = changes.remind_after_hours, changes.give_back_after_hours
    wanted: dict[str, str | int | None] = {
        "name": organisation.name if changes.name is UNSET else clean_name(changes.name),
        "remind_after_hours": _hours("remind_after_hours", remind, organisation.remind_after_hours),
        "give_back_after_hours": _hours("give_back_after_hours", give_back, organisation.give_back_after_hours),
    }
    return {field: value for field, value in wanted.items() if value != getattr(organisation, field)}


def _hours(field: str, wanted: int | UnsetType | None, old: int | None) -> int | None:
    hours = set_or(wanted, old)
    if hours is not None and not 1 <= hours <= MOST_HOURS:
        raise Invalid(field, f"Give between 1 and {MOST_HOURS} hours, or nothing for never.")
    return hours


def _in_words(value: str | int | None) -> str:
    return "never" if value is None else str(value)


async def next_incident_number(tx: Tx) -> tuple[int, str]:
    """Take the next number and return it with its reference, such as `INC-7`.

    Numbers have no gaps: a roll-back gives the number back. So the row stays locked until the commit; take the
    number as late in the transaction as possible.
    """
    taken = await organisation_queries.take_incident_number(tx)
    if taken is None:
        raise _not_set_up()
    number, prefix = taken
    return number, f"{prefix}-{number}"


async def sweep(tx: Tx) -> None:
    """Delete what time has made worthless: sessions, links, counters of failed sign-ins, idempotency keys."""
    await credential_queries.delete_what_is_over(tx)
    await idempotency_queries.delete_older_than(tx, tx.now - KEPT_FOR)


def _not_set_up() -> Conflict:
    return Conflict("Tocsin has not been set up yet. Open the set-up link that it printed when it started.")


def _already_set_up() -> Conflict:
    return Conflict("Tocsin has been set up already. Sign in instead.", code="set_up.done")


def _bad_link() -> Unauthenticated:
    return Unauthenticated(
        "This set-up link is wrong or has expired.",
        code="auth.link_invalid",
        hint="Start Tocsin again and open the link that it prints.",
    )
