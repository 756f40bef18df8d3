"""A page as the API writes it."""

from __future__ import annotations

import msgspec

from tocsin.api.base.http import Time, public_or_none, when
from tocsin.api.shapes.people import Person
from tocsin.kit.clock import stamp
from tocsin.kit.ids import public
from tocsin.oncall.model import Page, PageState


class PageOut(msgspec.Struct):
    """One person being asked once. `reason` says why it was this person."""

    id: str
    state: PageState
    user: Person
    alert_id: str | None
    incident_id: str | None
    step: int
    round: int
    reason: str
    paged_at: Time
    answered_at: Time | None


def write_page(page: Page, user_name: str) -> PageOut:
    """Write a page."""
    return PageOut(
        id=public("pag", page.id),
        state=PageState(page.state),
        user=Person(public("usr", page.user_id), user_name),
        alert_id=public_or_none("alt", page.alert_id),
        incident_id=public_or_none("inc", page.incident_id),
        step=page.step,
        round=page.round,
        reason=page.reason,
        paged_at=stamp(page.paged_at),
        answered_at=when(page.answered_at),
    )
