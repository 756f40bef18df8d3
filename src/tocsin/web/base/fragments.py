"""Parts of a page that a live update leaves out when the reader has them already.

An element that a template writes with `ui.live` carries a digest of what is in it. A page that brings itself up to date
says which digests it has (`X-Known`), and what is still the same comes back as an empty element with that id; `live.js`
puts what stands on the screen in its place before anything is swapped. So the page has one way of being made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from tocsin.kit.text import sha256_hex

# What is asked of the server for the page that one is on, with the digests of what is there.
KNOWN = "x-known"
_DIGEST = re.compile(r"[0-9a-f]{8}")
# What the browser keeps up to date by itself, and what is another one in each answer.
_VOLATILE = re.compile(
    r"""(?P<clock><[^<>]*\bdata-(?:ago|elapsed-from|countdown-to)\b[^<>]*>)[^<]*"""
    r"""|(?P<secret>name="(?:_csrf_token|form_id)" value=)"[^"]*\""""
)


def read_known(header: str) -> frozenset[str]:
    """Read the digests of a request; what is none is left out."""
    return frozenset(each for each in header.split(",") if _DIGEST.fullmatch(each))


def fragment(known: frozenset[str], tag: str, id: str, attributes: Mapping[str, Any], body: Markup) -> Markup:
    """Write an element that a live update brings only when it has changed. One must not stand within another."""
    written = "".join(
        f" {name}" if value is True else f' {name}="{escape(value)}"'
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    digest = sha256_hex((written + _VOLATILE.sub(lambda found: found["clock"] or found["secret"], body)).encode())[:8]
    if digest in known:
        return Markup(f'<{tag} id="{escape(id)}" data-same></{tag}>')  # noqa: S704 (of names and an escaped id)
    return Markup(f'<{tag} id="{escape(id)}" data-digest="{digest}"{written}>{body}</{tag}>')  # noqa: S704 (as above)
