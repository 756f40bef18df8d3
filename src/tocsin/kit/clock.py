"""The only module that reads a clock. Transactions and jobs use the database's time instead (`Tx.now`)."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def utc_now() -> datetime:
    """Return this machine's time, aware and in UTC. For logs and for deadlines inside one process only."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Return seconds on a clock that never goes back."""
    return time.monotonic()


def elapsed() -> float:
    """Return seconds on a clock that never goes back and does not stand still while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def in_utc(at: datetime) -> str:
    """Write a time for people who have said no zone, as on a console: `2026-03-01 12:00:05 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def stamp(at: datetime) -> str:
    """Write a time as the API does: RFC 3339, UTC, milliseconds, `Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def zone(name: str) -> ZoneInfo:
    """Return the zone; UTC for one that this machine does not know."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
