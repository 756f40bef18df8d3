"""Coming in by a one-time link: whether somebody is new here is known only where contact methods are."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.db.engine import Tx
from tocsin.identity import service as identity
from tocsin.identity.model import User
from tocsin.identity.service import Browser
from tocsin.notifications import queries


@dataclass(frozen=True, slots=True)
class Arrival:
    """Who came in, and the cookie of their session. Somebody new has no password and no way to be reached yet."""

    person: User
    cookie: str
    is_new: bool


async def arrive(tx: Tx, token: str, browser: Browser, *, time_zone: str = "") -> Arrival:
    """Use a one-time link up, see `identity.sign_in_with_link`; somebody new gets the zone that their browser named."""
    person, cookie = await identity.sign_in_with_link(
        tx,
        token,
        browser.ip,
        browser.user_agent,
        days=browser.days,
        most_days=browser.most_days,
        instead_of=browser.instead_of,
    )
    is_new = person.password_hash is None and not await queries.contact_methods(tx, person.id)
    if is_new:
        await identity.take_zone(tx, person, time_zone)
    return Arrival(person, cookie, is_new)
