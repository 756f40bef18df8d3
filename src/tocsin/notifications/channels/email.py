"""Pages and news as mail: plain text and simple HTML, a page with one big Acknowledge link (F059–F061, F137).

All mail about one alert forms one thread. A server that took the mail has not shown it to anyone, so a mail
never counts as delivered.
"""

from __future__ import annotations

import re
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape

from tocsin.kit.errors import Invalid, Patience, Refused
from tocsin.kit.text import clean, one_line
from tocsin.net.smtp import Mailer
from tocsin.net.targets import BadTarget, read_host
from tocsin.notifications.channels.base import MARGIN, PageMessage, Receipt, web_link

# The dot-atom of RFC 5322; quoted local parts and address comments are not worth their ambiguity.
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")

# What somebody who asks for help may say, and why it is this person.
_REASON = 1_300


class Email:
    """Sends a page as mail."""

    kind = "email"
    label = "E-mail"

    def __init__(self, mailer: Mailer) -> None:
        self._mailer = mailer

    def check_address(self, address: str) -> str:
        """Return `local@domain` with the domain in lower case and in its ASCII form."""
        local, at, domain = address.strip(" ").rpartition("@")
        if not at or not _LOCAL.fullmatch(local) or len(local) > 64 or len(address) > 254:
            raise Invalid("address", "Give one mail address such as ada@example.org.")
        try:
            name = read_host(domain)
        except BadTarget:
            raise Invalid("address", "The part of the mail address after the @ is not a domain.") from None
        if re.fullmatch(r"[0-9.]+", name):
            raise Invalid("address", "Use a domain after the @, not an IP address.")
        return f"{local}@{name}"

    async def send(self, address: str, message: PageMessage, *, within: float = 15.0) -> Receipt:
        """Hand the mail to the server; its `Message-ID` is made of the delivery id."""
        try:
            to = self.check_address(address)
        except Invalid as problem:
            raise Refused(problem.message, patience=Patience.NONE) from None
        mail = self.compose(to, message)
        reply = await self._mailer.send(mail, within=within - MARGIN)
        return Receipt(
            detail=f"The mail server took it: {reply}" if reply else "The mail server took it.",
            provider_id=str(mail["Message-ID"]),
            delivered=False,
        )

    def compose(self, to: str, message: PageMessage) -> EmailMessage:
        """Write the mail. `Auto-Submitted` (RFC 3834) keeps holiday responders quiet."""
        mail = EmailMessage()
        mail["Subject"] = _subject(message)
        mail["To"] = Address(display_name=one_line(message.recipient_name, 80), addr_spec=to)
        mail["Date"] = format_datetime(message.sent_at)
        mail["Message-ID"] = self._mailer.message_id(message.delivery_id)
        if threads := message.threads or [id for id in (message.alert_id or message.incident_id,) if id]:
            # The root of the thread is never sent; mail programs group by the shared reference all the same.
            roots = [self._mailer.message_id(f"thread.{thread}") for thread in threads]
            mail["In-Reply-To"], mail["References"] = roots[0], " ".join(roots)
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Auto-Response-Suppress"] = "All"
        mail["X-Tocsin-Delivery"] = one_line(message.delivery_id)
        mail["X-Tocsin-Severity"] = one_line(message.severity, 20)
        mail["X-Tocsin-Kind"] = message.kind
        if message.alert_id:
            mail["X-Tocsin-Alert"] = one_line(message.alert_id)
        if message.urgency == "high":
            mail["X-Priority"] = "1"
            mail["Importance"] = "high"
        mail.set_content(text_of(message))
        mail.add_alternative(html_of(message), subtype="html")
        return mail


def text_of(message: PageMessage) -> str:
    """Write the plain text: what, why you, what to click, then the details. Who is asked for help reads that first."""
    parts = [_about(message), *message.notes]
    body = [clean(message.body).strip()] if message.body.strip() else []
    reason = f"{one_line(message.reason, _REASON)}.".replace("..", ".")
    is_news = message.kind == "news"
    parts += body if is_news else []
    parts.insert(0 if message.is_asked else len(parts), reason)
    if message.acknowledge_url:
        parts.append(f"Acknowledge: {web_link(message.acknowledge_url)}")
    parts.append(f"Details: {web_link(message.url)}")
    parts.append("\n".join(f"{name}: {value}" for name, value in _facts(message)))
    parts += [] if is_news else body
    return "\n\n".join(part for part in parts if part) + "\n"


def html_of(message: PageMessage) -> str:
    """Write the HTML: no images, no scripts, no outside styles; every value is escaped."""
    acknowledge = (
        f'<p><a href="{escape(web_link(message.acknowledge_url))}" style="display:inline-block;padding:14px 28px;'
        'background:#b42318;color:#ffffff;font-size:18px;font-weight:bold;text-decoration:none">'
        "Acknowledge</a></p>"
        if message.acknowledge_url
        else ""
    )
    facts = "".join(
        f'<tr><th align="left">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in _facts(message)
    )
    body = f"<pre>{escape(clean(message.body).strip())}</pre>" if message.body.strip() else ""
    reason = escape(one_line(message.reason, _REASON))
    is_asked, is_news = message.is_asked, message.kind == "news"
    return (
        '<!doctype html><html lang="en"><body style="font-family:sans-serif">'
        + (f'<p style="font-size:18px"><strong>{reason}</strong></p>' if is_asked else "")
        + f"<h1>{escape(_about(message))}</h1>"
        + "".join(f"<p><strong>{escape(note)}</strong></p>" for note in message.notes)
        + (body if is_news else "")
        + ("" if is_asked else f"<p>{reason}</p>")
        + f"{acknowledge}"
        f'<p><a href="{escape(web_link(message.url))}">Open in Tocsin</a></p>'
        f'<table cellpadding="4">{facts}</table>{"" if is_news else body}</body></html>\n'
    )


def _subject(message: PageMessage) -> str:
    """Write the subject; news answer the page that they belong to, so that mail programs show them below it."""
    severity = f"[{one_line(message.severity, 20)}] "
    if message.kind == "news":
        return f"Re: {severity}{one_line(message.about)}" if message.about else one_line(message.title)
    asked = f"{one_line(message.source, 80)} asks for your help: " if message.is_asked else ""
    return f"{severity}{asked}{one_line(message.title)}"


def _about(message: PageMessage) -> str:
    number = f"{one_line(message.incident_number, 40)} " if message.is_asked and message.incident_number else ""
    return number + one_line(message.title)


def _facts(message: PageMessage) -> list[tuple[str, str]]:
    is_asked = message.is_asked
    facts = [
        ("Severity", message.severity),
        ("Urgency", message.urgency),
        ("Status", "" if is_asked else message.status),
        ("Asked by" if is_asked else "Source", message.source),
    ]
    if message.incident_number:
        facts.append(("Incident", message.incident_number))
    facts += [(name, value) for name, value in sorted(message.labels.items())]
    return [(one_line(name, 80), one_line(value, 500)) for name, value in facts if value]
