"""What a connection may cost before it is served; real sockets, and time passes by `look_around` only (F121, G04)."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.surfaces.served_door import GET, HEAD, PATIENCE, POST, Peer, Site, serving
from tocsin.edge import protocol

# The head


async def test_an_ordinary_request_is_served_and_its_connection_kept(site: Site) -> None:
    peer = await site.connect()
    for _ in range(3):
        await peer.say(GET)
        assert (await peer.hear()).status == 200
    await peer.say(POST + b"content-length: 300000\r\n\r\n" + b"y" * 300_000)
    assert (await peer.hear()).status == 200
    assert [len(body) for _, _, body in site.app.asked] == [0, 0, 0, 300_000]
    assert site.why == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (b"cookie: " + b"a" * (protocol.MAX_COOKIES + 1) + b"\r\n", "request.head_too_large"),
        (b'cookie: a="' + b"\\" * 100_000 + b'"\r\n', "request.head_too_large"),
        (b"cookie: " + b"a" * 5000 + b"\r\ncookie: " + b"b" * 5000 + b"\r\n", "request.head_too_large"),
        (b"x: 1\r\n" * protocol.MAX_FIELDS, "request.head_too_large"),
        (b"x: " + b"1" * protocol.MAX_HEAD + b"\r\n", "request.head_too_large"),
        ((b"x: " + b"1" * 1000 + b"\r\n") * 40, "request.head_too_large"),
    ],
)
async def test_a_head_that_is_too_large_is_431(site: Site, fields: bytes, code: str) -> None:
    answer = await site.ask(HEAD + fields + b"\r\n")
    assert (answer.status, answer.code) == (431, code)
    assert site.app.asked == []


async def test_what_just_fits_is_served(site: Site) -> None:
    fields = b"cookie: " + b"a" * protocol.MAX_COOKIES + b"\r\n" + b"x: 1\r\n" * (protocol.MAX_FIELDS - 2)
    assert (await site.ask(HEAD + fields + b"\r\n")).status == 200


async def test_a_target_that_is_too_long_is_414(site: Site) -> None:
    answer = await site.ask(b"GET /" + b"a" * protocol.MAX_TARGET + b" HTTP/1.1\r\nHost: tocsin\r\n\r\n")
    assert (answer.status, answer.code) == (414, "request.target_too_long")


@pytest.mark.parametrize(
    ("begin", "endless"),
    [(HEAD, b"x: y\r\n"), (HEAD, b"a" * 1000), (HEAD + b"x: ", b"y" * 100), (b"", b"\r\n"), (b"GET /", b"a" * 100)],
    ids=["fields", "one name", "one value", "empty lines", "target"],
)
async def test_a_head_without_an_end_is_cut_off(site: Site, begin: bytes, endless: bytes) -> None:
    peer = await site.connect()
    await peer.say(begin)
    sent = 0
    for _ in range(2000):
        await peer.say(endless * 100)
        sent += len(endless) * 100
        if peer.reader.at_eof() or peer.writer.is_closing():
            break
        await asyncio.sleep(0)
        if site.why:
            break
    assert site.why and sent < 1_000_000
    assert (await peer.hear()).status in (400, 414, 431)
    await site.until(lambda: peer.reader.at_eof())
    assert site.app.asked == []


async def test_a_head_that_does_not_end_in_time_is_408(site: Site) -> None:
    peer = await site.connect()
    await peer.say(HEAD)
    await site.until(lambda: begun(site))
    for _ in range(9):
        site.door.look_around(1)
        await peer.say(b"x: y\r\n")
    await asyncio.sleep(0)
    site.door.look_around(1)
    answer = await peer.hear()
    assert (answer.status, answer.code) == (408, "request.too_slow")
    assert await peer.is_left()


def begun(site: Site) -> bool:
    return any(connection._part is protocol._Part.HEAD for connection in site.server.server_state.connections)


async def test_a_connection_that_says_nothing_is_closed(site: Site) -> None:
    peer = await site.connect()
    await site.until(lambda: len(site.door) == 1)
    site.door.look_around(protocol.HEAD_WITHIN - 1)
    assert len(site.door) == 1
    site.door.look_around(1)
    assert await peer.is_left()
    await site.until(lambda: len(site.door) == 0)


async def test_a_kept_connection_is_closed_when_nothing_comes(site: Site) -> None:
    peer = await site.connect()
    await peer.say(GET)
    await peer.hear()
    site.door.look_around(protocol.KEEP_ALIVE)
    assert await peer.is_left()


async def test_a_proxys_connections_are_kept_longer() -> None:
    async with serving(proxies="127.0.0.1") as site:
        peer = await site.connect()
        await peer.say(GET)
        await peer.hear()
        site.door.look_around(60)
        await peer.say(GET)
        assert (await peer.hear()).status == 200
        site.door.look_around(protocol.KEEP_ALIVE_OF_PROXY)
        assert await peer.is_left()


# The body


async def test_a_body_that_comes_too_slowly_is_408_and_the_application_hears_that_it_ends(site: Site) -> None:
    peer = await site.connect()
    await peer.say(POST + b"content-length: 1000\r\n\r\n")
    await site.until(lambda: site.app.under_way == 1)
    for _ in range(16):
        await peer.say(b"y")
        await asyncio.sleep(0.01)
        site.door.look_around(1)
    answer = await peer.hear()
    assert (answer.status, answer.code) == (408, "request.too_slow")
    await site.until(lambda: site.app.given_up == 1)


async def test_a_body_at_the_pace_is_waited_for(site: Site) -> None:
    peer = await site.connect()
    pieces = 40
    await peer.say(POST + f"content-length: {pieces * protocol.BODY_PACE}\r\n\r\n".encode())
    for n in range(pieces):
        await peer.say(b"y" * protocol.BODY_PACE)
        await site.until(lambda n=n: received(site) >= (n + 1) * protocol.BODY_PACE)
        site.door.look_around(1)
    assert (await peer.hear()).status == 200


def received(site: Site) -> int:
    return max((connection._body for connection in site.server.server_state.connections), default=0)


async def test_a_body_that_is_not_asked_for_is_not_late(site: Site) -> None:
    """`Expect: 100-continue`: the sender waits for us, and what it then sends is waited for like any other."""
    peer = await site.connect()
    await peer.say(POST.replace(b"/ ", b"/ ") + b"content-length: 10\r\nexpect: 100-continue\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        assert await peer.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    await peer.say(b"y")
    site.door.look_around(protocol.BODY_PATIENCE)
    assert (await peer.hear()).status == 408


async def test_extensions_of_chunks_have_an_end(site: Site) -> None:
    peer = await site.connect()
    await peer.say(POST + b"transfer-encoding: chunked\r\n\r\n1;")
    for _ in range(200):
        await peer.say(b"a" * 1000)
        if site.why:
            break
        await asyncio.sleep(0)
    assert (await peer.hear()).code == "request.unreadable"


async def test_a_body_of_tiny_chunks_is_read(site: Site) -> None:
    answer = await site.ask(POST + b"transfer-encoding: chunked\r\n\r\n" + b"1\r\ny\r\n" * 50_000 + b"0\r\n\r\n")
    assert answer.status == 200
    assert site.app.asked == [("POST", "/", b"y" * 50_000)]


async def test_fields_after_the_body_are_counted_and_never_taken_for_the_heads(site: Site) -> None:
    chunked = POST + b"transfer-encoding: chunked\r\n\r\n1\r\ny\r\n0\r\n"
    assert (await site.ask(chunked + b"authorization: Bearer x\r\n\r\n")).status == 200
    assert all(name != b"authorization" for name, _ in site.app.headers[0])
    peer = await site.connect()
    await peer.say(chunked + b"x: y\r\n" * 200)
    await site.until(lambda: site.why)


async def test_the_rest_of_a_body_that_was_answered_is_not_read_for_ever(site: Site) -> None:
    peer = await site.connect()
    await peer.say(POST.replace(b"/ ", b"/early ") + b"transfer-encoding: chunked\r\n\r\n")
    assert (await peer.hear()).status == 200
    for _ in range(5):
        await peer.say(b"1000\r\n" + b"y" * 4096 + b"\r\n")
        await asyncio.sleep(0.01)
        site.door.look_around(1)
    assert await peer.is_left()


async def test_an_answer_that_nobody_reads_is_given_up(site: Site) -> None:
    peer = await site.connect()
    await peer.say(GET.replace(b"/ ", b"/large "))
    await site.until(lambda: unread(site) > 0)
    before = -1
    while before != unread(site):  # until the kernel takes no more
        before = unread(site)
        await asyncio.sleep(0.05)
    site.door.look_around(1)
    site.door.look_around(protocol.UNREAD_FOR - 1)
    assert len(site.door) == 1
    site.door.look_around(1)
    await site.until(lambda: len(site.door) == 0)
    assert site.why == ["unread"]


def unread(site: Site) -> int:
    return sum(each.transport.get_write_buffer_size() for each in site.server.server_state.connections)


# Places


async def test_connections_that_only_stand_there_keep_nobody_out() -> None:
    async with serving(connections=20, per_address=20) as site:
        for _ in range(30):
            await site.connect()
        partly = [await site.connect() for _ in range(20)]
        for peer in partly:
            await peer.say(POST + b"content-length: 100\r\n\r\nx")
        for _ in range(30):
            assert (await site.ask(POST + b"content-length: 5\r\n\r\nhello")).status == 200
        assert len(site.door) <= 21
    # Whoever had to go in the middle of a request was not heard.
    assert {body for _, _, body in site.app.asked} == {b"hello"}


async def test_whoever_finds_no_place_is_told_when_to_come_again() -> None:
    async with serving(per_address=3) as site:
        peers = [await site.connect() for _ in range(3)]
        for peer in peers:
            await peer.say(GET.replace(b"/ ", b"/held "))
        await site.until(lambda: len(site.app.asked) == 3)
        answer = await site.ask(GET)
        assert (answer.status, answer.code) == (503, "unavailable")
        assert answer.headers["retry-after"] == str(protocol.RETRY_AFTER)
        site.app.go.set()
        assert [(await peer.hear()).status for peer in peers] == [200] * 3
        assert (await site.ask(GET)).status == 200


async def test_a_request_that_came_with_its_connection_is_read_however_many_came_at_the_same_time() -> None:
    async with serving(per_address=5) as site:
        # All of this happens before the server gets to do anything.
        speaks = socket.create_connection(("127.0.0.1", site.port))
        speaks.sendall(GET)
        crowd = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(20)]
        peer = Peer(*await asyncio.open_connection(sock=speaks))
        site.peers.append(peer)
        assert (await peer.hear()).status == 200
        assert "address" in site.why
        for each in crowd:
            each.close()


async def test_a_body_that_nobody_takes_is_not_late(site: Site) -> None:
    """While we hold up the body ourselves, its sender is not to blame."""
    peer = await site.connect()
    await peer.say(POST.replace(b"/ ", b"/later ") + b"content-length: 1000000\r\n\r\n" + b"y" * 100_000)
    await site.until(lambda: any(each.flow.read_paused for each in site.server.server_state.connections))
    site.door.look_around(protocol.BODY_PATIENCE * 2)
    site.app.go.set()
    await peer.say(b"y" * 900_000)
    assert (await peer.hear()).status == 200
