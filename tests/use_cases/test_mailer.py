"""Mail against a real SMTP server on loopback (F059–F061)."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword

from tests.processes import reserved_port
from tests.use_cases.post_offices import letter, mailer_to, post_office
from tests.use_cases.receivers import make_certificate
from tocsin.kit.errors import Refused, Transient
from tocsin.net.smtp import MAX_CONNECTIONS, Security


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
    return make_certificate(tmp_path_factory.mktemp("tls"), "localhost")


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
