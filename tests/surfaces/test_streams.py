"""Who may keep live streams open, for how long, and that everything is given back; on pages and by API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest

from tests.processes import PATIENCE
from tests.surfaces.open_streams import Stream, cookie_of, newest, opened_with
from tests.world import World
from tocsin.api import stream as api_stream
from tocsin.edge import readers
from tocsin.edge import stream as edge_stream
from tocsin.events import live
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import Actor, User
from tocsin.incidents import service as incidents

PATHS = ["/live", "/api/v1/stream"]


async def token_of(world: World, person: User) -> dict[str, str]:
    async with world.db.begin() as tx:
        _, secret = await identity.create_token(tx, world.root, user_id=person.id, name="t", scopes=())
    return {"authorization": f"Bearer {secret}"}


async def comment(world: World, who: User, text: str = "Here we go.") -> None:
    async with world.db.begin() as tx:
        await incidents.comment(tx, Actor.person(who), "INC-1", text)


async def incident(world: World, who: User) -> None:
    async with world.db.begin() as tx:
        await incidents.declare(tx, Actor.person(who), title="Checkout is down")


async def eventually(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 (counters ring no bell)
            await asyncio.sleep(0.01)


def counters(world: World) -> tuple[int, int, int]:
    assert world.app.context is not None
    return world.app.context.readers.number, world.app.context.readers.counted, world.app.live.watchers


async def over(opened: Stream) -> None:
    async with asyncio.timeout(PATIENCE):
        await opened.over.wait()


Change = Callable[[World, User], Awaitable[object]]


async def update(world: World, person: User, **changes: Any) -> None:
    async with world.db.begin() as tx:
        await identity.update_user(tx, world.root, person.id, UserChanges(**changes))


async def end_session(world: World, person: User) -> None:
    async with world.db.begin() as tx:
        for session in await queries.sessions_of(tx, person.id):
            await identity.revoke_session(tx, world.root, session.id)


async def revoke(world: World, person: User) -> None:
    async with world.db.begin() as tx:
        for token in await queries.tokens_of(tx, person.id):
            await identity.revoke_token(tx, world.root, token.id)


BOTH: dict[str, Change] = {
    "deactivated": lambda world, person: update(world, person, is_active=False),
    "another role": lambda world, person: update(world, person, role="stakeholder"),
}
OF_SESSIONS: dict[str, Change] = {
    **BOTH,
    "session ended": end_session,
    "another password": lambda world, person: identity.set_password(world.db, world.root, person.id, "a better one"),
    "time": lambda world, _: world.pass_time(timedelta(days=15)),
}
OF_TOKENS: dict[str, Change] = {**BOTH, "token revoked": revoke}


@pytest.mark.parametrize("change", OF_SESSIONS.values(), ids=OF_SESSIONS)
async def test_a_stream_ends_when_its_session_may_not_read_any_more(world: World, change: Change) -> None:
    """F115: every stream there is, by whatever it came about; a reader whom it does not concern reads on."""
    ada, bob = await world.people("ada", "bob")
    await incident(world, bob)
    theirs = await cookie_of(world, ada)
    async with AsyncExitStack() as stack:
        opened: list[Stream] = []
        for path in PATHS:
            opened.append(await stack.enter_async_context(opened_with(world, path, **theirs)))
            await opened[-1].next()
        if change is OF_SESSIONS["time"]:
            await change(world, ada)
            await asyncio.gather(*(over(one) for one in opened))
            return
        other = await stack.enter_async_context(opened_with(world, "/live", **await cookie_of(world, bob)))
        await other.next()
        await change(world, ada)
        await asyncio.gather(*(over(one) for one in opened))
        await eventually(lambda: counters(world)[0] == 1)
        assert not other.over.is_set()


@pytest.mark.parametrize("change", OF_TOKENS.values(), ids=OF_TOKENS)
async def test_a_stream_ends_when_its_token_may_not_read_any_more(world: World, change: Change) -> None:
    """F115."""
    ada = await world.person("ada")
    async with opened_with(world, "/api/v1/stream", **await token_of(world, ada)) as opened:
        await opened.next()
        await change(world, ada)
        await over(opened)
    assert counters(world) == (0, 0, 0)


async def test_one_question_is_asked_for_all_streams(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """F115: what it costs does not grow with the readers."""
    asked: list[int] = []
    assert world.app.context is not None
    found = world.app.context.readers
    still_good = found._still_good  # pyright: ignore[reportPrivateUsage]

    async def counting(people: Any) -> Any:
        asked.append(len(people))
        return await still_good(people)

    monkeypatch.setattr(found, "_still_good", counting)
    ada = await world.person("ada")
    async with AsyncExitStack() as stack:
        for _ in range(12):
            opened = await stack.enter_async_context(opened_with(world, "/live", **await cookie_of(world, ada)))
            await opened.next()
        before = len(asked)
        await eventually(lambda: len(asked) >= before + 2)
    assert asked[-1] == 12 and counters(world) == (0, 0, 0)


async def test_nobody_reads_on_unasked_when_it_cannot_be_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """F115: every stream ends when nobody can say whether it still may be read; those that come later are asked about.

    A reader whose account was switched off in that moment would else read on for ever.
    """
    assert world.app.context is not None
    ada, bob = await world.people("ada", "bob")
    headers = [await cookie_of(world, ada), await token_of(world, bob)]
    async with AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(opened_with(world, "/api/v1/stream", **credential))
            for credential in headers
        ]
        for one in opened:
            await one.next()

        async def cannot_be_asked(_: Any) -> Any:
            raise OSError("the database is away")

        with monkeypatch.context() as patch:
            patch.setattr(world.app.context.readers, "_still_good", cannot_be_asked)
            await asyncio.gather(*(over(one) for one in opened))
        await eventually(lambda: counters(world) == (0, 0, 0))
        later = await stack.enter_async_context(opened_with(world, "/api/v1/stream", **headers[0]))
        await later.next()
        await update(world, ada, is_active=False)
        await over(later)


async def test_a_stream_that_cannot_say_all_of_what_happened_ends_before_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F114: what a comment says is asked of the store; whoever comes back when it is there again is told of it."""
    ada = await world.person("ada")
    await incident(world, ada)
    place = await newest(world)
    credential = await token_of(world, ada)
    async with opened_with(world, "/api/v1/stream", **credential) as opened:
        await opened.next()
        with monkeypatch.context() as patch:

            async def is_away(*_: Any) -> Any:
                raise OSError("the database is away")

            patch.setattr(api_stream, "retell", is_away)
            await comment(world, ada, "Only the replica.")
            await over(opened)
        assert "Only the replica." not in "".join(opened.parts.get_nowait() for _ in range(opened.parts.qsize()))
    async with opened_with(world, "/api/v1/stream", **credential, **{"last-event-id": place}) as opened:
        while "incident.comment_added" not in (message := await opened.next()):
            pass
        assert "Only the replica." in message


