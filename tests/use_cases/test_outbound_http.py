"""The guarded HTTP client against real servers on loopback (F059–F061)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.processes import reserved_port
from tests.use_cases.receivers import OK, Handler, Names, client, make_certificate, say, serving
from tocsin.kit.errors import Refused, Transient
from tocsin.net.connection import MAX_REPLY
from tocsin.net.resolver import Resolver


async def test_a_post_carries_body_and_headers_and_keeps_its_connection() -> None:
    async with serving(OK) as server, client() as http:
        for n in range(3):
            reply = await http.post(f"http://127.0.0.1:{server.port}/hook?n={n}", body=b"{}", headers={"X-Case": "yes"})
            assert (reply.status, reply.body, reply.headers["content-length"]) == (200, b"ok", "2")

    assert server.connections == 1
    assert server.requests[2].startswith(b"POST /hook?n=2 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nX-Case: yes\r\n" in server.requests[0]
    assert b"\r\nUser-Agent: Tocsin/" in server.requests[0]
    assert server.requests[0].endswith(b"\r\n\r\n{}")


async def test_loopback_is_refused_without_an_allow_list_and_nothing_is_sent() -> None:
    async with serving(OK) as server, client(allow=()) as http:
        for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"):
            with pytest.raises(Refused, match="private or reserved network"):
                await http.post(f"http://{host}:{server.port}/s3cret", body=b"", headers={})

    assert server.connections == 0


async def test_a_proxy_in_the_environment_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with serving(OK) as server, client() as http:
        assert (await http.get(f"http://127.0.0.1:{server.port}/")).status == 200


async def test_a_name_is_looked_up_once_and_the_checked_address_is_called() -> None:
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    async with serving(OK) as server, client(resolve=names) as http:
        url = f"http://hooks.example.org:{server.port}/"
        assert (await http.post(url, body=b"", headers={})).status == 200
        assert names.asked == ["hooks.example.org"]
        assert f"Host: hooks.example.org:{server.port}\r\n".encode() in server.requests[0]


async def test_a_name_that_turns_to_a_forbidden_address_is_refused_at_the_next_connection() -> None:
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    close = say("HTTP/1.1 200 OK\nContent-Length: 0\nConnection: close", close=True)
    async with serving(close) as server, client(resolve=names) as http:
        url = f"http://hooks.example.org:{server.port}/"
        await http.post(url, body=b"", headers={})
        with pytest.raises(Refused, match="metadata"):
            await http.post(url, body=b"", headers={})


async def test_one_forbidden_address_among_good_ones_is_enough_to_refuse() -> None:
    async with serving(OK) as server, client(resolve=Names(["127.0.0.1", "10.0.0.1"])) as http:
        with pytest.raises(Refused):
            await http.get(f"http://hooks.example.org:{server.port}/")

    assert server.connections == 0


async def test_the_second_address_is_tried_when_the_first_is_dead() -> None:
    async with serving(OK) as server, client(resolve=Names(["127.0.0.2", "127.0.0.1"])) as http:
        assert (await http.get(f"http://hooks.example.org:{server.port}/")).status == 200


async def test_an_unknown_name_is_worth_another_try() -> None:
    def nobody(host: str) -> Sequence[str]:
        raise OSError("no such name")

    async with client(resolve=Resolver(nobody)) as http:
        with pytest.raises(Transient, match=r"nowhere\.example\.org could not be found"):
            await http.get("http://nowhere.example.org/s3cret")


async def test_the_deadline_covers_an_answer_that_only_drips() -> None:
    async def drip(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with serving(drip) as server, client() as http:
        with pytest.raises(Transient, match=r"did not answer within 3 s"):
            await http.post(f"http://127.0.0.1:{server.port}/s", body=b"", headers={}, deadline_seconds=3)


async def test_a_big_answer_is_cut_at_the_limit() -> None:
    async def flood(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _n in range(2000):
            writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            await writer.drain()

    async with serving(flood) as server, client() as http:
        reply = await http.get(f"http://127.0.0.1:{server.port}/")

    assert reply.body == b"x" * MAX_REPLY


async def test_endless_headers_end_the_call() -> None:
    async def headers(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(b"X-Filler: " + b"x" * 1000 + b"\r\n")
            await writer.drain()

    async with serving(headers) as server, client() as http:
        with pytest.raises(Transient, match="endless headers"):
            await http.get(f"http://127.0.0.1:{server.port}/")


async def test_interim_answers_are_read_over() -> None:
    early = say("HTTP/1.1 103 Early Hints\nLink: </a>\n\nHTTP/1.1 200 OK\nContent-Length: 2", b"ok")
    async with serving(early) as server, client() as http:
        reply = await http.get(f"http://127.0.0.1:{server.port}/")

    assert (reply.status, reply.body) == (200, b"ok")
    assert "link" not in reply.headers


async def test_chunks_and_bodies_that_end_with_the_connection_are_read() -> None:
    chunked = say("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b"2\r\nok\r\n1\r\n!\r\n0\r\n\r\n")
    async with serving(chunked) as server, client() as http:
        assert (await http.get(f"http://127.0.0.1:{server.port}/")).body == b"ok!"
        assert (await http.get(f"http://127.0.0.1:{server.port}/")).body == b"ok!"
    async with serving(say("HTTP/1.0 200 OK", b"old", close=True)) as server, client() as http:
        assert (await http.get(f"http://127.0.0.1:{server.port}/")).body == b"old"


@pytest.mark.parametrize(
    "answer",
    [
        say("SSH-2.0-OpenSSH_9.6"),
        say("HTTP/1.1 200 OK\nContent-Length: 10", b"short", close=True),
        say("HTTP/1.1 101 Switching\nUpgrade: x\nConnection: upgrade"),
        say("HTTP/1.1 200 OK\nContent-Length: 1\nContent-Length: 2", b"ab"),
    ],
)
async def test_a_broken_answer_is_a_passing_failure(answer: Handler) -> None:
    async with serving(answer) as server, client() as http:
        with pytest.raises(Transient):
            await http.post(f"http://127.0.0.1:{server.port}/", body=b"", headers={})


async def test_a_second_answer_nobody_asked_for_is_not_taken_for_the_next_one() -> None:
    twice = say("HTTP/1.1 200 OK\nContent-Length: 2", b"okHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    async with serving(twice) as server, client() as http:
        for _ in range(3):
            assert (await http.get(f"http://127.0.0.1:{server.port}/")).body == b"ok"

    assert server.connections == 3


async def test_a_closed_port_is_a_passing_failure_that_names_only_the_host() -> None:
    with reserved_port() as port:
        async with client() as http:
            with pytest.raises(Transient) as caught:
                await http.post(f"http://127.0.0.1:{port}/s3cret?t=t0ken", body=b"", headers={})

    assert str(caught.value) == f"http://127.0.0.1:{port} could not be reached."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-A", "a\r\nX-B: c"),
        ("X-A\r\nX-B", "c"),
        ("X A", "c"),
        ("", "c"),
        ("X-A", "a\x00"),
        ("X-A", "☃"),
        ("Host", "evil"),
        ("content-length", "0"),
        ("Transfer-Encoding", "chunked"),
    ],
)
async def test_a_header_that_would_change_the_request_is_refused(name: str, value: str) -> None:
    async with serving(OK) as server, client() as http:
        with pytest.raises(Refused, match="cannot be sent"):
            await http.post(f"http://127.0.0.1:{server.port}/", body=b"", headers={name: value})

    assert server.connections == 0


async def test_closing_ends_calls_under_way_and_refuses_new_ones() -> None:
    async def never(_: bytes, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await asyncio.sleep(0)

    arrived = asyncio.Event()
    async with serving(never) as server, client() as http:
        call = asyncio.create_task(http.get(f"http://127.0.0.1:{server.port}/"))
        await arrived.wait()
        await http.aclose()
        with pytest.raises(Transient):
            await call
        with pytest.raises(Transient, match="stopping"):
            await http.get(f"http://127.0.0.1:{server.port}/")


async def test_many_calls_at_once_each_get_their_own_answer() -> None:
    async def echo(request: bytes, writer: asyncio.StreamWriter) -> None:
        body = request.partition(b"\r\n\r\n")[2]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async with serving(echo) as server, client() as http:
        url = f"http://127.0.0.1:{server.port}/"
        calls = [http.post(url, body=str(n).encode(), headers={}) for n in range(200)]
        replies = await asyncio.gather(*calls)

    assert [reply.body for reply in replies] == [str(n).encode() for n in range(200)]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"), "hooks.example.org")


async def test_the_certificate_must_be_valid_for_the_name(certificate: tuple[Path, Path]) -> None:
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(*certificate)
    seen: list[str | None] = []
    ours.sni_callback = lambda _socket, name, _context: seen.append(name)
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    names = Names(["127.0.0.1"])

    async with serving(OK, ours) as server, client(resolve=names, tls=trusting) as http:
        assert (await http.get(f"https://hooks.example.org:{server.port}/")).status == 200
        assert seen == ["hooks.example.org"]
        for host in ("other.example.org", "127.0.0.1"):
            with pytest.raises(Refused, match="no valid certificate"):
                await http.get(f"https://{host}:{server.port}/")

    async with serving(OK, ours) as server, client(resolve=names) as http:
        with pytest.raises(Refused, match="no valid certificate"):
            await http.get(f"https://hooks.example.org:{server.port}/")
        assert server.requests == []


async def test_plain_http_on_a_tls_port_is_a_passing_failure() -> None:
    async with serving(OK) as server, client() as http:
        with pytest.raises(Transient):
            await http.get(f"https://127.0.0.1:{server.port}/", deadline_seconds=1)
