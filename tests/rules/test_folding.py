"""One act is one line of a timeline, and neither what people wrote nor a key event is folded away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tocsin.events import words
from tocsin.incidents.folding import MOMENT, Noted, fold

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
PAGE: dict[str, Any] = {"page_id": str(uuid4()), "user_id": str(uuid4()), "user_name": "Rey"}
RUN: dict[str, Any] = {"run_id": str(uuid4())}
DATA: dict[str, dict[str, Any]] = {
    "page.acknowledged": PAGE,
    "page.started": PAGE | RUN | {"step": 1, "round": 0, "channels": ["email"], "wait_minutes": 5, "is_direct": True},
    "page.sent": PAGE | {"delivery_id": str(uuid4()), "channel": "email", "detail": "", "attempt": 1},
    "escalation.ended": RUN,
    "escalation.exhausted": RUN,
    "incident.status_changed": {"old": "declared", "new": "investigating"},
    "incident.severity_changed": {"old": 3, "new": 2},
    "incident.declared": {"reference": "INC-7", "title": "Down", "severity": 2},
    "incident.resolved": {"old": "declared", "note": "Done.", "alerts_resolved": 2},
    "incident.responder_joined": {"user_id": str(uuid4()), "user_name": "Rey", "source": "self"},
    "incident.alert_linked": {"alert_title": "Down"},
    "incident.comment_added": {"comment_id": str(uuid4())},
    "incident.role_changed": {"role": "lead", "old": None, "new": "Rey"},
}
ACKNOWLEDGED = [
    *("page.acknowledged", "alert.acknowledged", "escalation.ended", "incident.acknowledged", "incident.status_changed")
]


def noted(name: str, after: float = 0, *, actor: str = "Rey", transaction: int = 1, **data: Any) -> Noted:
    given = DATA.get(name, {}) | data
    line = words.describe(name, actor, given)
    return Noted(uuid4(), NOON + timedelta(seconds=after), transaction, name, actor, given, line, name in words.KEY)


def told(*events: Noted) -> list[tuple[list[str], list[str]]]:
    """Fold events that are given in the order of time, and return what is shown and folded, the oldest act first."""
    acts = fold(list(reversed(events)))
    return [([shown.text for shown in act.shown], [each.name for each in act.folded]) for act in reversed(acts)]


def one(*names: str) -> tuple[list[str], list[str]]:
    (act,) = told(*(noted(name) for name in names))
    return act


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (ACKNOWLEDGED, ["Rey acknowledged the page, the alert and the incident"]),
        (["alert.acknowledged", "page.acknowledged", "escalation.ended"], ["Rey acknowledged the alert and the page"]),
        (["alert.acknowledged", "alert.acknowledged", "page.acknowledged"], ["Rey acknowledged 2 alerts and the page"]),
        (
            ["incident.declared", "incident.responder_joined", "incident.alert_linked", *ACKNOWLEDGED],
            ["Rey declared INC-7 as SEV2", "Rey acknowledged the page, the alert and the incident"],
        ),
        (["alert.resolved", "alert.resolved", "incident.resolved"], ["Rey resolved the incident and 2 alerts with it"]),
        (["page.started", "page.sent"], ["Rey was paged by e-mail"]),
        (["page.sent", "incident.responder_joined"], ["Rey joined"]),
        (["incident.role_changed", "escalation.exhausted"], None),
    ],
)
def test_one_act_is_one_line(names: list[str], shown: list[str] | None) -> None:
    """B9: the key events lead, and of what says the same of several things one sentence is made."""
    said, folded = one(*names)
    if shown is None:
        assert len(said) == 2 and not folded
        return
    assert said == shown
    assert len(said) + len(folded) == len(names)


def test_what_follows_from_taking_it_on_is_no_line_of_its_own_but_another_status_is() -> None:
    """B9."""
    _, folded = one(*ACKNOWLEDGED)
    assert "incident.status_changed" in folded
    at_once = noted("incident.acknowledged"), noted("incident.status_changed", new="mitigated")
    (said, folded) = told(*at_once)[0]
    assert said == ["Rey acknowledged the incident", "Rey changed the status from declared to mitigated"]
    assert not folded


@pytest.mark.parametrize("name", [name for name in words.KEY if name not in words.COMMENTS])
def test_a_key_event_is_never_folded_away(name: str) -> None:
    """B9."""
    others = [noted(other) for other in ("alert.acknowledged", "page.sent", "escalation.ended")]
    (act,) = fold([*others, noted(name)])
    assert name in {shown.noted.name for shown in act.shown}
    assert name not in {each.name for each in act.folded}


def test_what_somebody_wrote_stands_alone() -> None:
    """B9: and parts what was before it from what came after."""
    found = told(noted("alert.acknowledged"), noted("incident.comment_added"), noted("page.acknowledged"))
    assert [(len(shown), folded) for shown, folded in found] == [(1, []), (1, []), (1, [])]


@pytest.mark.parametrize(
    ("second", "count"),
    [
        (noted("incident.alert_linked", 2, transaction=2), 1),
        (noted("incident.alert_linked", MOMENT.total_seconds() + 1, transaction=2), 2),
        (noted("incident.alert_linked", 2, transaction=2, actor="Ada"), 2),
        # The same transaction, whoever is named.
        (noted("incident.alert_linked", actor="Ada"), 1),
    ],
    ids=["at the same moment", "later", "by somebody else", "of the same act"],
)
def test_an_act_is_of_one_moment_and_one_actor(second: Noted, count: int) -> None:
    """B9."""
    assert len(told(noted("incident.responder_joined"), second)) == count


def test_two_key_events_one_after_the_other_stay_two_acts() -> None:
    """B9: however quick somebody is."""
    quick = noted("incident.severity_changed"), noted("incident.status_changed", 2, transaction=2, new="mitigated")
    assert len(told(*quick)) == 2


def test_nothing_is_lost_and_the_order_stays() -> None:
    """B9: every event stands somewhere, each once."""
    events = [
        noted(name, at * 3.0, transaction=at) for at, name in enumerate([*ACKNOWLEDGED, "page.sent", *ACKNOWLEDGED])
    ]
    acts = fold(list(reversed(events)))
    ids: list[UUID] = [noted.id for act in acts for noted in (*(shown.noted for shown in act.shown), *act.folded)]
    assert sorted(ids) == sorted(each.id for each in events)
    assert [act.shown[0].noted.at for act in acts] == sorted((act.shown[0].noted.at for act in acts), reverse=True)


def test_the_story_is_made_of_what_was_decided() -> None:
    """B9: a filter shows these alone, so bookkeeping is none of them."""
    assert "incident.declared" in words.KEY and "escalation.exhausted" in words.KEY
    assert not {"page.sent", "escalation.ended", "alert.acknowledged", "incident.comment_added"} & set(words.KEY)
