"""What a person's account may look like: e-mail address, name, password, time zone, role. Rules only."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from tocsin.kit.changes import UNSET, UnsetType
from tocsin.kit.errors import Invalid
from tocsin.kit.text import storable

SHORTEST_PASSWORD = 10
# argon2 takes any length; a limit keeps a sign-in from hashing megabytes.
LONGEST_PASSWORD = 1024
LONGEST_NAME = 80
# RFC 5321 section 4.5.3.1: 64 before the @, and a path of 256 with its angle brackets.
LONGEST_EMAIL = 254

_EMAIL = re.compile(r'[^\s@"(),:;<>\[\\\]]{1,64}@[^\s@"(),:;<>\[\\\]]+')


@dataclass(frozen=True, slots=True)
class UserChanges:
    """What to change about a person."""

    email: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    role: str | UnsetType = UNSET
    time_zone: str | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET

    @property
    def are_of_the_account(self) -> bool:
        """Say whether more is to change than what everybody says of themselves."""
        return any(value is not UNSET for value in (self.email, self.role, self.is_active))


def is_email(text: str) -> bool:
    """Say whether this can be an address at all. Quoted local parts and comments (RFC 5322) are not accepted."""
    if len(text) > LONGEST_EMAIL or not text.isprintable() or _EMAIL.fullmatch(text) is None:
        return False
    return all(part for part in text.partition("@")[2].split("."))


def clean_email(text: str) -> str:
    """Return the address as it is stored, trimmed and in lower case; raises `Invalid`."""
    email = text.strip().lower()
    if not is_email(email):
        raise Invalid("email", "Give an e-mail address such as ada@example.org.")
    return email


def clean_name(text: str, *, field: str = "name") -> str:
    """Return a name of a person, team, token or organisation in one line; raises `Invalid`."""
    name = " ".join(text.split())
    if not name:
        raise Invalid(field, "Give a name.")
    if len(name) > LONGEST_NAME:
        raise Invalid(field, f"Use at most {LONGEST_NAME} characters.")
    # Control characters and lone surrogates; joiners stay, because some scripts need them.
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
        raise Invalid(field, "Use a name without control characters.")
    return name


def clean_text(text: str, longest: int, *, field: str) -> str:
    """Return a text such as a description, without the space around it; raises `Invalid` beyond `longest`."""
    told = storable(text).strip()
    if len(told) > longest:
        raise Invalid(field, f"Use at most {longest:,} characters.", code="too_long")
    return told


def clean_time_zone(text: str) -> str:
    """Return the name of an IANA time zone that this machine knows; raises `Invalid`."""
    try:
        return ZoneInfo(text).key
    except (KeyError, ValueError, OSError):
        # OSError: the name of a folder of zones, such as “Europe”.
        raise Invalid("time_zone", "Give a time zone such as Europe/Vienna or UTC.") from None


_LONGEST_ZONE = 64


def zone_or_none(text: str) -> str | None:
    """Return the zone that a browser names, or None for what this machine takes for none."""
    try:
        return clean_time_zone(text) if 0 < len(text) <= _LONGEST_ZONE else None
    except Invalid:
        return None


def is_password(text: str) -> bool:
    """Say whether this can be anybody's password, that is, whether it is worth the work of comparing it."""
    return 0 < len(text) <= LONGEST_PASSWORD and not any(unicodedata.category(c) == "Cs" for c in text)


def check_new_password(text: str, *, email: str, name: str, field: str = "password") -> None:
    """Raise `Invalid` for a password that is too short, too long or the person's own address or name."""
    if len(text) < SHORTEST_PASSWORD:
        raise Invalid(field, f"Use at least {SHORTEST_PASSWORD} characters.", code="too_short")
    if not is_password(text):
        raise Invalid(field, f"Use at most {LONGEST_PASSWORD} ordinary characters.")
    known = {email.casefold(), email.partition("@")[0].casefold(), name.casefold()}
    if text.strip().casefold() in known:
        raise Invalid(field, "Use a password that is not your name or e-mail address.", code="too_easy")
