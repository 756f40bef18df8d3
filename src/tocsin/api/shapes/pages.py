"""A page as the API writes it."""

from __future__ import annotations

import msgspec

from tocsin.alerts.model import ALERT_ID
from tocsin.api.base.http import Time, when
from tocsin.api.shapes.people import Person
from tocsin.identity.model import USER_ID
from tocsin.incidents.model import INCIDENT_ID
from tocsin.kit.clock import stamp
from tocsin.oncall.model import PAGE_ID, Page, PageState
from tocsin.oncall.reasons import why_you


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
        id=PAGE_ID.write(page.id),
        state=PageState(page.state),
        user=Person(USER_ID.write(page.user_id), user_name),
        alert_id=ALERT_ID.write_or_none(page.alert_id),
        incident_id=INCIDENT_ID.write_or_none(page.incident_id),
        step=page.step,
        round=page.round,
        reason=why_you(page),
        paged_at=stamp(page.paged_at),
        answered_at=when(page.answered_at),
    )
