"""What each channel puts on its wire for one page (F059–F061)."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from ipaddress import ip_network

import pytest

from tests.receivers import receiver
from tests.use_cases.receivers import raw_server
from tocsin.kit.errors import Invalid, Patience, Refused, Transient
from tocsin.net.http import OutboundHttp
from tocsin.net.smtp import Mailer, Security, SmtpSettings
from tocsin.notifications.channels import channels
from tocsin.notifications.channels.base import PageMessage
from tocsin.notifications.channels.console import Console, block
from tocsin.notifications.channels.email import Email, html_of, text_of
from tocsin.notifications.channels.webhook import Webhook, body_of

PAGE = PageMessage(
    delivery_id="dlv_01j0000000000000000000000a",
    kind="page",
    title="Checkout is down",
    body="5xx above 20 %",
    severity="SEV1",
    urgency="high",
    status="triggered",
    alert_id="alr_01j0000000000000000000000b",
    incident_id=None,
    incident_number=None,
    url="https://tocsin.example.org/alerts/alr_1",
    acknowledge_url="https://tocsin.example.org/ack/t0ken",
    reason="You are step 1 of Payments primary",
    source="Prometheus",
    labels={"service": "checkout", "region": "eu"},
    attempt=1,
    possible_duplicate=False,
    sent_at=datetime(2026, 3, 1, 2, 3, 4, 567000, tzinfo=UTC),
    recipient_name="Ada Lovelace",
)
EVIL = "Down\x1b[2J\x1b]0;owned\x07\r\nBcc: eve@example.com\u202etxt.exe\x9b31m\u2028<script>alert(1)</script>"


def email() -> Email:
    return Email(Mailer(SmtpSettings(host="127.0.0.1", port=25, sender="Tocsin <tocsin@example.org>")))


@asynccontextmanager
async def http(*allow: str) -> AsyncIterator[OutboundHttp]:
    client = OutboundHttp([ip_network(text) for text in allow])
    try:
        yield client
    finally:
        await client.aclose()


ASKED = replace(
    PAGE,
    alert_id=None,
    incident_id="inc_01j0000000000000000000000c",
    incident_number="INC-7",
    reason="Ada L asks for your help: Do you know the queue? You were paged directly",
    source="Ada L",
    labels={},
)


def test_a_page_from_an_incident_begins_with_who_asks_and_what_for() -> None:
    """F049, F061: in the subject, in both texts of the mail and in the body of the webhook."""
    mail = email().compose("bob@example.org", ASKED)
    assert mail["Subject"] == "[SEV1] Ada L asks for your help: Checkout is down"
    text = text_of(ASKED)
    assert text.startswith(
        "Ada L asks for your help: Do you know the queue? You were paged directly.\n\nINC-7 Checkout is down\n"
    )
    assert "Asked by: Ada L" in text and "Status:" not in text and "triggered" not in text + html_of(ASKED)
    assert html_of(ASKED).index("Ada L asks for your help") < html_of(ASKED).index("<h1>INC-7 Checkout is down</h1>")
    sent = json.loads(body_of(ASKED))
    assert (sent["title"], sent["body"]) == ("Checkout is down", f"{ASKED.reason}\n\n5xx above 20 %")
    said = "x" * 900
    assert said in text_of(replace(ASKED, reason=f"Ada L asks for your help: {said}"))


async def test_a_webhook_gets_one_json_object_and_the_delivery_id_as_key() -> None:
    accepted = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
    async with receiver(accepted) as (url, seen), http("127.0.0.1") as client:
        receipt = await Webhook(client).send(url, replace(PAGE, possible_duplicate=True, attempt=2))

    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert b"Idempotency-Key: dlv_01j0000000000000000000000a\r\n" in head + b"\r\n"
    assert b"Content-Type: application/json" in head
    assert b"User-Agent: Tocsin/" in head
    assert json.loads(body) == {
        "delivery_id": "dlv_01j0000000000000000000000a",
        "kind": "page",
        "title": "Checkout is down",
        "body": "5xx above 20 %",
        "severity": "SEV1",
        "urgency": "high",
        "status": "triggered",
        "alert_id": "alr_01j0000000000000000000000b",
        "incident_id": None,
        "incident_number": None,
        "url": "https://tocsin.example.org/alerts/alr_1",
        "acknowledge_url": "https://tocsin.example.org/ack/t0ken",
        "reason": "You are step 1 of Payments primary",
        "source": "Prometheus",
        "labels": {"service": "checkout", "region": "eu"},
        "attempt": 2,
        "possible_duplicate": True,
        "minutes_late": 0,
        "sent_at": "2026-03-01T02:03:04.567Z",
        "recipient_name": "Ada Lovelace",
    }
    assert receipt.delivered
    assert receipt.detail == "The receiver answered 202."


@pytest.mark.parametrize(("status", "failure"), [(404, Refused), (302, Refused), (503, Transient)])
async def test_a_webhook_passes_the_failure_on(status: int, failure: type[Exception]) -> None:
    answer = b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status
    async with receiver(answer) as (url, _), http("127.0.0.1") as client:
        with pytest.raises(failure, match=str(status)):
            await Webhook(client).send(url, PAGE)


async def test_a_webhook_tells_the_receivers_own_words_and_nothing_of_the_page() -> None:
    """F060: receivers repeat what they were sent; the link in it answers the page, and the address may be a secret."""
    assert PAGE.acknowledge_url
    words = b"no such hook: /hook got " + body_of(PAGE)
    answer = b"HTTP/1.1 404 No\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(words)
    async with receiver(answer + words) as (url, _), http("127.0.0.1") as client:
        with pytest.raises(Refused) as caught:
            await Webhook(client).send(url, PAGE)

    assert str(caught.value) == f"{url.removesuffix('/hook')} answered 404: no such hook: … got …"
    assert caught.value.patience is Patience.LONG and not caught.value.may_have_arrived


# For a busy machine to have sent a request: the test is about one that has left.
LONG_ENOUGH = 3.0


async def test_the_wire_says_what_it_waited_for_before_its_caller_loses_patience() -> None:
    """G04: only the wire knows whether the message had left, so it must be the first to give up."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(swallow) as port, http("127.0.0.1") as client:
        mailer = Mailer(SmtpSettings("127.0.0.1", port, "t@example.org", security=Security.NONE))
        calls = [
            Webhook(client).send(f"http://127.0.0.1:{port}/hook", PAGE, within=LONG_ENOUGH),
            Email(mailer).send("ada@example.org", PAGE, within=LONG_ENOUGH),
        ]
        failures: list[Transient] = []
        for call in calls:
            with pytest.raises(Transient) as caught:
                async with asyncio.timeout(LONG_ENOUGH):
                    await call
            failures.append(caught.value)
    assert [failure.may_have_arrived for failure in failures] == [True, False]


