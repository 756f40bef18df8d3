"""What is news to whom, and in which words (F137)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tocsin.notifications import news
from tocsin.notifications.model import Method, SubjectKind, Tell
from tocsin.notifications.news import Reached, Standing, Subject, Verdict, Wish

BEGAN = datetime(2031, 5, 4, 1, tzinfo=UTC)
AT = BEGAN + timedelta(seconds=40)
NOW = AT + timedelta(seconds=30)
ADA, BOB, ALERT, INCIDENT = (UUID(int=n) for n in range(1, 5))
TAKEN = Subject(
    kind=SubjectKind.ALERT,
    id=ALERT,
    round=0,
    title="Disk full",
    severity=2,
    status="acknowledged",
    standing=Standing.TAKEN,
    how="took",
    by="Bob",
    by_id=BOB,
    by_source=False,
    at=AT,
    began_at=BEGAN,
    since=BEGAN,
    alert_ids=[ALERT],
    incident_id=INCIDENT,
)
OVER = replace(TAKEN, standing=Standing.OVER, status="resolved", how="resolved", by="Prometheus", by_id=None)
OPEN = replace(TAKEN, standing=Standing.OPEN, status="triggered", how="gave it back")
OF_INCIDENT = replace(
    OVER, kind=SubjectKind.INCIDENT, id=INCIDENT, reference="INC-7", title="Checkout", incident_id=None, by="Bob"
)
PAGED = [Reached(BEGAN, is_urgent=True, method_id=None, alert_id=ALERT)]
CALM = [replace(PAGED[0], is_urgent=False)]
BOBS = f"taken by {BOB}"


@pytest.mark.parametrize(
    ("subject", "reached", "known", "wish", "told", "then"),
    [
        (TAKEN, PAGED, None, Wish(), True, BOBS),
        (TAKEN, PAGED, BOBS, Wish(), False, BOBS),
        (TAKEN, PAGED, f"taken by {ADA}", Wish(), True, BOBS),
        (replace(TAKEN, by_id=ADA), PAGED, None, Wish(), False, f"taken by {ADA}"),
        (TAKEN, PAGED, None, Wish(Tell.OVER), False, None),
        (TAKEN, PAGED, None, Wish(Tell.NONE), False, None),
        (OVER, PAGED, BOBS, Wish(), True, "over"),
        (OVER, PAGED, BOBS, Wish(Tell.OVER), True, "over"),
        (OVER, PAGED, BOBS, Wish(Tell.NONE), False, BOBS),
        (OVER, PAGED, "over", Wish(), False, "over"),
        (OVER, [], None, Wish(), False, None),
        (OVER, CALM, None, Wish(), False, None),
        (OVER, CALM, None, Wish(low_urgency=True), True, "over"),
        (replace(OVER, at=NOW - timedelta(minutes=61)), PAGED, None, Wish(), False, None),
        (OPEN, PAGED, None, Wish(), False, None),
        (OPEN, PAGED, BOBS, Wish(), True, "open"),
        (OPEN, [replace(PAGED[0], at=AT)], BOBS, Wish(), False, "open"),
        (replace(OF_INCIDENT, standing=Standing.TAKEN), PAGED, "taken", Wish(), False, "taken"),
    ],
)
def test_who_is_told(
    subject: Subject, reached: list[Reached], known: str | None, wish: Wish, told: bool, then: str | None
) -> None:
    assert news.judge(subject, reached, known, wish, user_id=ADA, now=NOW) == Verdict(told, then)


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        (TAKEN, "Bob took “Disk full” after 40 s."),
        (replace(TAKEN, by="Prometheus", by_source=True), "“Disk full” was acknowledged in Prometheus after 40 s."),
        (replace(OVER, at=BEGAN + timedelta(minutes=12)), "“Disk full” is over: resolved by Prometheus after 12 min."),
        (OPEN, "“Disk full” is open again: Bob gave it back. You may be paged again."),
        (OF_INCIDENT, "INC-7 “Checkout” is over: resolved by Bob after 40 s."),
        (replace(OVER, title="a\nb\x1b[31m"), "“a b[31m” is over: resolved by Prometheus after 40 s."),
        (replace(OVER, at=BEGAN - timedelta(hours=1)), "“Disk full” is over: resolved by Prometheus after 0 s."),
    ],
)
def test_words(subject: Subject, words: str) -> None:
    assert news.sentence(subject) == words


def test_an_incident_speaks_for_its_alerts_only_where_it_says_the_same() -> None:
    """F137, bundled."""
    assert news.bundle([OVER, OF_INCIDENT]) == [OF_INCIDENT]
    assert news.bundle([TAKEN, OF_INCIDENT]) == [TAKEN, OF_INCIDENT]
    stranger = replace(OVER, id=UUID(int=9), incident_id=UUID(int=8))
    assert news.bundle([stranger, OF_INCIDENT]) == [OF_INCIDENT, stranger]


def test_one_message_about_several() -> None:
    several = [replace(OVER, id=UUID(int=n), title=f"Node {n}", severity=5 - n % 3) for n in range(22)]
    said = news.content_of(several, PAGED)
    assert said["title"] == "22 alerts that you were paged for are over." and said["severity"] == 3
    assert said["body"].count("\n") == 20 and said["body"].endswith("- And 2 more.")
    assert said["status"] == "resolved" and said["about"] == "" and len(said["threads"]) == 10
    mixed = news.content_of([TAKEN, OF_INCIDENT], PAGED)
    assert mixed["title"] == "2 alerts and incidents that you were paged for have changed." and mixed["status"] == ""


def test_the_thread_of_the_page_is_the_thread_of_the_news() -> None:
    """F137: also for whoever was paged for an alert of the incident."""
    assert news.content_of([OF_INCIDENT], PAGED)["threads"] == [
        {"kind": "incident", "id": str(INCIDENT)},
        {"kind": "alert", "id": str(ALERT)},
    ]


def test_the_quietest_way_that_works() -> None:
    mail, hook, pager = (
        Method(UUID(int=n), ADA, kind, "x", "x") for n, kind in enumerate(("email", "webhook", "pager"))
    )
    every = [pager, hook, mail]
    assert news.choose(every, {m.id for m in every}, Wish()) == mail
    assert news.choose(every, {hook.id, pager.id}, Wish()) == hook
    assert news.choose(every, {m.id for m in every}, Wish(), failing={mail.id}) == hook
    assert news.choose(every, {mail.id}, Wish(method_id=pager.id)) == pager
    # What it went by is gone, and so is what was wished.
    assert news.choose([hook], {mail.id}, Wish(method_id=pager.id)) == hook
    assert news.choose([], {mail.id}, Wish()) is None
