from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tocsin.web.base import formatting

NOW = datetime(2026, 11, 21, 14, 39, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (datetime(2026, 11, 21, 14, 32, tzinfo=UTC), "14:32"),
        (datetime(2026, 11, 21, 0, 0, tzinfo=UTC), "00:00"),
        (datetime(2026, 11, 18, 14, 32, tzinfo=UTC), "18 Nov 14:32"),
        (datetime(2025, 11, 18, 14, 32, tzinfo=UTC), "18 Nov 2025"),
    ],
)
def test_a_time_is_a_clock_today_and_a_date_before(at: datetime, words: str) -> None:
    assert formatting.clock(at, NOW) == words


def test_today_is_today_in_the_readers_zone() -> None:
    tokyo = NOW.astimezone(ZoneInfo("Asia/Tokyo"))

    assert formatting.clock(datetime(2026, 11, 21, 15, 30, tzinfo=UTC), tokyo + timedelta(hours=2)) == "00:30"
    assert formatting.clock(datetime(2026, 11, 20, 14, 30, tzinfo=UTC), tokyo) == "20 Nov 23:30"
    assert formatting.hour(datetime(2026, 11, 20, 14, 30, tzinfo=UTC), tokyo) == "23:30"


def test_a_day_is_a_heading_in_the_readers_zone() -> None:
    tokyo = NOW.astimezone(ZoneInfo("Asia/Tokyo"))

    assert formatting.day(NOW, NOW) == "Today, 21 November"
    assert formatting.day(datetime(2026, 11, 20, 14, 30, tzinfo=UTC), tokyo) == "Yesterday, 20 November"
    assert formatting.day(datetime(2026, 11, 19, 1, tzinfo=UTC), NOW) == "19 November"
    assert formatting.day(datetime(2025, 1, 3, tzinfo=UTC), NOW) == "3 January 2025"


def test_the_exact_time_names_its_zone() -> None:
    berlin = NOW.astimezone(ZoneInfo("Europe/Berlin"))

    assert formatting.exact(NOW, NOW) == "21 Nov 2026, 14:39:12 UTC"
    assert formatting.exact(NOW, berlin) == "21 Nov 2026, 15:39:12 CET"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (44, "just now"),
        (45, "1 min ago"),
        (41 * 60, "41 min ago"),
        (46 * 60, "1 h ago"),
        (35 * 3600, "35 h ago"),
        (3 * 86400, "3 d ago"),
        (-10, "in a moment"),
        (-2 * 3600, "in 2 h"),
    ],
)
def test_a_distance_is_said_in_one_unit(seconds: int, words: str) -> None:
    assert formatting.ago(NOW - timedelta(seconds=seconds), NOW) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0s"),
        (48, "48s"),
        (60, "1m"),
        (41 * 60 + 12, "41m 12s"),
        (52 * 60, "52m"),
        (3600, "1h"),
        (3600 + 5, "1h"),
        (3 * 3600 + 18 * 60 + 40, "3h 18m"),
        (2 * 86400 + 4 * 3600 + 59, "2d 4h"),
        (-5, "0s"),
        (12.9, "12s"),
    ],
)
def test_a_duration_is_said_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert formatting.duration(seconds) == words


@pytest.mark.parametrize(("seconds", "words"), [(222, "3:42"), (0, "0:00"), (-9, "0:00"), (3822, "1:03:42")])
def test_a_countdown_stops_at_zero(seconds: int, words: str) -> None:
    assert formatting.countdown(NOW + timedelta(seconds=seconds), NOW) == words


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("Amara Okafor", "AO"),
        ("ada", "A"),
        ("Tomás de la Herrera", "TH"),
        ("  ", "?"),
        ("", "?"),
        ("Émile Zola (SRE)", "ÉZ"),
    ],
)
def test_initials_are_the_first_and_the_last_word(name: str, letters: str) -> None:
    assert formatting.initials(name) == letters


def test_the_colour_of_a_name_never_changes() -> None:
    assert formatting.hue("Amara Okafor") == formatting.hue("Amara Okafor") == "green"
    assert {formatting.hue(f"person {n}") for n in range(200)} == {
        "violet",
        "teal",
        "blue",
        "green",
        "amber",
        "orange",
        "slate",
    }