async def test_a_webhook_address_is_checked_when_it_is_saved() -> None:
    async with http() as client:
        webhook = Webhook(client)
        assert webhook.check_address("HTTPS://Hooks.Example.org") == "https://hooks.example.org/"
        for address in ("http://127.0.0.1/", "http://user:pw@example.org/", "ftp://example.org/", "hook"):
            with pytest.raises(Invalid):
                webhook.check_address(address)


def test_a_mail_says_what_why_and_where_to_click() -> None:
    mail = email().compose("ada@example.net", PAGE)

    assert mail["Subject"] == "[SEV1] Checkout is down"
    assert mail["To"] == "Ada Lovelace <ada@example.net>"
    assert mail["Message-ID"] == "<dlv_01j0000000000000000000000a@example.org>"
    assert mail["In-Reply-To"] == mail["References"] == "<thread.alr_01j0000000000000000000000b@example.org>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Tocsin-Delivery"] == PAGE.delivery_id
    assert mail["X-Priority"] == "1"
    text, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert isinstance(text, EmailMessage)
    assert isinstance(html, EmailMessage)
    for part in (text.get_content(), html.get_content()):
        for words in (PAGE.title, PAGE.reason, PAGE.url, PAGE.acknowledge_url, "checkout", "5xx above 20 %"):
            assert words
            assert words in part


def test_news_answer_the_page_in_its_thread_and_ask_for_nothing() -> None:
    """F137: mail programs show them below the page; what they say comes first, and no priority is claimed."""
    told = "Bob took “Disk full” after 40 s."
    news = replace(PAGE, kind="news", title=told, about="Disk full", urgency="low", acknowledge_url=None, body="")
    page, mail = email().compose("ada@example.net", PAGE), email().compose("ada@example.net", news)
    assert mail["In-Reply-To"] == page["In-Reply-To"] and mail["Subject"] == f"Re: [{PAGE.severity}] Disk full"
    assert mail["X-Priority"] is None and mail["X-Tocsin-Kind"] == "news"
    text = mail.get_body(("plain",)).get_content()
    assert text.startswith(f"{told}\n\n") and "Acknowledge" not in mail.as_string()
    several = replace(news, title="2 alerts are over.", about="", body="- One.\n- Two.", threads=("alt_1", "inc_2"))
    mail = email().compose("ada@example.net", several)
    assert mail["Subject"] == "2 alerts are over."
    assert mail["In-Reply-To"] == "<thread.alt_1@example.org>"
    assert mail["References"] == "<thread.alt_1@example.org> <thread.inc_2@example.org>"
    assert mail.get_body(("plain",)).get_content().startswith("2 alerts are over.\n\n- One.\n- Two.\n\n")


def test_two_mails_about_one_alert_share_a_thread_and_two_attempts_share_an_id() -> None:
    channel = email()
    first, again = (channel.compose("ada@example.net", replace(PAGE, attempt=n)) for n in (1, 2))
    other = channel.compose("ada@example.net", replace(PAGE, delivery_id="dlv_2"))

    assert first["Message-ID"] == again["Message-ID"] != other["Message-ID"]
    assert first["References"] == other["References"]


