"""What this process knows of those who carry messages: how many calls each may hold up, and when to look again.

An origin is what fails together, such as one web server. One that leaves calls unanswered is asked by one message at a
time, now and then, until it answers; all others go on meanwhile. Each process learns this for itself and forgets it
when it ends. Nothing here is awaited, and no clock is read: callers pass the time.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

from tocsin.kit.errors import OutsideFailure, Refused
from tocsin.notifications.model import DeliveryKind

# Calls under way at once in one process: to an origin whose last call was answered, and to one of which that is not
# known. Many that are silent from the start would else take all places there are for as long as a call may last.
AT_ONCE = 8
AT_ONCE_AT_FIRST = 2
AT_ONCE_FOR_A_PERSON = 4
AT_ONCE_OF_NEWS = 2
# All tests together, as anybody may press the button again and again. They take few of the places that pages need.
TESTS_AT_ONCE = 8
# Unanswered calls in a row after which an origin is only probed.
TROUBLE = 4
# How long until the next probe, after each that failed; the last one repeats. A probe that may have arrived rings
# somebody again, so these come less often.
_PROBE_IN = tuple(timedelta(seconds=n) for n in (5, 10, 20, 30))
_PROBE_AGAIN_IN = tuple(timedelta(seconds=n) for n in (15, 30, 60, 120))
_LONGEST_PAUSE = max(*_PROBE_IN, *_PROBE_AGAIN_IN)
# While a probe is under way, the others look again after this.
_PROBE_RUNS = timedelta(seconds=2)
# An origin that answers now well and now badly does not make all others try again each time.
WAKES_EVERY = timedelta(seconds=10)
_KNOWN_AT_MOST = 10_000

_ORIGIN, _PERSON, _TEST, _NEWS = "origin:", "person:", "test:", "news:"
_TESTS = "tests"


def origin_of(channel: str, address: str) -> str:
    """Return who carries messages to this address: scheme, host and port of a URL, else the channel's one server."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") and parts.netloc else channel


def shares(channel: str, address: str, recipient_id: UUID) -> tuple[str, str]:
    """Return what a message shares with others: who carries it, and what that one carries to the same person.

    A person's other ways are shares of their own: one that hangs must not hold them up.
    """
    origin = origin_of(channel, address)
    return share_of(origin), f"{_PERSON}{recipient_id} {origin}"


def shares_of_test(recipient_id: UUID) -> tuple[str, str]:
    """Return what a test shares: with all tests, and with those of the same person.

    It waits for no origin, since somebody waits for its answer.
    """
    return _TESTS, f"{_TEST}{recipient_id}"


def share_of_news(channel: str, address: str) -> str:
    """Return what news share with other news: who carries them. They never take a place from a page."""
    return f"{_NEWS}{origin_of(channel, address)}"


def shares_of(kind: DeliveryKind, *, channel: str, address: str, recipient_id: UUID) -> tuple[str, ...]:
    """Return what a message of this kind shares with others, to this address."""
    match kind:
        case DeliveryKind.TEST:
            return shares_of_test(recipient_id)
        case DeliveryKind.NEWS:
            return (share_of_news(channel, address),)
        case DeliveryKind.PAGE:
            return shares(channel, address, recipient_id)


def share_of(origin: str) -> str:
    """Return the share under which the messages of an origin are found."""
    return f"{_ORIGIN}{origin}"


def origin_in(names: Iterable[str]) -> str:
    """Return the origin that is named among these shares; a test names none and waits for nobody."""
    return next((name.removeprefix(_ORIGIN) for name in names if name.startswith(_ORIGIN)), "")


