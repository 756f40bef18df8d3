"""What a link that was signed says, and that nothing else says it."""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tocsin.kit.crypto import KeyRing, read_signed_id, sign_id

NOW = datetime(2031, 5, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
ID = UUID(int=7)
RING = KeyRing({int(NOW.timestamp()): b"k" * 32}, timedelta(hours=2))
LETTERS = string.ascii_letters + string.digits + "-_"


def test_what_was_signed_is_read() -> None:
    """F060."""
    assert read_signed_id(b"k" * 32, "page", sign_id(b"k" * 32, "page", ID, LATER), now=NOW) == (ID, LATER, False)
    assert RING.read_signed_id("page", RING.sign_id("page", ID, LATER), now=LATER) == (ID, LATER, True)


@pytest.mark.parametrize("place", [0, 5, 20, -2, -1])
def test_no_other_character_does_in_any_place(place: int) -> None:
    """F060: the last one carries bits that mean nothing, and has one spelling all the same."""
    token = RING.sign_id("page", ID, LATER)
    letters = list(token)
    for letter in LETTERS.replace(token[place], ""):
        letters[place] = letter
        assert RING.read_signed_id("page", "".join(letters), now=NOW) is None
