"""Where a page of a list ended, written so that it can stand in a URL. Opaque to whoever carries it."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Annotated, TypeVar, cast
from uuid import UUID

import msgspec

from tocsin.kit.errors import Invalid

T = TypeVar("T")
AwareTime = Annotated[datetime, msgspec.Meta(tz=True)]
# Beyond these years the store, or the arithmetic on the way to it, may refuse a time.
_EARLIEST, _LATEST = 1970, 2200
# Nor does it take a larger number.
_LARGEST = 2**63 - 1


def write_place(place: object) -> str:
    """Write where a page of any list ended; opaque to callers."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def read_place(text: str | None, wanted: type[T]) -> T | None:
    """Read where the page before ended; raises `Invalid` for anything we did not write for this list."""
    if text is None:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        if b"\\u0000" in raw:
            raise ValueError
        place = msgspec.json.decode(raw, type=wanted)
    except (binascii.Error, ValueError, RecursionError):
        raise _not_ours() from None
    keys = cast("tuple[object, ...]", place) if isinstance(place, tuple) else ()
    if any(isinstance(key, datetime) and not _EARLIEST <= key.year <= _LATEST for key in keys):
        raise _not_ours()
    numbers = [key for key in (keys or (cast("object", place),)) if isinstance(key, int)]
    if any(abs(number) > _LARGEST for number in numbers):
        raise _not_ours()
    return cast("T", place)


def read_moment(text: str | None) -> tuple[datetime, UUID] | None:
    """Read where a page of a list by time ended; raises `Invalid`."""
    return read_place(text, tuple[AwareTime, UUID])


def read_position(text: str | None) -> int | None:
    """Read where a page of the log ended; raises `Invalid`."""
    position = read_place(text, int)
    if position is not None and not 0 <= position < 2**62:
        raise _not_ours()
    return position


def _not_ours() -> Invalid:
    return Invalid("cursor", "This cursor is not one of ours. Start again without it.")
