"""What becomes of mail that fails: passing or refused, and whether the server may have it (F060, G04)."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.use_cases.post_offices import letter, mailer_to, post_office
from tests.use_cases.receivers import Names, make_certificate, make_expired_certificate, raw_server
from tocsin.kit.errors import OutsideFailure, Patience, Refused, Transient
from tocsin.net.resolver import Resolver
from tocsin.net.smtp import Mailer, Security

Act = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def failure_of(mailer: Mailer, to: str = "ada@example.net") -> OutsideFailure:
    with pytest.raises(OutsideFailure) as caught:
        await mailer.send(letter(to=to))
    return caught.value


def script(heard: list[str] | None = None, **answers: str | None) -> Act:
    """Speak as a mail server that answers as given; None drops the connection, and an empty text says nothing."""
    usual = {
        "greeting": "220 mx.example.org",
        "ehlo": "250 mx.example.org",
        "mail": "250 OK",
        "rcpt": "250 OK",
        "data": "354 Go on",
        "end": "250 queued",
        "rset": "250 OK",
        "quit": "221 Bye",
    }
    said = usual | answers

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        word = "greeting"
        while True:
            answer = said[word]
            if answer is None:
                writer.transport.abort()
                return
            writer.write(answer.encode() + b"\r\n" if answer else b"")
            if word == "data" and answer.startswith("354"):
                await reader.readuntil(b"\r\n.\r\n")
                word = "end"
                continue
            word = (await reader.readuntil(b"\r\n")).split()[0].decode().lower()
            if heard is not None:
                heard.append(word)

    return act


@pytest.mark.parametrize(
    ("where", "answer", "patience", "may_have_arrived"),
    [
        # Refused or put off: an answer says that the server does not have it.
        ("greeting", "421 Try later", None, False),
        ("greeting", "554 No service", Patience.LONG, False),
        ("ehlo", "421 Try later", None, False),
        ("mail", "451 4.3.0 Try later", None, False),
        ("mail", "550 5.7.1 No", Patience.LONG, False),
        ("rcpt", "450 4.2.1 Greylisted", None, False),
        ("rcpt", "550 5.1.1 No such user", Patience.LONG, False),
        ("rcpt", "553 5.1.3 Bad address", Patience.LONG, False),
        ("data", "451 Try later", None, False),
        ("data", "554 5.5.1 No", Patience.LONG, False),
        ("end", "421 4.3.2 Going down", None, False),
        ("end", "452 4.2.2 Full", None, False),
        ("end", "554 5.7.1 Spam", Patience.LONG, False),
        # Broken off before the message was written.
        *((where, None, None, False) for where in ("greeting", "ehlo", "mail", "rcpt", "data")),
        *((where, "nonsense", None, False) for where in ("greeting", "ehlo", "mail", "rcpt", "data")),
        # Written, and then no answer that says what became of it.
        ("end", None, None, True),
        ("end", "nonsense", None, True),
        ("end", "354 Go on", None, True),
    ],
)
async def test_the_answer_and_its_place_decide(
    where: str, answer: str | None, patience: Patience | None, may_have_arrived: bool
) -> None:
    """F060, G04: what is refused, and that only a message which was written whole is marked when it is repeated."""
    async with raw_server(script(**{where: answer})) as port, mailer_to(port) as mailer:
        failure = await failure_of(mailer)

    assert (failure.patience if isinstance(failure, Refused) else None) == patience
    assert failure.may_have_arrived is may_have_arrived
    assert failure.answered == (answer is not None and answer != "nonsense")


@pytest.mark.parametrize(
    ("where", "may_have_arrived"),
    [("greeting", False), ("mail", False), ("rcpt", False), ("data", False), ("end", True)],
)
async def test_a_server_that_falls_silent_has_it_only_after_the_end(where: str, may_have_arrived: bool) -> None:
    async with raw_server(script(**{where: ""})) as port, mailer_to(port, timeout=2) as mailer:
        failure = await failure_of(mailer)

    assert str(failure) == "The mail server did not answer within 2 s."
    assert isinstance(failure, Transient) and failure.may_have_arrived is may_have_arrived


async def test_any_answer_of_the_second_hundred_takes_the_message() -> None:
    async with raw_server(script(end="251 Will forward")) as port, mailer_to(port) as mailer:
        assert await mailer.send(letter()) == "Will forward"


async def test_a_kept_connection_that_dies_with_the_message_may_have_carried_it() -> None:
    """It answers the probe and the envelope, and is gone when the message has been written."""

    async def dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        letters = 0
        writer.write(b"220 mx\r\n")
        while line := await reader.readuntil(b"\r\n"):
            writer.write(b"354 Go on\r\n" if line == b"DATA\r\n" else b"250 OK\r\n")
            if line == b"DATA\r\n":
                await reader.readuntil(b"\r\n.\r\n")
                letters += 1
                if letters == 2:
                    writer.transport.abort()
                    return
                writer.write(b"250 queued\r\n")

    async with raw_server(dies, script()) as port, mailer_to(port) as mailer:
        await mailer.send(letter())
        assert (await failure_of(mailer)).may_have_arrived
        await mailer.send(letter())


async def test_kept_connections_that_are_silent_do_not_use_up_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that was cut off took all of its connections with it; the first one that is silent says so for all."""
    monkeypatch.setattr("tocsin.net.smtp.PROBE_WITHIN", 0.1)
    heard: list[str] = []
    silent = script(heard, rset="")
    async with raw_server(silent, silent, silent, script()) as port, mailer_to(port, timeout=4.0) as mailer:
        both = [mailer.send(letter(f"<dlv_{n}@example.org>")) for n in range(3)]
        await asyncio.gather(*both)
        assert len(mailer._idle) == 3
        await mailer.send(letter("<dlv_9@example.org>"))
        assert len(mailer._idle) == 1
    assert heard.count("rset") == 1


