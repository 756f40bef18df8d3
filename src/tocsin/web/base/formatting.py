"""How pages write times, durations and people. Pure: every function that needs the present takes `now`.

`now` carries the reader's zone; times are shown in the zone of `now`.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zlib import crc32

from markupsafe import Markup

from tocsin.kit.text import markdown

# The hues that an avatar may have; red is left out because it means trouble everywhere else.
_HUES = ("violet", "teal", "blue", "green", "amber", "orange", "slate")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LONG_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def clock(at: datetime, now: datetime) -> str:
    """Write `14:32` today, `18 Nov 14:32` on another day of this year, `18 Nov 2025` otherwise."""
    local = at.astimezone(now.tzinfo)
    if local.date() == now.date():
        return f"{local:%H:%M}"
    day = f"{local.day} {_MONTHS[local.month - 1]}"
    return f"{day} {local:%H:%M}" if local.year == now.year else f"{day} {local.year}"


def calendar_day(day: date, today: date) -> str:
    """Write `18 Nov`, and `18 Nov 2025` in another year."""
    said = f"{day.day} {_MONTHS[day.month - 1]}"
    return said if day.year == today.year else f"{said} {day.year}"


def hour(at: datetime, now: datetime) -> str:
    """Write `14:32` under a heading that says the day."""
    return f"{at.astimezone(now.tzinfo):%H:%M}"


def day(at: datetime, now: datetime) -> str:
    """Write the day as a heading: `Today, 21 November`, `Yesterday, 20 November`, `3 January 2025`."""
    date = at.astimezone(now.tzinfo).date()
    label = f"{date.day} {_LONG_MONTHS[date.month - 1]}" + (f" {date.year}" if date.year != now.year else "")
    near = {now.date(): "Today, ", now.date() - timedelta(days=1): "Yesterday, "}.get(date, "")
    return near + label


def exact(at: datetime, now: datetime) -> str:
    """Write a time to the second and with its zone, as `21 Nov 2026, 14:32:05 CET`."""
    local = at.astimezone(now.tzinfo)
    return f"{local.day} {_MONTHS[local.month - 1]} {local.year}, {local:%H:%M:%S %Z}"


def ago(at: datetime, now: datetime) -> str:
    """Write how far away a time is in one unit, as `41 min ago` or `in 2 h`."""
    seconds = (now - at).total_seconds()
    size = abs(seconds)
    if size < 45:
        return "just now" if seconds >= 0 else "in a moment"
    if size < 45 * 60:
        words = f"{max(1, round(size / 60))} min"
    elif size < 36 * 3600:
        words = f"{max(1, round(size / 3600))} h"
    else:
        words = f"{round(size / 86400)} d"
    return f"{words} ago" if seconds >= 0 else f"in {words}"


def since(at: datetime, now: datetime) -> Markup:
    """Write `ago` as an element that runs on while the page is open and shows the exact time on demand."""
    when = f'datetime="{at.isoformat(timespec="milliseconds")}" title="{exact(at, now)}"'
    return Markup(f'<time class="num" {when} data-ago>{ago(at, now)}</time>')  # noqa: S704 (nothing that people wrote)


def duration(seconds: float) -> str:
    """Write a length in its two largest units, as `48s`, `41m 12s`, `3h 18m` or `2d 4h`; a zero is left out."""
    whole = max(0, int(seconds))
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (left, "s")]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    (count, unit), *smaller = parts[:2]
    return f"{count}{unit}" + "".join(f" {n}{u}" for n, u in smaller if n)


def countdown(at: datetime, now: datetime) -> str:
    """Write the time left as `3:42` or `1:03:42`, never below `0:00`."""
    left = max(0, int((at - now).total_seconds()))
    hours, rest = divmod(left, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def initials(name: str) -> str:
    """Take the first letters of the first and the last word, as `AO` for Amara Okafor."""
    words = [word for word in name.split() if word[0].isalnum()]
    if not words:
        return "?"
    return (words[0][0] + (words[-1][0] if len(words) > 1 else "")).upper()


def hue(name: str) -> str:
    """Choose a colour that stays the same for the same name in every process and release."""
    return _HUES[crc32(name.encode()) % len(_HUES)]


def prose(text: str) -> Markup:
    """Render Markdown for a page without a session, which asks this site for nothing more than itself: no images."""
    return markdown(text, images=False)