@pytest.mark.parametrize("path", ["/live", "/api/v1/stream"])
async def test_streams_of_one_credential_have_a_limit(world: World, path: str) -> None:
    """F115: 429 with the time to wait; another person's streams are not touched, and a place given back is free."""
    ada, bob = await world.people("ada", "bob")
    mine = await cookie_of(world, ada)
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(opened_with(world, path, **mine)) for _ in range(readers.MOST_OF_ONE)]
        for one in opened:
            await one.next()
        async with opened_with(world, path, **mine) as refused:
            await over(refused)
            assert refused.status == 429 and refused.headers["retry-after"] == "10"
        async with opened_with(world, path, **await cookie_of(world, bob)) as other:
            await other.next()
            assert other.status == 200
        opened[0].gone.set()
        await eventually(lambda: counters(world)[0] == readers.MOST_OF_ONE - 1)
        async with opened_with(world, path, **mine) as again:
            await again.next()
            assert again.status == 200
    assert counters(world) == (0, 0, 0)


async def test_streams_of_one_person_and_of_all_have_a_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """F115: whoever makes many tokens gets no more by that."""
    monkeypatch.setattr(readers, "MOST_OF_PERSON", 3)
    monkeypatch.setattr(readers, "MOST", 4)
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    async with AsyncExitStack() as stack:
        for person in (ada, ada, ada, bob):
            opened = await stack.enter_async_context(
                opened_with(world, "/api/v1/stream", **await token_of(world, person))
            )
            await opened.next()
        for person, status in ((ada, 429), (cyd, 503)):
            async with opened_with(world, "/api/v1/stream", **await token_of(world, person)) as refused:
                await over(refused)
                assert (refused.status, refused.headers["retry-after"]) == (status, "10")
    assert counters(world) == (0, 0, 0)


async def test_many_streams_come_and_go_and_nothing_stays(world: World) -> None:
    """F115: before the first byte, in the middle of one, and after many."""
    ada = await world.person("ada")
    await incident(world, ada)
    place = await newest(world)
    for turn in range(3):
        async with AsyncExitStack() as stack:
            for number in range(60):
                path = PATHS[number % 2]
                headers = {**await cookie_of(world, ada), "last-event-id": place}
                opened = await stack.enter_async_context(opened_with(world, path, **headers))
                if number % 5:
                    await opened.next()
            await comment(world, ada, f"Turn {turn}")
        assert counters(world) == (0, 0, 0)


@pytest.mark.parametrize("path", ["/live", "/api/v1/stream"])
async def test_whoever_does_not_read_is_cut_off(world: World, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """F115: a reader that takes nothing keeps neither its place nor its buffer."""
    monkeypatch.setattr(edge_stream, "TAKEN_WITHIN", 0.05)
    ada = await world.person("ada")
    await incident(world, ada)
    place = await newest(world)
    async with opened_with(world, path, **await cookie_of(world, ada), **{"last-event-id": place}) as opened:
        await opened.next()
        opened.reads.clear()
        await comment(world, ada)
        await eventually(lambda: counters(world) == (0, 0, 0))


async def test_what_waits_for_one_reader_has_an_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """F075: a reader that falls behind is ended and comes back with its last place; it does not grow."""
    monkeypatch.setattr(live, "_BACKLOG", 3)
    ada = await world.person("ada")
    await incident(world, ada)
    place = await newest(world)
    async with opened_with(world, "/api/v1/stream", **await token_of(world, ada), **{"last-event-id": place}) as opened:
        await opened.next()
        await comment(world, ada)
        await opened.next()
        opened.reads.clear()
        for number in range(8):
            await comment(world, ada, f"Line {number}")
        watcher = next(iter(world.app.live._watchers))  # pyright: ignore[reportPrivateUsage]
        await eventually(lambda: watcher.missed)
        assert watcher.queue.qsize() == 3
        opened.reads.set()
        await over(opened)
    assert counters(world) == (0, 0, 0)


async def test_streams_end_when_the_process_stops(world: World) -> None:
    """F115: the web server waits for them."""
    ada = await world.person("ada")
    async with opened_with(world, "/api/v1/stream", **await token_of(world, ada)) as opened:
        await opened.next()
        world.app.say_goodbye()
        await over(opened)
