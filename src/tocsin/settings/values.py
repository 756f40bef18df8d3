"""How the values of settings are read. Each raises `ValueError` with what the value must be."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import cast

Network = IPv4Network | IPv6Network


def text(raw: object) -> str:
    """Read text."""
    if not isinstance(raw, str):
        raise ValueError("must be text")
    return raw


def path(raw: object) -> Path:
    """Read a path; `~` is the home directory."""
    return Path(text(raw)).expanduser().absolute()


def between(low: int, high: int) -> Callable[[object], int]:
    """Return what reads a whole number within these bounds."""

    def parse(raw: object) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int | str):
            raise ValueError("must be a whole number")
        try:
            value = int(raw)
        except ValueError:
            raise ValueError("must be a whole number") from None
        if not low <= value <= high:
            raise ValueError(f"must be between {low} and {high}")
        return value

    return parse


def flag(raw: object) -> bool:
    """Read on or off."""
    if isinstance(raw, bool):
        return raw
    match str(raw).strip().lower():
        case "1" | "true" | "yes" | "on":
            return True
        case "0" | "false" | "no" | "off" | "":
            return False
        case _:
            raise ValueError("must be on or off")


def networks(raw: object) -> tuple[Network, ...]:
    """Read networks (CIDR), separated by commas or blanks, or as a list."""
    parts = cast("list[object]", raw) if isinstance(raw, list) else text(raw).replace(",", " ").split()
    try:
        return tuple(ip_network(text(part), strict=False) for part in parts)
    except ValueError as error:
        raise ValueError(f"must be a list of networks such as 10.0.0.0/8 ({error})") from None


def choice(*words: str) -> Callable[[object], str]:
    """Return what reads one of these words."""

    def parse(raw: object) -> str:
        value = text(raw).strip().lower()
        if value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return value

    return parse


def url(raw: object) -> str:
    """Read the address of the installation: scheme, host, port, and the path it stands below, without a `/` at the end.

    Raises `ValueError` for a path that could be read in more than one way, by a proxy, a browser or us.
    """
    given = text(raw).strip()
    if not given.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    scheme, mark, rest = given.partition("://")
    value = scheme + mark + rest.rstrip("/")
    if "?" in value or "#" in value:
        raise ValueError("must end with the host, its port or a path, without ? and #")
    host, slash, path = rest.rstrip("/").partition("/")
    if "@" in host:
        raise ValueError("must name no user and no password")
    if not host or not host.isprintable() or " " in host or "\\" in host:
        raise ValueError("must name a host, such as https://tocsin.example.org")
    if slash:
        _check_path(path)
    return value


# What begins an address inside of the site. An installation below one of them could not tell whether a proxy has taken
# the path off. `tests/contracts/test_addresses.py` compares it with the site.
OWN_PLACES = frozenset(
    {
        "access",
        "action-items",
        "alerts",
        "api",
        "compat",
        "healthz",
        "in",
        "inbox",
        "incidents",
        "link",
        "live",
        "metrics",
        "new-password",
        "organisation",
        "p",
        "people",
        "pick",
        "policies",
        "readyz",
        "roles",
        "routes",
        "search",
        "sessions",
        "set-up",
        "settings",
        "sign-in",
        "sign-out",
        "sources",
        "static",
        "teams",
        "tokens",
        "ui",
    }
)
_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+")


def _check_path(path: str) -> None:
    segments = path.split("/")
    if "" in segments:
        raise ValueError("must not have two slashes in a row in its path")
    if not all(_SEGMENT.fullmatch(each) for each in segments):
        raise ValueError("must have a path of the letters a to z, digits, and - . _ ~ only")
    if {".", ".."} & set(segments):
        raise ValueError("must not have “.” or “..” in its path")
    if segments[0] in OWN_PLACES:
        raise ValueError(
            f"must not have a path that begins with /{segments[0]}, where Tocsin has pages of its own; take another "
            "such as /tocsin"
        )


def database_url(raw: object) -> str:
    """Read the address of a PostgreSQL."""
    value = text(raw)
    if not value.startswith(("postgresql://", "postgres://")):
        raise ValueError("must start with postgresql://")
    return value
