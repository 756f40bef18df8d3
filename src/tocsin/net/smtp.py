"""Mail that leaves: one message, one recipient, one clear outcome. What a message says is decided elsewhere.

Serves F059–F061. Follows RFC 5321; connections are kept for a short while because TLS and login cost more
than the message itself.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from dataclasses import dataclass, field
from email import policy
from email.headerregistry import AddressHeader
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from enum import StrEnum

import aiosmtplib

from tocsin.kit import clock
from tocsin.kit.errors import OutsideFailure, Refused, Transient
from tocsin.kit.text import storable

MAX_CONNECTIONS = 10
IDLE_FOR = 20.0
_MESSAGE_ID = re.compile(r"<[A-Za-z0-9._+-]+@[A-Za-z0-9._-]+>")


class Security(StrEnum):
    """How the connection is protected. `starttls` and `tls` always check the certificate."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """The mail server and the sender. `timeout` is in seconds and covers one whole message.

    `local_name` is what EHLO says; without it the machine's own name.
    """

    host: str
    port: int
    sender: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    security: Security = Security.STARTTLS
    timeout: float = 15.0
    local_name: str | None = None


class Mailer:
    """Hands messages to one mail server. Use it inside one event loop and close it at the end."""

    def __init__(self, settings: SmtpSettings, *, tls: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        self._tls = tls or ssl.create_default_context()
        self._address = parseaddr(settings.sender)[1]
        if self._address.count("@") != 1 or not self._address.isascii():
            raise ValueError("The sender of mail must be one plain mail address.")
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self._idle: list[tuple[float, aiosmtplib.SMTP]] = []

    @property
    def domain(self) -> str:
        """Return the sender's domain, which message ids end in."""
        return self._address.partition("@")[2]

    def message_id(self, id: str) -> str:
        """Return the `Message-ID` of a delivery: the same for every attempt, so mail programs show it once."""
        return f"<{id}@{self.domain}>"

    async def send(self, message: EmailMessage) -> str:
        """Hand the message to the server and return what it replied, at most 200 characters.

        The message needs a `Message-ID` and exactly one address in `To`; `From` and `Date` are filled in.
        4xx answers and broken connections raise `Transient`, 5xx answers raise `Refused`.
        After a time-out the server may have taken the message; the next attempt carries the same id.
        """
        recipient, content = self._prepare(message)
        try:
            async with asyncio.timeout(self._settings.timeout), self._slots:
                return await self._hand_over(recipient, content)
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _failure(error.recipients[0]) from None
        except aiosmtplib.SMTPResponseException as error:
            raise _failure(error) from None
        except TimeoutError:
            raise Transient(f"The mail server did not answer within {self._settings.timeout:g} s.") from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise _breakdown(error) from None

    async def aclose(self) -> None:
        """Say goodbye to the server on every idle connection."""
        idle, self._idle = self._idle, []
        for _, client in idle:
            try:
                await client.quit(timeout=1.0)
            except (aiosmtplib.SMTPException, OSError):
                client.close()

    def _prepare(self, message: EmailMessage) -> tuple[str, bytes]:
        if "From" not in message:
            message["From"] = self._settings.sender
        if "Date" not in message:
            message["Date"] = format_datetime(clock.utc_now())
        for name, value in message.raw_items():
            if re.search(r"[\r\n\0]", name + str(value)):
                raise Refused("A header of the message contains a line break.")
        if not _MESSAGE_ID.fullmatch(str(message["Message-ID"] or "")):
            raise Refused("The message has no usable Message-ID.")
        # Asking for all of them: a second To header must not smuggle in a second recipient.
        fields = [message.get_all(name, []) for name in ("To", "Cc", "Bcc")]
        addresses = [
            address.addr_spec
            for header in (value for values in fields for value in values)
            if isinstance(header, AddressHeader)
            for address in header.addresses
        ]
        if len(addresses) != 1:
            raise Refused("A message goes to exactly one address.")
        if not re.fullmatch(r"[\x21-\x7e]+", addresses[0]) or set("<>") & set(addresses[0]):
            raise Refused("The mail address contains characters that mail servers do not accept.")
        return addresses[0], message.as_bytes(policy=policy.SMTP)

    async def _hand_over(self, recipient: str, content: bytes) -> str:
        client = await self._take()
        is_done = False
        try:
            _, reply = await client.sendmail(self._address, [recipient], content)
            is_done = True
        finally:
            if is_done:
                self._idle.append((clock.monotonic(), client))
            else:
                client.close()
        return _one_line(reply)

    async def _take(self) -> aiosmtplib.SMTP:
        while self._idle:
            since, client = self._idle.pop()
            if client.is_connected and clock.monotonic() - since < IDLE_FOR:
                try:
                    # Proves that the connection still lives before a message depends on it.
                    await client.rset()
                except (aiosmtplib.SMTPException, OSError):
                    client.close()
                else:
                    return client
            else:
                client.close()
        return await self._connect()

    async def _connect(self) -> aiosmtplib.SMTP:
        settings = self._settings
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port,
            username=settings.username,
            password=settings.password,
            # Given, because the library would otherwise ask DNS for this machine's full name.
            local_hostname=settings.local_name or socket.gethostname(),
            timeout=settings.timeout,
            use_tls=settings.security is Security.TLS,
            start_tls=settings.security is Security.STARTTLS,
            tls_context=None if settings.security is Security.NONE else self._tls,
        )
        is_done = False
        try:
            await client.connect()
            is_done = True
        finally:
            if not is_done:
                client.close()
        return client


def _failure(error: aiosmtplib.SMTPResponseException) -> OutsideFailure:
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        # Some servers repeat what they were sent; that is no text for a log.
        said = f"The mail server refused the user name and password ({error.code})."
    else:
        said = f"The mail server answered {error.code} {_one_line(error.message)}".rstrip()
    return Refused(said) if 500 <= error.code < 600 else Transient(said)


def _breakdown(error: aiosmtplib.SMTPException | OSError) -> OutsideFailure:
    """Judge a failure that came without an answer of the server."""
    if isinstance(error, ssl.SSLCertVerificationError) or isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return Refused("The mail server has no valid certificate for its name.")
    # The library raises its bare base class when STARTTLS or a login is asked for and not on offer.
    if type(error) in (aiosmtplib.SMTPException, aiosmtplib.SMTPNotSupported):
        return Refused("The mail server does not offer what the settings ask for, such as STARTTLS or login.")
    return Transient("The connection to the mail server failed.")


def _one_line(text: str) -> str:
    # The library reads bytes that are not UTF-8 as lone surrogates, which nobody could store.
    return re.sub(r"[\x00-\x20\x7f-\x9f]+", " ", storable(text)).strip()[:200]
