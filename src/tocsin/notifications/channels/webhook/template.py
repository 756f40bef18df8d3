"""Body templates that people write: what they can say beside what every template can (`kit/templates.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from markupsafe import escape

from tocsin.kit.templates import PLAIN_FILTERS, Language, on_text, shown
from tocsin.notifications.channels.webhook import escaping

MOST_OUTPUT = 32_768


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _truncated(value: object, length: object = 200) -> str:
    limit = length if isinstance(length, int) else 200
    return escaping.fit(shown(value), max(limit, 1), escaping.as_is)


_BODIES = Language(
    {
        "json": _json,
        "tojson": _json,
        "slack": on_text(lambda text: escaping.all_of(text, escaping.slack)),
        "markdown": on_text(lambda text: escaping.all_of(text, escaping.mattermost)),
        "xml": on_text(lambda text: str(escape(text))),
        "urlencode": on_text(lambda text: quote(text, safe="")),
        "truncate": _truncated,
        **PLAIN_FILTERS,
    },
    most_output=MOST_OUTPUT,
    called="body",
)
FILTERS = _BODIES.filters


def render(template: str, values: Mapping[str, Any]) -> str:
    """Write the body. Raises `BadTemplate`, and nothing else."""
    return _BODIES.render(template, values)
