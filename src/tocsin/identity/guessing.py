"""How often a password may be guessed, by whom, and who is told apart. Rules only: no clock, no database.

The protocol is that of OWASP's device cookies (https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies):
a browser that has signed in before holds a signed cookie and is judged by its own failures alone, and all the others
share what strangers may guess. So guessing keeps strangers away, and never the person from their own devices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

from tocsin.kit.crypto import digest, read_signed_id, sign_id
from tocsin.kit.errors import TooMany
from tocsin.kit.networks import network_of

# A device is known for this long after its last sign-in.
DEVICE_KNOWN_FOR = timedelta(days=365)
# How many accounts one browser can be known to: each has one of so many cookies, so their number is bounded.
_SLOTS = 8


@dataclass(frozen=True, slots=True)
class Tally:
    """What is known of the attempts under one key. What `at` means is the rule's own."""

    failures: int
    at: datetime


class Rule(Protocol):
    """How attempts under one key are limited."""

    def wait(self, tally: Tally | None, now: datetime) -> timedelta:
        """Return how long the next attempt has to wait; nothing, or less, when it may be made now."""
        ...

    def counted(self, tally: Tally | None, now: datetime) -> Tally:
        """Return the tally with an attempt that is made now."""
        ...

    def forgiven(self, tally: Tally) -> Tally:
        """Return the tally when the attempt turned out to be right."""
        ...

    def over_at(self, tally: Tally) -> datetime:
        """Return when the tally says nothing any more."""
        ...


@dataclass(frozen=True, slots=True)
class Growing:
    """Some failures are free; each further one doubles the wait, up to a longest. `at` is the time of the last one."""

    free: int
    first: timedelta
    longest: timedelta
    forgotten_after: timedelta

    def delay(self, failures: int) -> timedelta:
        """Return how long to wait after so many failures."""
        if failures < self.free:
            return timedelta(0)
        # More doublings than these are past every longest wait, and 2**n would not stay a time.
        return min(self.longest, self.first * 2 ** min(failures - self.free, 20))

    def wait(self, tally: Tally | None, now: datetime) -> timedelta:
        known = self._now(tally, now)
        delay = timedelta(0) if known is None else self.delay(known.failures)
        # Of two at once, the one that began later may have been counted first: that alone is no reason to wait.
        return known.at + delay - now if known is not None and delay else timedelta(0)

    def counted(self, tally: Tally | None, now: datetime) -> Tally:
        known = self._now(tally, now)
        return Tally(1, now) if known is None else Tally(known.failures + 1, max(known.at, now))

    def forgiven(self, tally: Tally) -> Tally:
        return Tally(0, tally.at)

    def over_at(self, tally: Tally) -> datetime:
        return tally.at + self.forgotten_after if tally.failures else tally.at

    def _now(self, tally: Tally | None, now: datetime) -> Tally | None:
        return None if tally is None or self.over_at(tally) <= now else tally


@dataclass(frozen=True, slots=True)
class Budget:
    """So many at once, and one more each while: in any time T at most `burst + T / every`. `at` is when it is full.

    This is the generic cell rate algorithm (ITU-T I.371): one moment says it all.
    """

    burst: int
    every: timedelta

    def wait(self, tally: Tally | None, now: datetime) -> timedelta:
        return self._full_at(tally, now) - now - (self.burst - 1) * self.every

    def counted(self, tally: Tally | None, now: datetime) -> Tally:
        return Tally(0, self._full_at(tally, now) + self.every)

    def forgiven(self, tally: Tally) -> Tally:
        return Tally(0, tally.at - self.every)

    def over_at(self, tally: Tally) -> datetime:
        return tally.at

    def _full_at(self, tally: Tally | None, now: datetime) -> datetime:
        return now if tally is None else max(tally.at, now)


# One network against one account, and one device or session against its account: 5 at once, 10 in a quarter of an
# hour, then 4 an hour.
ONE = Growing(free=5, first=timedelta(seconds=30), longest=timedelta(minutes=15), forgotten_after=timedelta(hours=24))
# All strangers together against one account: 194 in any 24 hours, 1,058 in any week. More than one network can use up,
# so that a single one never stands in everybody's way.
ACCOUNT = Budget(burst=50, every=timedelta(minutes=10))
# One network against all accounts: 50 at once, then 180 an hour.
NETWORK = Budget(burst=50, every=timedelta(seconds=20))
# Wrong tokens and links of one network; nobody guesses 256 bits, this only ends the noise.
TOKENS = Budget(burst=60, every=timedelta(seconds=5))


@dataclass(frozen=True, slots=True)
class Judge:
    """One limit that an attempt has to pass: the key it is counted under, and its rule."""

    key: bytes
    rule: Rule


@dataclass(frozen=True, slots=True)
class Device:
    """A browser that has signed in to this account before."""

    id: UUID
    known_until: datetime


def judges_of_sign_in(email: str, ip: str, device: Device | None, now: datetime) -> list[Judge]:
    """Return what limits this attempt: for a known device its own failures alone, for strangers three limits."""
    account = fold(email)
    if device is not None and device.known_until > now:
        return [Judge(digest(f"device:{device.id}:{account}"), ONE)]
    where = network(ip)
    return [
        Judge(digest(f"pair:{where}:{account}"), ONE),
        Judge(digest(f"email:{account}"), ACCOUNT),
        Judge(digest(f"network:{where}"), NETWORK),
    ]


def judges_of_own_password(user_id: UUID, credential: UUID | None) -> list[Judge]:
    """Return what limits proving the current password: what this session or token failed, and what all of them did."""
    return [Judge(digest(f"own:{credential}:{user_id}"), ONE), Judge(digest(f"owner:{user_id}"), ACCOUNT)]


def must_not_wait(waits: Sequence[timedelta], what: str) -> None:
    """Raise `TooMany`, which says how long, unless the attempt may be made now."""
    longest = max(waits, default=timedelta(0))
    if longest > timedelta(0):
        seconds = math.ceil(longest.total_seconds())
        raise TooMany(f"There were too many {what}. Try again in {in_words(seconds)}.", retry_after=seconds)


def in_words(seconds: int) -> str:
    """Write a wait as people say it, rounded up: `1 second`, `45 seconds`, `2 minutes`."""
    number, unit = (seconds, "second") if seconds < 60 else (math.ceil(seconds / 60), "minute")
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def network(ip: str) -> str:
    """Return what one subscriber or office shares: the /24 of an IPv4 address, the /64 of an IPv6 address."""
    return network_of(ip, ipv4_bits=24)


def fold(email: str) -> str:
    """Return the address as it is compared."""
    return email.strip().lower()


def slot(email: str) -> int:
    """Return which of the browser's device cookies belongs to this account."""
    return digest(f"slot:{fold(email)}")[0] % _SLOTS


def new_device(key: bytes, email: str, id: UUID, now: datetime) -> str:
    """Return the value of a device cookie: a random id and a time, signed for this account. Says nothing of anybody."""
    return sign_id(key, _purpose(email), id, now + DEVICE_KNOWN_FOR)


def read_device(key: bytes, email: str, value: str) -> Device | None:
    """Read a device cookie; None unless we have signed it for this account."""
    found = read_signed_id(key, _purpose(email), value, now=datetime.min.replace(tzinfo=UTC))
    return None if found is None else Device(found[0], found[1])


def _purpose(email: str) -> str:
    return f"device:{digest(fold(email)).hex()}"
