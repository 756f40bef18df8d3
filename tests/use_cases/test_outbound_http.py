"""The guarded HTTP client against real servers on loopback (F059–F061)."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from email.utils import format_datetime
from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.processes import reserved_port
from tocsin.kit import clock
from tocsin.kit.errors import Refused, Transient
from tocsin.net.http import MAX_REPLY, OutboundHttp

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1"))
Handler = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Reads whole requests and hands each to the handler; remembers all of them."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.tasks: list[asyncio.Task[None]] = []

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.tasks.append(asyncio.create_task(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                size = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        size = int(line.split(b":")[1])
                request = head + await reader.readexactly(size)
                self.requests.append(request)
                await self.handler(request, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def say(text: str, body: bytes = b"", *, close: bool = False) -> Handler:
    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(text.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        await writer.drain()
        if close:
            writer.close()

    return answer


OK = say("HTTP/1.1 200 OK\nContent-Length: 2", b"ok")


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(handler)
    listener = await asyncio.start_server(server.accept, "127.0.0.1", 0, ssl=tls, backlog=1000)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await asyncio.gather(*server.tasks)


@asynccontextmanager
async def client(**options: object) -> AsyncIterator[OutboundHttp]:
    http = OutboundHttp(options.pop("allow", LOOPBACK), **options)  # type: ignore[arg-type]
    try:
        yield http
    finally:
        await http.aclose()


class Names:
    """A resolver with a memory, which gives the next answer each time."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


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
    async def nobody(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    async with client(resolve=nobody) as http:
        with pytest.raises(Transient):
            await http.get("http://nowhere.example.org/s3cret")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304])
async def test_redirects_are_refused(status: int) -> None:
    answer = say(f"HTTP/1.1 {status} Moved\nLocation: http://169.254.169.254/\nContent-Length: 0")
    async with serving(answer) as server, client() as http:
        with pytest.raises(Refused, match=f"answered {status}"):
            await http.post(f"http://127.0.0.1:{server.port}/", body=b"", headers={})

    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (400, Refused),
        (401, Refused),
        (403, Refused),
        (404, Refused),
        (410, Refused),
        (422, Refused),
        (408, Transient),
        (425, Transient),
        (429, Transient),
        (500, Transient),
        (502, Transient),
        (503, Transient),
        (504, Transient),
        (599, Transient),
    ],
)
async def test_the_status_decides_whether_to_try_again(status: int, failure: type[Exception]) -> None:
    async with serving(say(f"HTTP/1.1 {status} No\nContent-Length: 0")) as server, client() as http:
        url = f"http://127.0.0.1:{server.port}/s3cret?token=t0ken"
        with pytest.raises(failure) as caught:
            await http.post(url, body=b"", headers={})

        assert str(caught.value).startswith(f"http://127.0.0.1:{server.port} answered {status}.")
        assert (await http.request("POST", url)).status == status


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("-5", None),
        ("soon", None),
        ("1e9", None),
        ("999999999", 86400.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 99 Oct 2015", None),
        ("", None),
    ],
)
async def test_retry_after_is_read_as_seconds(value: str, seconds: float | None) -> None:
    answer = say(f"HTTP/1.1 429 Slow down\nRetry-After: {value}\nContent-Length: 0")
    async with serving(answer) as server, client() as http:
        with pytest.raises(Transient) as caught:
            await http.post(f"http://127.0.0.1:{server.port}/", body=b"", headers={})

    assert caught.value.retry_after == seconds


async def test_retry_after_may_be_a_date() -> None:
    at = clock.utc_now().replace(microsecond=0) + timedelta(minutes=90)
    answer = say(f"HTTP/1.1 503 Busy\nRetry-After: {format_datetime(at, usegmt=True)}\nContent-Length: 0")
    async with serving(answer) as server, client() as http:
        before = clock.utc_now()
        with pytest.raises(Transient) as caught:
            await http.get(f"http://127.0.0.1:{server.port}/")
        after = clock.utc_now()

    assert caught.value.retry_after is not None
    assert (at - after).total_seconds() <= caught.value.retry_after <= (at - before).total_seconds()


async def test_the_deadline_covers_an_answer_that_only_drips() -> None:
    async def drip(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with serving(drip) as server, client() as http:
        with pytest.raises(Transient, match=r"did not answer within 0\.3 s"):
            await http.post(f"http://127.0.0.1:{server.port}/s", body=b"", headers={}, deadline_seconds=0.3)


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


async def test_a_kept_connection_that_died_is_replaced_when_repeating_is_harmless() -> None:
    async def once(_: bytes, writer: asyncio.StreamWriter) -> None:
        # Says that it keeps the connection and drops it at the next request without a word.
        if server.connections * 2 == len(server.requests):
            writer.close()
        else:
            await OK(b"", writer)

    async with serving(once) as server, client() as http:
        url = f"http://127.0.0.1:{server.port}/"
        keyed = {"Idempotency-Key": "dlv_1"}
        assert (await http.post(url, body=b"1", headers=keyed)).status == 200
        assert (await http.post(url, body=b"2", headers=keyed)).status == 200
        assert server.connections == 2
        with pytest.raises(Transient, match="closed the connection"):
            await http.post(url, body=b"3", headers={})


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
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    command += " -subj /CN=hooks.example.org -addext subjectAltName=DNS:hooks.example.org"
    command += f" -keyout {key} -out {certificate}"
    subprocess.run(command.split(), check=True, capture_output=True)
    return certificate, key


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