def test_a_test_page_without_alert_says_that_nothing_is_wrong() -> None:
    message = replace(PAGE, kind="test", alert_id=None, acknowledge_url=None, body="", labels={})
    mail = email().compose("ada@example.net", message)

    assert "References" not in mail
    for text in (text_of(message), html_of(message)):
        assert "Nothing is wrong" in text
        assert "Acknowledge" not in text


def test_a_title_from_outside_cannot_change_the_mail() -> None:
    message = replace(PAGE, title=EVIL, recipient_name='Ada" <eve@example.com>,\r\nx', severity="S\r\nX: y")
    message = replace(message, body=EVIL, reason=EVIL, source=EVIL, labels={EVIL: EVIL}, url="javascript:x")
    mail = email().compose("ada@example.net", message)
    raw = mail.as_bytes()

    assert "Bcc" not in mail
    assert len(mail["To"].addresses) == 1
    assert mail["To"].addresses[0].addr_spec == "ada@example.net"
    assert b"\x1b" not in raw
    html = html_of(message)
    assert "<script" not in html
    assert "javascript:" not in html
    assert "\u202e" not in html + text_of(message)


@pytest.mark.parametrize(
    ("address", "normal"),
    [
        ("ada@example.org", "ada@example.org"),
        (" Ada.Lovelace+page@Example.ORG ", "Ada.Lovelace+page@example.org"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
    ],
)
def test_a_mail_address_gets_one_spelling(address: str, normal: str) -> None:
    assert email().check_address(address) == normal


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "@example.org",
        "ada@",
        "a b@example.org",
        "a@b@example.org",
        "ada@example.org\r\nBcc: e@x.y",
        "ada@127.0.0.1",
        "ada@[127.0.0.1]",
        "a,b@example.org",
        "<ada@example.org>",
        "ada@example.org, e@x.y",
        '"a b"@example.org',
        "ädä@example.org",
        "ada@exa mple.org",
        ".ada@example.org",
        "a" * 65 + "@x.org",
    ],
)
async def test_a_bad_mail_address_is_named_and_never_sent_to(address: str) -> None:
    with pytest.raises(Invalid) as caught:
        email().check_address(address)
    assert caught.value.errors[0].pointer == "#/address"
    with pytest.raises(Refused) as refused:
        await email().send(address, PAGE)
    assert refused.value.patience is Patience.NONE


async def test_the_console_prints_a_block_of_at_most_six_lines() -> None:
    stream = io.StringIO()
    receipt = await Console(stream).send("console", PAGE)

    assert receipt.delivered
    assert stream.getvalue().splitlines() == [
        "━━ PAGE [SEV1] Checkout is down",
        "   to   Ada Lovelace (console)",
        "   why  You are step 1 of Payments primary",
        "   from Prometheus, high urgency",
        "   see  https://tocsin.example.org/alerts/alr_1",
        "   ack  https://tocsin.example.org/ack/t0ken",
    ]


async def test_the_console_shows_no_control_characters_of_strangers() -> None:
    text = block(EVIL, replace(PAGE, title=EVIL, severity=EVIL, reason=EVIL, source=EVIL, url=EVIL))

    assert len(text.splitlines()) == 6
    assert all(c.isprintable() for c in text.replace("\n", ""))
    assert "\u202e" not in text


async def test_a_console_that_knows_only_ascii_still_prints() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    await Console(stream).send("console", replace(PAGE, title="Überlast \ud800"))

    assert b"?? PAGE [SEV1] ?berlast" in raw.getvalue()


async def test_a_closed_console_is_a_passing_failure() -> None:
    stream = io.StringIO()
    stream.close()
    with pytest.raises(Transient) as caught:
        await Console(stream).send("console", PAGE)
    assert not caught.value.may_have_arrived


async def test_a_console_that_breaks_while_it_prints_may_have_printed() -> None:
    """G04: what is in the stream's buffer comes out with the next page."""

    class Broken(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(Transient) as caught:
        await Console(Broken()).send("console", PAGE)
    assert caught.value.may_have_arrived


def test_a_console_address_is_a_short_name() -> None:
    console = Console(io.StringIO())
    assert console.check_address("") == "console"
    assert console.check_address(" night\x1b shift ") == "night shift"
    with pytest.raises(Invalid):
        console.check_address("x" * 101)


async def test_an_installation_has_the_channels_it_set_up() -> None:
    mailer = Mailer(SmtpSettings(host="127.0.0.1", port=25, sender="tocsin@example.org"))
    async with http() as client:
        assert set(channels(http=client)) == {"webhook"}
        found = channels(http=client, mailer=mailer, console=io.StringIO())

    assert {kind: channel.label for kind, channel in found.items()} == {
        "webhook": "Webhook",
        "email": "E-mail",
        "console": "Server console",
    }
