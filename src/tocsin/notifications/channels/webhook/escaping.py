"""Text from outside, made harmless for the markup of each chat product, and cut to its limits.

Nothing that an alert says may change where a link leads, notify anybody, or run into the next line. What a limit
counts differs (bytes, characters, UTF-16 units); here it is always UTF-16 units, which is never fewer than characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import escape

# Stands between a sign and what it would begin, where the product has no way to escape it. It does not print.
BREAK = "\u200b"

_ADDRESS = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
_NUMERIC_HOST = re.compile(r"https?://\[[0-9a-fA-F:.]+\]", re.IGNORECASE)
# What would end a link or begin something else, in the notation that every web server takes for the same address.
_IN_ADDRESS = {ord(sign): f"%{ord(sign):02X}" for sign in "@`|*\\[]()~{}'\""}

Write = Callable[[str], str]


def units(text: str) -> int:
    """Count UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def fit(text: str, limit: int, write: Write) -> str:
    """Write the text so that the result has at most `limit` units. It is cut between signs, never within an escape.

    `write` escapes one address or one sign; what is cut off becomes an ellipsis.
    """
    made: list[str] = []
    left = limit - 1
    pieces = _pieces(text)
    for at, piece in enumerate(pieces):
        written = write(piece)
        size = units(written)
        if size > left:
            # The room for the ellipsis is room for the last piece, if it is the last.
            made.append(written if at == len(pieces) - 1 and size <= left + 1 else "…")
            break
        made.append(written)
        left -= size
    return "".join(made)


def _pieces(text: str) -> list[str]:
    found: list[str] = []
    end = 0
    for address in _ADDRESS.finditer(text):
        found += text[end : address.start()]
        found.append(address[0])
        end = address.end()
    return [*found, *text[end:]]


def as_is(piece: str) -> str:
    """Write it as it is, for places that know no markup."""
    return piece


def _by(table: Mapping[str, str], address: Write) -> Write:
    def write(piece: str) -> str:
        return table.get(piece, piece) if len(piece) == 1 else address(piece)

    return write


def href(address: str) -> str:
    """Write an address so that no markup finds its end in it. Empty for what is no web address."""
    if not _ADDRESS.fullmatch(address):
        return ""
    start = numeric[0] if (numeric := _NUMERIC_HOST.match(address)) else ""
    return start + address[len(start) :].translate(_IN_ADDRESS)


def _slack_address(address: str) -> str:
    return f"<{escape(href(address), quote=False)}>"


def _plain_slack_address(address: str) -> str:
    return escape(href(address), quote=False)


def _broken(sign: str) -> str:
    return sign + BREAK


_SLACK = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": _broken("@")}
_MARKDOWN = {sign: f"\\{sign}" for sign in "\\`*_~|>#+-=[]()!"}

# Slack: &, < and > are its only control signs in text objects, and there is no escape for * _ ~ and `, which change
# the looks and nothing else. Others that take Slack's form read @here in plain text, hence the break.
# https://docs.slack.dev/messaging/formatting-message-text/
slack = _by(_SLACK, _slack_address)
slack_plain = _by(_SLACK, _plain_slack_address)

# Discord: a backslash before each sign of its Markdown. https://discord.com/developers/docs/reference#message-formatting
discord = _by(_MARKDOWN | {"<": "\\<", "@": _broken("@")}, href)

# Mattermost: the same, but it finds @all and Slack's <!here> before it reads the Markdown.
# https://docs.mattermost.com/developers/integrate/webhooks/incoming
mattermost = _by(_MARKDOWN | {"<": _broken("<"), "@": _broken("@")}, href)

# Google Chat: in text, < begins a mention or a link, and there is no escape for it; in cards it is simple HTML.
# https://developers.google.com/workspace/chat/format-messages
google_text = _by({"<": _broken("<")}, href)
google_card = _by({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "<br>"}, lambda a: escape(href(a)))


def all_of(text: str, write: Write) -> str:
    """Write the whole text."""
    return "".join(map(write, _pieces(text)))
