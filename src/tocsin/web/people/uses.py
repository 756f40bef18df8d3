"""What needs a person, as it is listed before something is taken from them."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.kit.errors import Use
from tocsin.kit.ids import kinds


def listed(uses: Sequence[Use]) -> list[tuple[str, str]]:
    """Return the address, if there is one, and the words of each thing that names a person."""
    return [(_place(use), f"{use.name}, {use.as_what}" if use.as_what else use.name) for use in uses]


def _place(use: Use) -> str:
    """Return where its page is; nothing for what has none, or is not to be seen."""
    found = next((kind for kind in kinds() if kind.name == use.kind and kind.folder), None)
    return found.page(use.id) if found is not None and use.id else ""