async def test_a_name_that_hangs_is_a_passing_failure_and_nothing_was_sent() -> None:
    release = asyncio.Event()

    async def hangs(host: str) -> list[str]:
        await release.wait()
        return []

    async with mailer_to(25, host="mx.example.org", resolve=hangs, timeout=0.1) as mailer:
        failure = await failure_of(mailer)
    assert isinstance(failure, Transient) and not failure.may_have_arrived

    def unknown(host: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async with mailer_to(25, host="mx.example.org", resolve=Resolver(unknown)) as mailer:
        failure = await failure_of(mailer)
    assert isinstance(failure, Transient) and str(failure) == "The name mx.example.org could not be found."


@pytest.mark.parametrize("address", ["ada@example.net, eve@example.com", "ädä@example.net", "Group: ;"])
async def test_an_impossible_address_is_never_doubted(address: str) -> None:
    async with mailer_to(25) as mailer:
        failure = await failure_of(mailer, address)
    assert isinstance(failure, Refused) and failure.patience is Patience.NONE


@pytest.mark.parametrize(
    ("ehlo", "auth", "patience"),
    [
        ("250-mx\r\n250 AUTH PLAIN", "535 5.7.8 tocsin:s3cret is wrong", Patience.LONG),
        ("250-mx\r\n250 AUTH PLAIN", "454 4.7.0 Temporary authentication failure", None),
        ("250 mx", "", Patience.LONG),
        ("250-mx\r\n250 AUTH GSSAPI", "", Patience.LONG),
    ],
)
async def test_a_login_that_fails_is_doubted_for_long(ehlo: str, auth: str, patience: Patience | None) -> None:
    """A directory that is away makes a mail server say 535, or offer no login at all."""
    login = {"username": "tocsin", "password": "s3cret"}
    async with raw_server(script(ehlo=ehlo, auth=auth)) as port, mailer_to(port, **login) as mailer:
        failure = await failure_of(mailer)

    assert (failure.patience if isinstance(failure, Refused) else None) == patience
    assert not failure.may_have_arrived and "s3cret" not in str(failure)


async def test_a_wrong_login_is_tried_at_one_address_only() -> None:
    """Each try counts against the account."""
    tries: list[str] = []

    def refusing(name: str) -> Act:
        inner = script(ehlo="250-mx\r\n250 AUTH PLAIN", auth="535 No")

        async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tries.append(name)
            await inner(reader, writer)

        return act

    names = Names(["127.0.0.1", "127.0.0.1", "127.0.0.1"])
    to = {"host": "mx.example.org", "resolve": names, "username": "a", "password": "b"}
    async with raw_server(refusing("one")) as port, mailer_to(port, **to) as mailer:  # type: ignore[arg-type]
        assert isinstance(await failure_of(mailer), Refused)
    assert tries == ["one"]


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
@pytest.mark.parametrize("make", [make_certificate, make_expired_certificate])
async def test_a_certificate_that_is_not_good_is_doubted_for_long(
    security: Security, make: Callable[[Path, str], tuple[Path, Path]], tmp_path: Path
) -> None:
    certificate, key = make(tmp_path, "mx.example.org")
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))
    host = "other.example.org" if make is make_certificate else "mx.example.org"
    options = {"tls_context": ours} if security is Security.STARTTLS else {}
    async with post_office(listener_tls=None if options else ours, **options) as post:
        to = {"host": host, "resolve": Names(["127.0.0.1"]), "tls": trusting, "security": security}
        async with mailer_to(post.port, **to) as mailer:  # type: ignore[arg-type]
            failure = await failure_of(mailer)

    assert isinstance(failure, Refused) and failure.patience is Patience.LONG
    why = "Hostname mismatch" if make is make_certificate else "certificate has expired"
    assert f"has no valid certificate for its name: {why}" in str(failure) and not failure.may_have_arrived


async def test_starttls_that_is_not_offered_or_not_ready() -> None:
    offers = "250-mx\r\n250 STARTTLS"
    async with (
        raw_server(script()) as without,
        raw_server(script(ehlo=offers, starttls="454 TLS not available")) as busy,
        mailer_to(without, security=Security.STARTTLS) as first,
        mailer_to(busy, security=Security.STARTTLS) as second,
    ):
        refused, passing = await failure_of(first), await failure_of(second)

    assert isinstance(refused, Refused) and refused.patience is Patience.LONG
    assert isinstance(passing, Transient) and not passing.may_have_arrived


async def test_what_the_server_says_of_the_message_does_not_repeat_its_link() -> None:
    """Filters name the link that they dislike, and the link answers the page."""
    link = "https://tocsin.example.org/p/AaIAxec5dzGfsbpfBsJykGsE4fOOsoi"
    message = letter()
    message.set_content(f"Acknowledge: {link}\n")
    answer = f"554 5.7.1 Blocked\u202e for {link}, see https://filter.example.net/why"
    async with raw_server(script(end=answer)) as port, mailer_to(port) as mailer:
        with pytest.raises(Refused) as caught:
            await mailer.send(message)

    assert str(caught.value) == "The mail server answered 554 5.7.1 Blocked for …, see https://filter.example.net/why"


async def test_lines_that_begin_with_a_dot_arrive_as_they_were() -> None:
    async with post_office() as post, mailer_to(post.port) as mailer:
        message = letter()
        message.set_content(".\n..\n.x\ny.\n")
        await mailer.send(message)
    assert post.read()[0].get_content().replace("\r\n", "\n") == ".\n..\n.x\ny.\n"
