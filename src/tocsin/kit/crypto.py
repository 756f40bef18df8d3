"""Secrets: making, hashing, comparing and signing them. Passwords go through argon2id."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# The library's defaults follow RFC 9106's second recommendation; memory is lowered so that a burst of sign-ins
# does not take a small machine down (19 MiB is the floor that OWASP gives for argon2id with two passes).
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def new_secret(prefix: str = "") -> str:
    """Make a secret with 256 random bits, safe in a URL."""
    return prefix + secrets.token_urlsafe(32)


def new_intake_token() -> str:
    """Make the token of an alert source: 32 characters, as PagerDuty's clients insist on."""
    return secrets.token_hex(16)


def digest(secret: str) -> bytes:
    """Hash a random secret for storage. For secrets we made only: it is fast, so it does not suit passwords."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def digest_of_link_session(secret: str) -> bytes:
    """Hash the secret of a session by page link. What hashes sessions otherwise never comes to the same.

    The first byte begins no UTF-8, so there is no text that `digest` hashes like this: whoever holds such a secret
    cannot use it as a sign-in, also not with the version before, which knows of no other kind.
    """
    return hashlib.sha256(b"\xff" + secret.encode("utf-8", "surrogatepass")).digest()


def same(left: bytes | str, right: bytes | str) -> bool:
    """Compare two secrets in constant time."""
    a = left.encode() if isinstance(left, str) else left
    b = right.encode() if isinstance(right, str) else right
    return hmac.compare_digest(a, b)


def hash_password(password: str) -> str:
    """Hash a password with argon2id. Takes tens of milliseconds of CPU: call it off the event loop."""
    return _hasher.hash(password)


def check_password(stored: str | None, password: str) -> bool:
    """Say whether the password is right; takes as long when there is nothing to compare with."""
    try:
        return _hasher.verify(stored or _NOBODY, password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


def needs_rehash(stored: str) -> bool:
    """Say whether the stored hash was made with older parameters."""
    return _hasher.check_needs_rehash(stored)


_NOBODY = _hasher.hash(secrets.token_urlsafe(16))

_MAC_BYTES = 16
_ID_BYTES = 20


def sign_id(key: bytes, purpose: str, id: UUID, expires_at: datetime) -> str:
    """Sign an id for one purpose until a time; the result is 48 characters and safe in a URL path."""
    return _sign(key, purpose, b"", id, expires_at)


def read_signed_id(key: bytes, purpose: str, token: str, *, now: datetime) -> tuple[UUID, datetime, bool] | None:
    """Read what `sign_id` wrote: the id, when it expires and whether that is past. None when it is not genuine."""
    raw = _raw(token)
    return _read(key, purpose, raw, now) if len(raw) == _ID_BYTES + _MAC_BYTES else None


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys that sign ids, by the whole second in which each was made; what they sign names its key.

    The newest signs. One that was replaced is good for `outlives` more, which is how long the longest of its
    signatures may still have to go, so that whoever gets hold of it later can do nothing with it.
    """

    keys: Mapping[int, bytes] = field(repr=False)
    outlives: timedelta

    def sign_id(self, purpose: str, id: UUID, expires_at: datetime) -> str:
        """Sign as the function `sign_id` does; the result is 54 characters."""
        newest = max(self.keys)
        return _sign(self.keys[newest], purpose, newest.to_bytes(_KEY_BYTES, "big"), id, expires_at)

    def read_signed_id(self, purpose: str, token: str, *, now: datetime) -> tuple[UUID, datetime, bool] | None:
        """Read what `sign_id` wrote, as the function does. None also when its key is gone or has been over for long."""
        raw = _raw(token)
        if len(raw) != _KEY_BYTES + _ID_BYTES + _MAC_BYTES:
            return None
        made = int.from_bytes(raw[:_KEY_BYTES], "big")
        key = self.keys.get(made) if self.is_good(made, now) else None
        return _read(key, purpose, raw, now) if key is not None else None

    def is_good(self, made: int, now: datetime) -> bool:
        """Say whether what this key signed counts now."""
        replaced = min((later for later in self.keys if later > made), default=None)
        return replaced is None or now < datetime.fromtimestamp(replaced, UTC) + self.outlives


_KEY_BYTES = 4


def _sign(key: bytes, purpose: str, prefix: bytes, id: UUID, expires_at: datetime) -> str:
    body = prefix + id.bytes + int(expires_at.timestamp()).to_bytes(4, "big")
    return _text(body + _mac(key, purpose, body))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _raw(token: str) -> bytes:
    """Return what a token says, or nothing; a token has one spelling, though its last character may have bits over."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""
    return raw if _text(raw) == token else b""


def _read(key: bytes, purpose: str, raw: bytes, now: datetime) -> tuple[UUID, datetime, bool] | None:
    body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(key, purpose, body)):
        return None
    expires_at = datetime.fromtimestamp(int.from_bytes(body[-4:], "big"), UTC)
    return UUID(bytes=body[-_ID_BYTES:-4]), expires_at, now >= expires_at


def _mac(key: bytes, purpose: str, body: bytes) -> bytes:
    return hmac.digest(key, purpose.encode() + b"\0" + body, "sha256")[:_MAC_BYTES]
