"""What is read of a connection: one host and one target, one length, requests in their order, one protocol (F121)."""

from __future__ import annotations

import asyncio

import pytest

from tests.surfaces.served_door import GET, HEAD, PATIENCE, POST, Site
from tocsin.edge import protocol

# Where it goes, and what it says twice


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"OPTIONS * HTTP/1.1\r\nHost: tocsin\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: tocsin\r\nHost: tocsin\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: tocsin\r\nhost: evil\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: tocsin/evil\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: [\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
        (b"GET http://evil/ HTTP/1.1\r\nHost: tocsin\r\n\r\n", 421),
        (b"GET http://tocsin@evil/ HTTP/1.1\r\nHost: tocsin\r\n\r\n", 421),
        (b"GET http:///x HTTP/1.1\r\nHost: tocsin\r\n\r\n", 400),
        (b"GET ftp://tocsin/ HTTP/1.1\r\nHost: tocsin\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\nHost: tocsin\r\n\r\n", 400),
        (b"CONNECT tocsin:443 HTTP/1.1\r\nHost: tocsin:443\r\n\r\n", 400),
        (b"CONNECT / HTTP/1.1\r\nHost: tocsin\r\n\r\n", 400),
        (b"GET x HTTP/1.1\r\nHost: tocsin\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: tocsin\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: tocsin\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: tocsin\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: tocsin\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (b"POST / HTTP/1.1\r\nHost: tocsin\r\nContent-Length: +5\r\n\r\nhello", 400),
        (b"POST / HTTP/1.1\r\nHost: tocsin\r\nContent-Length: 5, 5\r\n\r\nhello", 400),
        (b"POST / HTTP/1.1\r\nHost: tocsin\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: tocsin\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: tocsin\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: tocsin\r\n folded: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: tocsin\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: tocsin\r\nx: a\x00b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: tocsin\r\nx\r\n\r\n", 400),
        (b"BREW / HTTP/1.1\r\nHost: tocsin\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
    ],
)  # fmt: skip
async def test_what_is_not_clear_is_refused_and_its_connection_ended(site: Site, head: bytes, status: int) -> None:
    answer = await site.ask(head)
    assert (answer.status, answer.headers["connection"]) == (status, "close")
    assert answer.code
    await asyncio.sleep(0)
    assert site.app.asked == []


@pytest.mark.parametrize("size", [b"-1", b"0x5", b"5 5", b"g", b"ffffffffffffffffff", b""])
async def test_a_chunk_of_a_bad_size_ends_the_connection(site: Site, size: bytes) -> None:
    answer = await site.ask(POST + b"transfer-encoding: chunked\r\n\r\n" + size + b"\r\nhello\r\n0\r\n\r\n")
    assert answer.code == "request.unreadable"
    await site.until(lambda: site.app.given_up == 1)
    assert site.app.asked == []


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: any-name.example:8700\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: tocsin_web_1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: [2001:db8::1]:8700\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \r\n\r\n",
        b"GET http://Tocsin:80/ HTTP/1.1\r\nHost: tocsin:80\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"PURGE / HTTP/1.1\r\nHost: tocsin\r\n\r\n",
    ],
)
async def test_any_one_host_is_right(site: Site, head: bytes) -> None:
    assert (await site.ask(head)).status == 200
    assert [path for _, path, _ in site.app.asked] == ["/"]


# More than one request, and other protocols


async def test_requests_that_are_sent_ahead_are_answered_in_their_order(site: Site) -> None:
    peer = await site.connect()
    await peer.say(GET * 5 + POST + b"content-length: 5\r\n\r\nhello" + GET.replace(b"/ ", b"/last "))
    for _ in range(7):
        assert (await peer.hear()).status == 200
    assert [path for _, path, _ in site.app.asked] == ["/"] * 6 + ["/last"]


async def test_too_many_requests_sent_ahead_end_the_connection(site: Site) -> None:
    peer = await site.connect()
    await peer.say(GET.replace(b"/ ", b"/held "))
    await site.until(lambda: site.app.asked)
    await peer.say(GET * 1000)
    assert await peer.is_left()
    assert site.why == ["request.sent_ahead"]
    site.app.go.set()
    await site.until(lambda: site.app.under_way == 0)
    assert len(site.app.asked) == 1


async def test_a_head_without_an_end_is_cut_off_while_another_request_is_served(site: Site) -> None:
    peer = await site.connect()
    await peer.say(GET.replace(b"/ ", b"/stream "))
    await site.until(lambda: site.app.asked)
    await peer.say(b"GET / HTTP/1.1\r\nx: ")
    for _ in range(100):
        await peer.say(b"a" * 1000)
        await asyncio.sleep(0)
    await site.until(lambda: site.app.given_up == 1)
    assert site.why == ["request.head_too_large"]


async def test_a_stream_ends_with_its_reader_whatever_was_sent_ahead(site: Site) -> None:
    peer = await site.connect()
    await peer.say(GET.replace(b"/ ", b"/stream ") + GET)
    await site.until(lambda: site.app.asked)
    await peer.leave()
    await site.until(lambda: site.app.given_up == 1 and site.app.under_way == 0)


async def test_a_slow_body_that_was_sent_ahead_is_late_from_the_moment_it_is_wanted(site: Site) -> None:
    peer = await site.connect()
    await peer.say(GET.replace(b"/ ", b"/held ") + POST + b"content-length: 10\r\n\r\n")
    await site.until(lambda: site.app.asked)
    site.door.look_around(100)
    site.app.go.set()
    assert (await peer.hear()).status == 200
    await site.until(lambda: site.app.under_way == 1)
    site.door.look_around(protocol.BODY_PATIENCE)
    assert (await peer.hear()).status == 408


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket"])
async def test_another_protocol_is_not_spoken_and_the_request_is_served(site: Site, upgrade: bytes) -> None:
    """A Java client asks for h2c with every first request, also with the one that carries an alert."""
    peer = await site.connect()
    fields = b"connection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nupgrade: " + upgrade
    await peer.say(POST + fields + b"\r\ncontent-length: 5\r\n\r\nhello")
    assert (await peer.hear()).status == 200
    await peer.say(POST + fields + b"\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    assert (await peer.hear()).status == 200
    await peer.say(GET)
    assert (await peer.hear()).status == 200
    assert site.app.asked == [("POST", "/", b"hello")] * 2 + [("GET", "/", b"")]


async def test_a_head_request_has_no_body(site: Site) -> None:
    peer = await site.connect()
    await peer.say(HEAD.replace(b"GET", b"HEAD") + b"\r\n" + GET.replace(b"/ ", b"/second "))
    async with asyncio.timeout(PATIENCE):
        await peer.reader.readuntil(b"\r\n\r\n")
    assert (await peer.hear()).status == 200
