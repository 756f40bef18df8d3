"""Mail against a real SMTP server on loopback (F059–F061)."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.processes import reserved_port
from tocsin.kit.errors import Refused, Transient
from tocsin.net.smtp import MAX_CONNECTIONS, Mailer, Security, SmtpSettings


class Post:
    """A mail server with a memory; each answer may be set beforehand."""

    def __init__(self) -> None:
        self.mail: list[Envelope] = []
        self.sessions: set[int] = set()
        self.at_rcpt = "250 OK"
        self.at_data: str | bytes = "250 queued as 4711"
        self.port = 0
        self.answers_after = 0.0
        self.transports: list[asyncio.Transport] = []

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.at_rcpt.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.at_rcpt

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str | bytes:  # noqa: N802
        await asyncio.sleep(self.answers_after)
        self.sessions.add(id(session))
        if self.at_data[:3] in ("250", b"250"):
            self.mail.append(envelope)
        return self.at_data

    def drop_connections(self) -> None:
        """Close every connection without a word, as a restarted server does."""
        for transport in self.transports:
            # The TLS transport of Python 3.11.2 cannot be aborted once it is closed.
            if not transport.is_closing():
                transport.abort()

    def read(self) -> list[EmailMessage]:
        """Return what arrived."""
        found = [message_from_bytes(bytes(e.content or b""), policy=policy.default) for e in self.mail]
        return [message for message in found if isinstance(message, EmailMessage)]


@asynccontextmanager
async def post_office(**options: object) -> AsyncIterator[Post]:
    post = Post()
    loop = asyncio.get_running_loop()

    class Remembering(SMTP):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            post.transports.append(transport)  # type: ignore[arg-type]
            super().connection_made(transport)

    listener = await loop.create_server(
        lambda: Remembering(post, hostname="mx.example.org", loop=loop, **options),  # type: ignore[arg-type]
        "127.0.0.1",
        0,
    )
    post.port = listener.sockets[0].getsockname()[1]
    try:
        yield post
    finally:
        listener.close()
        post.drop_connections()
        await asyncio.sleep(0.01)


@asynccontextmanager
async def mailer_to(port: int, *, tls: ssl.SSLContext | None = None, **changes: object) -> AsyncIterator[Mailer]:
    settings = {"host": "127.0.0.1", "sender": "Tocsin <tocsin@example.org>", "security": Security.NONE}
    mailer = Mailer(SmtpSettings(port=port, **(settings | changes)), tls=tls)  # type: ignore[arg-type]
    try:
        yield mailer
    finally:
        await mailer.aclose()


def letter(id: str = "<dlv_1@example.org>", to: str = "ada@example.net") -> EmailMessage:
    message = EmailMessage()
    message["To"] = to
    message["Subject"] = "Checkout is down — again"
    message["Message-ID"] = id
    message.set_content("Text\n.\nwith a lone dot\n")
    return message


async def test_a_message_arrives_with_its_id_sender_and_date() -> None:
    async with post_office() as post, mailer_to(post.port) as mailer:
        reply = await mailer.send(letter(mailer.message_id("dlv_1")))

    assert reply == "queued as 4711"
    assert post.mail[0].mail_from == "tocsin@example.org"
    assert post.mail[0].rcpt_tos == ["ada@example.net"]
    [message] = post.read()
    assert message["Message-ID"] == "<dlv_1@example.org>"
    assert message["From"] == "Tocsin <tocsin@example.org>"
    assert message["Subject"] == "Checkout is down — again"
    assert message["Date"]
    assert "lone dot" in message.get_content()


async def test_the_connection_is_kept_for_the_next_message() -> None:
    async with post_office() as post, mailer_to(post.port) as mailer:
        for n in range(3):
            await mailer.send(letter(f"<dlv_{n}@example.org>"))

    assert len(post.mail) == 3
    assert len(post.transports) == 1


async def test_a_kept_connection_that_died_costs_no_message() -> None:
    async with post_office() as post, mailer_to(post.port) as mailer:
        await mailer.send(letter("<dlv_1@example.org>"))
        post.drop_connections()
        await mailer.send(letter("<dlv_2@example.org>"))

    assert len(post.mail) == 2


async def test_many_messages_share_a_few_connections() -> None:
    async with post_office() as post, mailer_to(post.port) as mailer:
        await asyncio.gather(*(mailer.send(letter(f"<dlv_{n}@example.org>")) for n in range(40)))

    assert len(post.mail) == 40
    assert len(post.transports) <= MAX_CONNECTIONS


@pytest.mark.parametrize("where", ["at_rcpt", "at_data"])
@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        ("421 4.3.2 Going down", Transient),
        ("450 4.2.1 Greylisted", Transient),
        ("452 4.2.2 Full", Transient),
        ("550 5.1.1 No such user", Refused),
        ("552 5.3.4 Too big", Refused),
        ("554 5.7.1 Spam", Refused),
    ],
)
async def test_the_answer_decides_whether_to_try_again(where: str, answer: str, failure: type[Exception]) -> None:
    async with post_office() as post, mailer_to(post.port) as mailer:
        setattr(post, where, answer)
        with pytest.raises(failure, match=f"answered {answer[:3]}"):
            await mailer.send(letter())
        setattr(post, where, "250 OK")
        await mailer.send(letter())

    assert len(post.mail) == 1


@pytest.mark.parametrize(("code", "failure"), [(b"250", None), (b"451", Transient), (b"550", Refused)])
async def test_an_answer_that_is_no_utf_8_can_be_stored(code: bytes, failure: type[Exception] | None) -> None:
    """F060: older mail servers answer in Latin-1; what the record cannot hold must not undo the sending."""
    async with post_office() as post, mailer_to(post.port) as mailer:
        post.at_data = code + " Nachricht für Zustellung".encode("latin-1")
        if failure is None:
            said = await mailer.send(letter())
        else:
            with pytest.raises(failure) as refused:
                await mailer.send(letter())
            said = str(refused.value)
    assert "Nachricht f\ufffdr Zustellung" in said.encode().decode()


async def test_a_server_that_is_not_there_is_a_passing_failure() -> None:
    with reserved_port() as port:
        async with mailer_to(port) as mailer:
            with pytest.raises(Transient, match="connection"):
                await mailer.send(letter())


async def test_a_slow_server_meets_the_deadline() -> None:
    async with post_office() as post, mailer_to(post.port, timeout=0.2) as mailer:
        post.answers_after = 5.0
        with pytest.raises(Transient, match=r"within 0\.2 s"):
            await mailer.send(letter())


async def test_a_silent_server_meets_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with mailer_to(listener.getsockname()[1], timeout=0.2) as mailer:
            with pytest.raises(Transient):
                await mailer.send(letter())


def _with_raw_header(name: str, value: str) -> EmailMessage:
    # Past the checks of EmailMessage, as a bug would.
    message = letter()
    message._headers.append((name, value))  # type: ignore[attr-defined]
    return message


@pytest.mark.parametrize(
    "message",
    [
        _with_raw_header("X-A", "b\r\nBcc: eve@example.com"),
        _with_raw_header("X-A", "b\nBcc: eve@example.com"),
        _with_raw_header("X-A\r\nBcc", "eve@example.com"),
        letter(id=""),
        letter(id="<a b@example.org>"),
        letter(to="ada@example.net, eve@example.com"),
        letter(to="Group: ;"),
        letter(to="ädä@example.net"),
    ],
)
async def test_a_message_with_injected_headers_or_recipients_is_refused(message: EmailMessage) -> None:
    async with post_office() as post, mailer_to(post.port) as mailer:
        with pytest.raises(Refused):
            await mailer.send(message)

    assert post.mail == []
    assert post.transports == []


async def test_blind_copies_count_as_recipients() -> None:
    message = letter()
    message["Bcc"] = "eve@example.com"
    async with post_office() as post, mailer_to(post.port) as mailer:
        with pytest.raises(Refused, match="exactly one"):
            await mailer.send(message)


def _only(password: bytes) -> object:
    def check(server: object, session: object, envelope: object, mechanism: str, data: object) -> AuthResult:
        is_right = isinstance(data, LoginPassword) and data.password == password
        return AuthResult(success=is_right, handled=False)

    return check


async def test_a_wrong_password_is_refused_and_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    options = {"authenticator": _only(b"right"), "auth_require_tls": False}
    async with (
        post_office(**options) as post,
        mailer_to(post.port, username="tocsin", password="wr0ng-s3cret") as wrong,
        mailer_to(post.port, username="tocsin", password="right") as right,
    ):
        with pytest.raises(Refused, match="user name and password") as caught:
            await wrong.send(letter())
        await right.send(letter())

    assert len(post.mail) == 1
    ours = [record for record in caplog.records if not record.name.startswith("mail.")]
    assert "wr0ng-s3cret" not in str(caught.value) + repr(wrong._settings) + str(ours)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=mx"
    command += f" -addext subjectAltName=DNS:localhost -keyout {key} -out {certificate}"
    subprocess.run(command.split(), check=True, capture_output=True)
    return certificate, key


async def test_starttls_protects_the_message_and_checks_the_name(certificate: tuple[Path, Path]) -> None:
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(*certificate)
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    secure = {"security": Security.STARTTLS}
    async with post_office(tls_context=ours, require_starttls=True) as post:
        async with mailer_to(post.port, tls=trusting, host="localhost", **secure) as mailer:
            await mailer.send(letter())
        for changes in ({"tls": trusting}, {"host": "localhost"}):
            async with mailer_to(post.port, **(changes | secure)) as mailer:  # type: ignore[arg-type]
                with pytest.raises(Refused, match="no valid certificate"):
                    await mailer.send(letter())

    assert len(post.mail) == 1


async def test_a_server_without_starttls_gets_no_plain_message() -> None:
    async with post_office() as post, mailer_to(post.port, security=Security.STARTTLS) as mailer:
        with pytest.raises(Refused, match="STARTTLS"):
            await mailer.send(letter())

    assert post.mail == []
