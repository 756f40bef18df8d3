"""What becomes of calls that fail: passing or refused, for how long, and whether they may have arrived (F060, G04)."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests.processes import PATIENCE, reserved_port
from tests.use_cases.receivers import (
    OK,
    Handler,
    Names,
    client,
    make_certificate,
    make_expired_certificate,
    raw_server,
    say,
    serving,
)
from tocsin.kit import clock
from tocsin.kit.errors import OutsideFailure, Patience, Refused, Transient
from tocsin.net.http import OutboundHttp

PAGE = {"Idempotency-Key": "dlv_1"}


async def post(http: OutboundHttp, url: str, *, seconds: float = 15.0) -> OutsideFailure:
    """Post a page that must fail, and return the failure."""
    with pytest.raises(OutsideFailure) as caught:
        await http.post(url, body=b"{}", headers=PAGE, deadline_seconds=seconds)
    return caught.value


@pytest.mark.parametrize("retry_after", [None, "90"])
@pytest.mark.parametrize(
    ("status", "patience", "may_have_arrived"),
    [
        *((status, Patience.LONG, False) for status in (300, 301, 302, 303, 304, 307, 308)),
        *((status, Patience.LONG, False) for status in (400, 401, 402, 403, 404, 405, 409, 413, 415, 422, 451, 499)),
        (410, Patience.SHORT, False),
        (425, None, False),
        (429, None, False),
        # A gateway says this, and 502 to 504, after it has passed the request on.
        (408, None, True),
        *((status, None, True) for status in (500, 501, 502, 503, 504, 507, 520, 524, 599)),
    ],
)
async def test_the_status_decides(
    status: int, patience: Patience | None, may_have_arrived: bool, retry_after: str | None
) -> None:
    """F060: what is refused, for how long that is doubted, and that Retry-After is read wherever it stands."""
    more = f"\nRetry-After: {retry_after}" if retry_after else ""
    answer = say(f"HTTP/1.1 {status} No\nLocation: http://169.254.169.254/\nContent-Length: 0{more}")
    async with serving(answer) as server, client() as http:
        url = f"http://127.0.0.1:{server.port}/s3cret?token=t0ken"
        failure = await post(http, url)
        assert len(server.requests) == 1
        assert (await http.request("POST", url)).status == status

    assert (failure.patience if isinstance(failure, Refused) else None) == patience
    assert failure.may_have_arrived is may_have_arrived
    assert failure.answered
    assert failure.retry_after == (90.0 if retry_after else None)
    assert str(failure).startswith(f"http://127.0.0.1:{server.port} answered {status}.")
    assert "s3cret" not in str(failure) and "t0ken" not in str(failure)


@pytest.mark.parametrize(
    "url",
    ["", "hooks.example.org", "ftp://hooks.example.org/", "http://a b/", "http://u:p@hooks.example.org/", "http://1/"],
)
async def test_what_is_impossible_by_its_spelling_is_never_doubted(url: str) -> None:
    async with client() as http:
        failure = await post(http, url)
        assert isinstance(failure, Refused) and failure.patience is Patience.NONE
        with pytest.raises(Refused) as caught:
            await http.post("http://hooks.example.org/", body=b"", headers={"X-A": "a\r\nX-B: b"})

    assert caught.value.patience is Patience.NONE
    assert not failure.may_have_arrived


async def test_a_forbidden_address_is_never_doubted_and_a_forbidden_name_for_long() -> None:
    """What a name says may be a slip of a name server; what is written in the address stays."""
    async with client(allow=(), resolve=Names(["10.0.0.1"])) as http:
        written = await post(http, "http://10.0.0.1/")
        named = await post(http, "http://hooks.example.org/")

    assert isinstance(written, Refused) and written.patience is Patience.NONE
    assert isinstance(named, Refused) and named.patience is Patience.LONG


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("-5", None),
        ("soon", None),
        ("1e9", None),
        ("1.", None),
        ("999999999", 86400.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 99 Oct 2015", None),
        ("", None),
    ],
)
async def test_retry_after_is_read_as_seconds(value: str, seconds: float | None) -> None:
    answer = say(f"HTTP/1.1 429 Slow down\nRetry-After: {value}\nContent-Length: 0")
    async with serving(answer) as server, client() as http:
        assert (await post(http, f"http://127.0.0.1:{server.port}/")).retry_after == seconds


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


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            404,
            "answered 404: Cannot POST … with … and …",
        ),
        (
            503,
            "answered 503: Cannot POST … with … and …",
        ),
        (302, "answered 302: Cannot POST … with … and … Redirects are not followed; enter the final address."),
    ],
)
async def test_a_failure_has_the_receivers_words_without_ours(status: int, said: str) -> None:
    """F060: neither address, nor body, nor a header that may be a credential."""
    body, key = b'{"acknowledge_url": "https://t.example.org/p/t0ken-t0ken"}', "Bearer abcdefghijklmnop"
    words = b"Cannot POST /hook/s3cret?token=t0ken with\n" + body + b" and " + key.encode()
    answer = say(f"HTTP/1.1 {status} No\nContent-Type: text/plain\nContent-Length: {len(words)}", words)
    async with serving(answer) as server, client() as http:
        url = f"http://127.0.0.1:{server.port}"
        with pytest.raises(OutsideFailure) as caught:
            await http.post(f"{url}/hook/s3cret?token=t0ken", body=body, headers={"Authorization": key})

    assert str(caught.value) == f"{url} {said}"


async def _never(_: bytes, writer: asyncio.StreamWriter) -> None:
    await writer.drain()


async def _reset(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _endless(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000)
    await writer.drain()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (_never, "did not answer within 2 s"),
        (say("HTTP/1.1 200 OK\nContent-Length: 10", b"short"), "did not answer within 2 s"),
        (_reset, "closed the connection before its answer was complete"),
        (say("HTTP/1.1 200 OK\nContent-Length: 10", b"short", close=True), "closed the connection before"),
        (say("HTTP/1.1 200 OK\nX: y", close=True), None),
        (say("SSH-2.0-OpenSSH_9.6"), "did not answer in HTTP"),
        (_endless, "answered with endless headers"),
    ],
)
async def test_what_was_written_may_have_arrived(answer: Handler, said: str | None) -> None:
    """G04: the next attempt is marked, because the receiver may have acted before it failed."""
    async with serving(answer) as server, client() as http:
        url = f"http://127.0.0.1:{server.port}/"
        if said is None:
            # A body without a length ends with the connection: this is a whole answer.
            assert (await http.post(url, body=b"{}", headers=PAGE)).status == 200
            return
        failure = await post(http, url, seconds=2 if "within" in said else 15)

    assert isinstance(failure, Transient) and failure.may_have_arrived and not failure.answered
    assert said in str(failure)
    assert len(server.requests) == 1


async def test_what_was_never_written_has_not_arrived() -> None:
    """G04: nobody, no name, no connection, no TLS: the next attempt is no repeat and must not say so."""

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(silence) as port, client(resolve=Names([]), connect_seconds=0.2) as http:
        failures = [
            await post(http, f"https://127.0.0.1:{port}/"),
            await post(http, f"https://127.0.0.1:{port}/", seconds=0.1),
            await post(http, "http://hooks.example.org/"),
        ]
        with reserved_port() as closed:
            failures.append(await post(http, f"http://127.0.0.1:{closed}/"))
    async with serving(OK) as server, client() as http:
        failures.append(await post(http, f"https://127.0.0.1:{server.port}/", seconds=1))
        await http.aclose()
        failures.append(await post(http, f"http://127.0.0.1:{server.port}/"))

    assert [(type(failure), failure.may_have_arrived) for failure in failures] == [(Transient, False)] * 6
    assert "could not be reached within 0.1 s" in str(failures[1])


async def test_a_call_that_is_broken_off_by_a_stop_may_have_arrived() -> None:
    arrived = asyncio.Event()

    async def never(_: bytes, writer: asyncio.StreamWriter) -> None:
        arrived.set()

    async with serving(never) as server, client() as http:
        call = asyncio.create_task(post(http, f"http://127.0.0.1:{server.port}/"))
        await arrived.wait()
        await http.aclose()
        assert (await call).may_have_arrived


async def test_a_page_is_never_written_twice_within_one_call() -> None:
    """G04: a kept connection that breaks may have carried it, whatever key it bears. A GET is asked again."""

    async def every_other(_: bytes, writer: asyncio.StreamWriter) -> None:
        # Says that it keeps the connection and drops it at the next request without a word.
        if len(server.requests) in (2, 4):
            writer.close()
        else:
            await OK(b"", writer)

    async with serving(every_other) as server, client() as http:
        url = f"http://127.0.0.1:{server.port}/"
        assert (await http.post(url, body=b"1", headers=PAGE)).status == 200
        failure = await post(http, url)
        assert failure.may_have_arrived and len(server.requests) == 2
        assert (await http.get(url)).status == 200
        assert (await http.get(url)).status == 200
        assert [request[:4] for request in server.requests] == [b"POST", b"POST", b"GET ", b"GET ", b"GET "]


def _serve_once_each(listener: socket.socket, gone: threading.Event) -> None:
    """Answer one request on each of two connections, and close the first without a word."""
    for _ in range(2):
        connection, _address = listener.accept()
        with connection:
            while b"{}" not in connection.recv(65536):
                pass
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        gone.set()


async def test_a_farewell_that_lies_in_the_socket_is_read_before_the_next_page_is_written() -> None:
    """G04: a server that closed the kept connection costs no attempt and makes no page look like a repeat."""
    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=_serve_once_each, args=(listener, gone), daemon=True)
        server.start()
        async with client() as http:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            assert (await http.post(url, body=b"{}", headers=PAGE)).status == 200
            # The event loop stands still here, so it cannot have noticed the end by itself.
            assert gone.wait(10)
            assert (await http.post(url, body=b"{}", headers=PAGE)).status == 200
        server.join(10)


async def test_after_one_dead_connection_the_other_kept_ones_are_not_trusted() -> None:
    """A server that went away without a word took all of its connections with it; one attempt finds that out."""
    silent = False
    both = asyncio.Barrier(2)

    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        if not silent:
            await asyncio.wait_for(both.wait(), PATIENCE)
            await OK(b"", writer)

    async with serving(answer) as server, client() as http:
        url = f"http://127.0.0.1:{server.port}/"
        await asyncio.gather(*(http.post(url, body=b"{}", headers=PAGE) for _ in range(2)))
        assert server.connections == 2
        silent = True
        assert "did not answer" in str(await post(http, url, seconds=2))
        assert server.connections == 2
        await post(http, url, seconds=2)
        assert server.connections == 3


@pytest.mark.parametrize("make", [make_certificate, make_expired_certificate])
async def test_a_certificate_that_is_not_good_is_doubted_for_long(make: object, tmp_path: Path) -> None:
    certificate, key = make(tmp_path, "hooks.example.org")  # type: ignore[operator]
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))
    host = "other.example.org" if make is make_certificate else "hooks.example.org"
    async with serving(OK, ours) as server, client(resolve=Names(["127.0.0.1"]), tls=trusting) as http:
        failure = await post(http, f"https://{host}:{server.port}/")

    assert isinstance(failure, Refused) and failure.patience is Patience.LONG
    why = "Hostname mismatch" if make is make_certificate else "certificate has expired"
    assert f"has no valid certificate for its name: {why}" in str(failure)
    assert not failure.may_have_arrived and server.requests == []


async def test_a_server_that_wants_a_certificate_of_ours_is_a_passing_failure(tmp_path: Path) -> None:
    """With TLS 1.3 it says so only after the request was written."""
    certificate, key = make_certificate(tmp_path, "hooks.example.org")
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificate))
    ours.load_cert_chain(certificate, key)
    ours.verify_mode = ssl.CERT_REQUIRED
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with serving(OK, ours) as server, client(resolve=Names(["127.0.0.1"]), tls=trusting) as http:
        failure = await post(http, f"https://hooks.example.org:{server.port}/")

    assert isinstance(failure, Transient)
    assert "connection before its answer was complete" in str(failure)
    assert server.requests == []
