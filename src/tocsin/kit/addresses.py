"""Addresses of the installation. Inside, the site stands at `/` and knows no other place; outside, below `base_url`.

Whatever is shown or sent is made by `at`, from a path as the site knows it: a page's link from the path that the
installation stands below (`at("/tocsin", "/alerts")`), a link in a mail from its whole address
(`at("https://example.org/tocsin", "/alerts")`). No `/` at the end of either base.
"""

from __future__ import annotations

import re
from functools import cache
from urllib.parse import urlsplit


def at(base: str, path: str) -> str:
    """Return where a place of the site stands outside."""
    return base + path


def root_of(base_url: str) -> str:
    """Return the path that the installation stands below, such as `/tocsin`; empty when it has a host of its own."""
    return urlsplit(base_url).path.rstrip("/")


def within(root: str, path: str) -> str | None:
    """Return the place of the site that this path leads to; None when it is not below the root.

    A slash too many changes nothing: addresses are put together by hand and by tools.
    """
    found = _below(root).match(path)
    return (path[found.end() :] or "/") if found else None


@cache
def _below(root: str) -> re.Pattern[str]:
    return re.compile("/+".join(re.escape(each) for each in root.split("/")) + "(?=/|$)")
