"""The order of the live stream, and where it ends."""

from collections.abc import AsyncIterator

import pytest

from tocsin.db.engine import Database
from tocsin.events.live import Live

# Ids of transactions with one to three digits; the real ones are given out in this order.
TRANSACTIONS = [9, 10, 99, 100, 101]

_INSERT = """
INSERT INTO event (id, name, at, actor_kind, actor_name, data, transaction)
SELECT gen_random_uuid(), 'configuration.created', tocsin_now(), 'system', 'test', '{}', xid::text::xid8
FROM unnest($1::int[]) AS xid
"""


@pytest.fixture
async def live(db: Database) -> AsyncIterator[Live]:
    # Written in another order, because transactions take their places before they commit.
    await db.pool.execute(_INSERT, TRANSACTIONS[::-1])
    yield Live(db)


async def test_the_stream_is_in_the_order_of_transactions_however_many_digits_they_have(live: Live) -> None:
    """F075, G04: the order is that of numbers, not that of their spelling."""
    assert [seen.place[0] for seen in await live.since((0, 0))] == TRANSACTIONS


async def test_the_stream_ends_with_the_newest_transaction(live: Live) -> None:
    """F075: whoever begins to listen is told what happens from now on, and nothing of the past."""
    place = await live.end()
    assert place[0] == TRANSACTIONS[-1]
    assert await live.since(place) == []


async def test_reading_on_in_small_portions_skips_and_repeats_nothing(live: Live) -> None:
    """F075: a portion may end between 9 and 10."""
    place, seen = (0, 0), list[int]()
    while batch := await live.since(place, limit=1):
        place = batch[-1].place
        seen += [event.place[0] for event in batch]
    assert seen == TRANSACTIONS
