"""Who hears of what, and when it goes out (F082). Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tocsin.incidents.following import ChangeKind, Follows, Way, default_way, due, graver, quicker
from tocsin.incidents.mentions import MOST_MENTIONS, handles_in

_AT = datetime(2026, 11, 21, 14, 32, 10, tzinfo=UTC)
_PARIS, _APIA = ZoneInfo("Europe/Paris"), ZoneInfo("Pacific/Apia")


@pytest.mark.parametrize(
    ("way", "at", "zone", "expected"),
    [
        (Way.EMAIL, _AT, UTC, datetime(2026, 11, 21, 14, 34, 10, tzinfo=UTC)),
        (Way.WEBHOOK, _AT, UTC, datetime(2026, 11, 21, 14, 34, 10, tzinfo=UTC)),
        (Way.HOURLY, _AT, UTC, datetime(2026, 11, 21, 15, 0, tzinfo=UTC)),
        (Way.HOURLY, datetime(2026, 11, 21, 15, 0, tzinfo=UTC), UTC, datetime(2026, 11, 21, 16, 0, tzinfo=UTC)),
        (Way.DAILY, _AT, _PARIS, datetime(2026, 11, 22, 7, 0, tzinfo=UTC)),
        (Way.DAILY, datetime(2026, 11, 21, 5, tzinfo=UTC), _PARIS, datetime(2026, 11, 21, 7, 0, tzinfo=UTC)),
        # The night in which the clocks go back: eight in the morning is another distance away.
        (Way.DAILY, datetime(2026, 10, 24, 20, tzinfo=UTC), _PARIS, datetime(2026, 10, 25, 7, 0, tzinfo=UTC)),
        (Way.DAILY, _AT, _APIA, datetime(2026, 11, 21, 19, 0, tzinfo=UTC)),
    ],
)
def test_what_happened_goes_out_by_its_way(way: Way, at: datetime, zone: ZoneInfo, expected: datetime) -> None:
    assert due(way, at, zone) == expected


def test_who_works_on_it_is_told_quietly_and_who_subscribed_by_mail() -> None:
    """F082: the defaults by how one follows; a mention is by mail for everybody."""
    for follows in Follows:
        assert default_way(ChangeKind.MENTIONS, follows) is Way.EMAIL
    for change in set(ChangeKind) - {ChangeKind.MENTIONS}:
        assert default_way(change, Follows.ROLE) is default_way(change, Follows.RESPONDER) is Way.INBOX
    assert default_way(ChangeKind.RESOLUTION, Follows.SUBSCRIBER) is Way.EMAIL
    assert default_way(ChangeKind.COMMENTS, Follows.SUBSCRIBER) is Way.INBOX
    assert default_way(ChangeKind.ROLES, Follows.MENTIONED) is Way.NONE
    assert default_way(ChangeKind.STATUS, Follows.MENTIONED) is Way.INBOX


def test_the_graver_change_is_named_and_the_quicker_way_taken() -> None:
    assert graver(ChangeKind.RESOLUTION, ChangeKind.COMMENTS) and not graver(ChangeKind.STATUS, ChangeKind.MENTIONS)
    assert graver(ChangeKind.COMMENTS, ChangeKind.COMMENTS), "the newer of two alike"
    assert quicker([Way.DAILY, Way.EMAIL]) is Way.EMAIL and quicker([Way.DAILY]) is Way.DAILY


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@ada, look. Thanks @bob.smith!", ["ada", "bob.smith"]),
        ("(@Ada) and @ADA again", ["ada"]),
        ("mail ada@example.org or @ada@example.org", ["ada@example.org"]),
        ("`@ada` and\n```\n@bob\n```\nand @cyd", ["cyd"]),
        ("```\n@bob without an end", []),
        ("@ ada, @-x, a@b, x/@ada, @@ada", []),
        ("", []),
        (" ".join(f"@p{n}" for n in range(200)), [f"p{n}" for n in range(MOST_MENTIONS)]),
    ],
)
def test_whom_a_text_names(text: str, expected: list[str]) -> None:
    """F047: by handle or whole address; not in code, not in the middle of an address."""
    assert handles_in(text) == expected
