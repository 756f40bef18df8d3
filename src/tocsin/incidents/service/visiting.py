"""Coming by the link of a page, without signing in: to see what it was about, to comment and to declare.

Who comes so is the person who was paged, as far as `identity.access.BY_LINK` lets anybody go by a link, with what the
page was about and the incident in which its alert is by then. Nothing of it outlives the link: neither its time, nor
its address, nor its person's account.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from tocsin.alerts import queries as alert_queries
from tocsin.alerts.model import AlertStatus
from tocsin.db.engine import Tx
from tocsin.identity import queries as identity
from tocsin.identity import service as people
from tocsin.identity.access import EVERYTHING, Confined, P
from tocsin.identity.access_queries import access
from tocsin.identity.model import Actor, Session
from tocsin.incidents import link_queries, queries
from tocsin.incidents.service.links import AnswerLink, read_link
from tocsin.incidents.visits import Came, Opens, Visit


async def what_it_opens(tx: Tx, link: AnswerLink, reader: Actor | None = None) -> Opens:
    """Return what the link leads to, for its person or for who is signed in."""
    theirs = reader.access if reader is not None else await access(tx, link.person.id)
    page = link.page
    alert = await alert_queries.get(tx, EVERYTHING, page.alert_id) if page.alert_id is not None else None
    incident_id = page.incident_id or (alert.incident_id if alert is not None else None)
    seen = await queries.by_id(tx, theirs, [incident_id] if incident_id is not None else [])
    is_free = alert is not None and incident_id is None and alert.status != AlertStatus.RESOLVED
    return Opens(
        page.alert_id,
        next((incident.reference for incident in seen.values()), ""),
        is_free and theirs.may(P.INCIDENT_DECLARE),
    )


async def open_visit(
    tx: Tx, reader: Actor | None, token: str, came: Came, *, valid_for: timedelta, lasts: timedelta
) -> Visit | None:
    """Let the browser see what the page behind this link was about; None when the link does not count.

    It ends after `lasts`, which may be no time at all, and with the link in any case. Who is signed in is not made
    somebody else.
    """
    link = await read_link(tx, token, valid_for=valid_for)
    if link is None or not link.counts:
        return None
    if reader is not None and reader.by_link_until is None:
        return Visit(await what_it_opens(tx, link, reader), "", timedelta())
    opens = await what_it_opens(tx, link)
    if not lasts:
        return Visit(opens, "", lasts)
    person = await identity.lock_active_user(tx, link.person.id)
    until = min(tx.now + lasts, link.expires_at)
    cookie = await people.open_link_session(
        tx, person, link.delivery_id, until, ip=came.ip, user_agent=came.user_agent, cookie=came.cookie
    )
    return Visit(opens, cookie, until - tx.now)


async def visitor(tx: Tx, cookie: str) -> Actor | None:
    """Return who holds this cookie of a visit; None when it is over or its links count no longer."""
    found = await people.link_session(tx, cookie)
    return next(iter(await _confined(tx, [found])), None) if found is not None else None


async def still_good(tx: Tx, readers: Collection[Actor]) -> set[Actor]:
    """Return those whose credential is good now, as it lets them see now: who is not among them sees less, or more."""
    visiting = [who.session_id for who in readers if who.by_link_until is not None and who.session_id is not None]
    good = await people.still_good(tx, [who for who in readers if who.by_link_until is None])
    return good | set(await _confined(tx, await people.link_sessions(tx, visiting)))


async def _confined(tx: Tx, found: Collection[tuple[Session, Actor]]) -> list[Actor]:
    """Let people do no more than what their links were about; without those for whom it was nothing."""
    opens = (
        await link_queries.about(tx, [id for session, _ in found for id in session.delivery_ids or ()]) if found else {}
    )
    actors: list[Actor] = []
    for session, who in found:
        theirs = [
            opens[id] for id in session.delivery_ids or () if id in opens and opens[id].user_id == session.user_id
        ]
        alerts = frozenset(each.alert_id for each in theirs if each.alert_id is not None)
        incidents = frozenset(each.incident_id for each in theirs if each.incident_id is not None)
        if theirs:
            actors.append(who.by_link(Confined(alerts, incidents), session.expires_at))
    return actors
