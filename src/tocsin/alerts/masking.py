"""Keeping the key of a source out of the bodies that people may look at."""

from __future__ import annotations

import re
from functools import lru_cache

MASK = b"[routing key]"
# What JSON may write with a backslash and a letter instead.
_SHORT = {'"': '"', "\\": "\\", "/": "/", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}


def without(routing_key: str, body: bytes) -> bytes:
    """Return the body with the mask wherever a reader of JSON would read the key, however it is spelled there.

    JSON lets every character be written as it is or escaped (`\\u0061`), in any mixture, and a body is kept that is not
    even JSON, so the spellings are looked for instead of decoding it. Everything else stays as it was sent.
    """
    if not routing_key:
        return body
    if b"\\" in body:
        return _spellings(routing_key).sub(MASK, body)
    # Most senders write it plainly, and looking for every spelling takes a hundred times as long.
    return body.replace(routing_key.encode("utf-8", "surrogatepass"), MASK)


@lru_cache(maxsize=256)
def _spellings(key: str) -> re.Pattern[bytes]:
    return re.compile(b"".join(_spelled(character) for character in key))


def _spelled(character: str) -> bytes:
    units = character.encode("utf-16-be", "surrogatepass")
    escaped = b"".join(rb"\\u(?i:%04x)" % int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
    ways = [re.escape(character.encode("utf-8", "surrogatepass")), escaped]
    if character in _SHORT:
        ways.append(re.escape(f"\\{_SHORT[character]}".encode()))
    return b"(?:%s)" % b"|".join(ways)
