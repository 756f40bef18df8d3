"""The first minute of an installation: its first administrator, who may be its last resort as well."""

from __future__ import annotations

from tocsin.db.engine import Tx
from tocsin.identity import service as identity
from tocsin.identity.model import Actor, User
from tocsin.identity.service import Browser
from tocsin.oncall.escalation import PageTarget
from tocsin.oncall.service.fallback import set_fallback


async def begin(
    tx: Tx,
    token: str,
    *,
    organisation: str,
    name: str,
    email: str,
    password: str,
    browser: Browser,
    time_zone: str = "",
    falls_back_on_them: bool = False,
) -> tuple[User, str]:
    """Set the installation up (see `identity.set_up`), and return its first person and the cookie of their session.

    `time_zone` is what their browser named; what is no zone is left out.
    """
    user = await identity.set_up(
        tx, token, organisation=organisation, name=name, email=email, password=password, time_zone=time_zone
    )
    if falls_back_on_them:
        await set_fallback(tx, Actor.person(user), PageTarget("user", user.id))
    return user, await identity.open_session(
        tx,
        user,
        ip=browser.ip,
        user_agent=browser.user_agent,
        how="set-up",
        days=browser.days,
        most_days=browser.most_days,
        instead_of=browser.instead_of,
    )
