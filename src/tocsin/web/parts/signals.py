"""The body of a signal as people read it."""

from __future__ import annotations

from tocsin.alerts.model import RawSignal
from tocsin.kit.text import revealed, truncate

_BODY_SHOWN = 20_000


def body_text(signal: RawSignal) -> str:
    """Return the beginning of a signal's body as text, with what is not seen in it written out."""
    return truncate(revealed(signal.body[: _BODY_SHOWN * 4].decode("utf-8", "replace")), _BODY_SHOWN)
