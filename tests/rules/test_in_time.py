"""Bringing forward what would go out only after its step has passed."""

from datetime import timedelta
from uuid import UUID

import pytest

from tocsin.notifications.model import Method, Planned, in_time


def planned(*delays: int) -> list[Planned]:
    method = Method(UUID(int=1), UUID(int=2), "email", "ada@example.org", "Mail")
    return [Planned(method, timedelta(minutes=delay)) for delay in delays]


@pytest.mark.parametrize(
    ("delays", "wait", "result"),
    [
        ((0, 10), 5, (0, 10)),
        ((4, 10), 5, (4, 10)),
        # The message and the end of the wait are due at one moment, and either may come first.
        ((5,), 5, (0,)),
        ((10, 12, 30), 5, (0, 2, 20)),
        ((60,), None, (60,)),
        ((), 5, ()),
    ],
)
def test_the_first_message_goes_out_before_others_are_asked(
    delays: tuple[int, ...], wait: int | None, result: tuple[int, ...]
) -> None:
    """F053: nobody's first message is later than the wait of their step; what comes after keeps its distance."""
    limit = None if wait is None else timedelta(minutes=wait)
    assert in_time(planned(*delays), limit) == planned(*result)
