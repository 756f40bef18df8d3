"""Whom a text names: `@ada`, what stands in an e-mail before the “@”, or `@ada@example.org`, all of it. Pure."""

from __future__ import annotations

import re

# What stands in code is no mention, as in a decorator or an address of a package.
_CODE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]*`", re.DOTALL)
_MENTION = re.compile(r"(?<![\w@./+-])@([A-Za-z0-9][\w.+-]{0,63}(?:@[A-Za-z0-9][\w.-]{0,250})?)")
# A text that names more is a list and calls nobody else.
MOST_MENTIONS = 50


def handles_in(text: str) -> list[str]:
    """Return the handles in a Markdown text in lower case, each once, in the order in which they stand there."""
    found = (match[1].rstrip(".-+").lower() for match in _MENTION.finditer(_CODE.sub(" ", text)))
    return list(dict.fromkeys(found))[:MOST_MENTIONS]
