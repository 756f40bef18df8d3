"""What needs a person, as it is listed before something is taken from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tocsin.kit.errors import Use


def listed(uses: Sequence[Use]) -> list[tuple[str, str]]:
    """Return the address, if there is one, and the words of each thing that names a person."""
    return [
        (_PLACES.get(use.kind, "").format(use.id), f"{use.name}, {use.as_what}" if use.as_what else use.name)
        for use in uses
    ]


_PLACES: Mapping[str, str] = {
    "escalation_policy": "/policies/{}",
    "incident": "/incidents/{}",
    "alert": "/alerts/{}",
}
