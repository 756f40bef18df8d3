"""What became of several things that were to be changed at once."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tocsin.kit.errors import Problem


class Failure(msgspec.Struct):
    """One of them that stayed as it was, and why. `id` is as the request said it."""

    id: str
    code: str
    detail: str


def failures(ids: Sequence[str], became: Sequence[object | Problem]) -> list[Failure]:
    """Return those that it could not be done to, in the order of the request."""
    return [
        Failure(id, each.code, each.message) for id, each in zip(ids, became, strict=True) if isinstance(each, Problem)
    ]