@dataclass(slots=True)
class _Trouble:
    unanswered: int = 0
    # A message failed since those that wait were woken last, so at least that one waits.
    is_awaited: bool = False
    probes: int = 0
    closed_until: datetime | None = None
    is_probed: bool = False
    woken_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a call tells of its origin: for how long it is left alone, or that it is back."""

    pause: timedelta | None = None
    is_back: bool = False


class Origins:
    """Who answers and who does not, as this process has seen it."""

    def __init__(self) -> None:
        # An origin that never failed is in none.
        self._troubles: MutableMapping[str, _Trouble] = {}
        # The last call was answered.
        self._answering = set[str]()

    def limit(self, share: str) -> int:
        """Say how many jobs of a share may run at once here."""
        if share.startswith(_NEWS):
            return AT_ONCE_OF_NEWS
        if share == _TESTS:
            return TESTS_AT_ONCE
        if not share.startswith(_ORIGIN):
            return AT_ONCE_FOR_A_PERSON
        origin = share.removeprefix(_ORIGIN)
        if self.is_probed_only(origin):
            return 1
        return AT_ONCE if origin in self._answering else AT_ONCE_AT_FIRST

    def wait(self, origin: str, now: datetime) -> timedelta | None:
        """Say how long a message to this origin has to wait; None when it may be sent now, which may be as a probe."""
        trouble = self._troubles.get(origin)
        if trouble is None or trouble.unanswered < TROUBLE:
            return None
        if trouble.is_probed:
            return _PROBE_RUNS
        rest = trouble.closed_until - now if trouble.closed_until else timedelta()
        # More than it was closed for: the clock has been set back.
        if timedelta() < rest <= _LONGEST_PAUSE:
            return rest
        trouble.is_probed = True
        return None

    def failed(self, origin: str, failure: OutsideFailure, now: datetime) -> Found:
        """Note a call that failed. An answer, be it a refusal, says that the origin lives."""
        if origin not in self._troubles and len(self._troubles) >= _KNOWN_AT_MOST:
            self._troubles.clear()
        trouble = self._troubles.setdefault(origin, _Trouble())
        trouble.is_probed = False
        trouble.is_awaited |= not isinstance(failure, Refused)
        if failure.answered:
            self._note_answer(origin)
            trouble.unanswered, trouble.probes = 0, 0
            return Found(is_back=isinstance(failure, Refused) and self._is_back(trouble, now))
        self._answering.discard(origin)
        trouble.unanswered += 1
        if trouble.unanswered < TROUBLE:
            return Found()
        waits = _PROBE_AGAIN_IN if failure.may_have_arrived else _PROBE_IN
        pause = waits[min(trouble.probes, len(waits) - 1)]
        trouble.probes += 1
        trouble.closed_until = now + pause
        return Found(pause=pause)

    def answered(self, origin: str, now: datetime) -> Found:
        """Note a call that went well."""
        self._note_answer(origin)
        trouble = self._troubles.get(origin)
        if trouble is None:
            return Found()
        trouble.unanswered, trouble.probes, trouble.is_probed = 0, 0, False
        return Found(is_back=self._is_back(trouble, now))

    def _note_answer(self, origin: str) -> None:
        if len(self._answering) >= _KNOWN_AT_MOST:
            self._answering.clear()
        self._answering.add(origin)

    def _is_back(self, trouble: _Trouble, now: datetime) -> bool:
        """Say whether what waits for this origin is to be tried now, which is not said again within some seconds.

        What fails in those seconds is not forgotten: the first answer after them wakes it.
        """
        if not trouble.is_awaited:
            return False
        if trouble.woken_at is not None and timedelta() <= now - trouble.woken_at < WAKES_EVERY:
            return False
        trouble.is_awaited, trouble.woken_at = False, now
        return True

    def not_called(self, origin: str) -> None:
        """Take back a probe that was not made after all."""
        if trouble := self._troubles.get(origin):
            trouble.is_probed = False

    def is_probed_only(self, origin: str) -> bool:
        """Say whether calls to this origin go unanswered, so that all but a page now and then should wait."""
        trouble = self._troubles.get(origin)
        return trouble is not None and trouble.unanswered >= TROUBLE
