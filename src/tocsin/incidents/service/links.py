"""Answering a page by the link that went out with it: what a link leads to, and whether it still counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.identity import queries as identity
from tocsin.identity import service as people
from tocsin.identity.access_queries import access
from tocsin.identity.model import Actor, User
from tocsin.incidents.service.paging import answer_page, decline_page, escalate_page
from tocsin.kit.errors import NotFound
from tocsin.notifications import queries as notifications
from tocsin.notifications.jobs import ACK_PURPOSE
from tocsin.oncall import queries as oncall
from tocsin.oncall.model import Page


class LinkAct(StrEnum):
    """What can be done by the link of a page."""

    ACKNOWLEDGE = "ack"
    DECLINE = "decline"
    ESCALATE = "escalate"


@dataclass(frozen=True, slots=True)
class AnswerLink:
    """What a genuine link leads to. `is_astray`: it went to an address that is its person's no longer."""

    delivery_id: UUID
    page: Page
    person: User
    channel: str
    expires_at: datetime
    is_expired: bool
    is_astray: bool

    @property
    def counts(self) -> bool:
        """Say whether it acts for its person: whoever reads it now may be somebody else."""
        return not (self.is_expired or self.is_astray)


async def read_link(tx: Tx, token: str, *, valid_for: timedelta) -> AnswerLink | None:
    """Return what the link of this token leads to; None when it is not genuine or its person is gone.

    `valid_for` is how long this installation's links are good. Whatever a surface lets somebody do by a link, it does
    only with one that `counts`.
    """
    keys = await people.link_keys(tx, valid_for)
    read = keys.read_signed_id(ACK_PURPOSE, token, now=tx.now)
    if read is None:
        return None
    delivery_id, expires_at, is_expired = read
    try:
        delivery = await notifications.delivery(tx, delivery_id)
        if delivery.page_id is None:
            return None
        page = await oncall.page(tx, delivery.page_id)
        person = await identity.user(tx, page.user_id)
    except NotFound:
        return None
    if not person.is_active:
        return None
    is_astray = bool(await notifications.astray(tx, [delivery_id]))
    return AnswerLink(delivery_id, page, person, delivery.channel, expires_at, is_expired, is_astray)


async def answer_by_link(
    tx: Tx, token: str, act: LinkAct, *, valid_for: timedelta, seen: tuple[int, int] | None = None
) -> bool:
    """Do as the person who was paged what they could do anywhere; returns whether the link counts, else does nothing.

    The token is the credential, so there is no actor. `seen` and what is raised are those of `escalate_page`.
    """
    link = await read_link(tx, token, valid_for=valid_for)
    if link is None or not link.counts:
        return False
    who = Actor.person(link.person, await access(tx, link.person.id))
    match act:
        case LinkAct.ACKNOWLEDGE:
            await answer_page(tx, who, link.page.id, link.channel)
        case LinkAct.DECLINE:
            await decline_page(tx, who, link.page.id)
        case LinkAct.ESCALATE:
            await escalate_page(tx, who, link.page.id, seen=seen)
    return True
