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
from ipaddress import ip_address

import aiosmtplib

from tocsin.kit import clock
from tocsin.kit.errors import OutsideFailure, Patience, Refused, Transient
from tocsin.kit.text import one_line, storable
from tocsin.net import dial, trust, words
from tocsin.net.dial import Unreachable
from tocsin.net.resolver import Resolve, Resolver
from tocsin.net.targets import Address

MAX_CONNECTIONS = 10
IDLE_FOR = 20.0
# How long a kept connection may take to prove that it lives; a fresh one costs less than the whole time-out.
PROBE_WITHIN = 2.0
# Mail servers let a client wait before they greet it, so another address of theirs is not tried at once.
HEAD_START = 2.0
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


@dataclass(slots=True)
class _Letter:
    """A message under way. `has_left` says that the server may have all of it."""

    recipient: str
    content: bytes
    message: EmailMessage
    has_left: bool = False

    def text(self) -> str:
        """Return what a server must not say again: the links in the message are credentials."""
        parts = [part for part in self.message.walk() if part.get_content_maintype() == "text"]
        return "\n".join([str(self.message["Subject"] or ""), *(str(part.get_content()) for part in parts)])


class Mailer:
    """Hands messages to one mail server. Use it inside one event loop and close it at the end."""

    def __init__(
        self, settings: SmtpSettings, *, tls: ssl.SSLContext | None = None, resolve: Resolve | None = None
    ) -> None:
        self._settings = settings
        # One of its own: names of webhooks that hang do not count against the mail server's.
        self._resolve = resolve or Resolver()
        self._tls = tls or trust.of_this_machine()
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

    async def send(self, message: EmailMessage, *, within: float | None = None) -> str:
        """Hand the message to the server and return what it replied, at most 200 characters.

        It ends after `within` seconds, or after the time-out of the settings.
        The message needs a `Message-ID` and exactly one address in `To`; `From` and `Date` are filled in.
        4xx answers and broken connections raise `Transient`, 5xx answers raise `Refused`. It is `may_have_arrived`
        when the server had the whole message and its answer did not come; the next attempt carries the same id.
        """
        letter = self._prepare(message)
        seconds = within or self._settings.timeout
        try:
            async with asyncio.timeout(seconds), self._slots:
                return await self._hand_over(letter)
        except aiosmtplib.SMTPResponseException as error:
            raise _failure(error, letter) from None
        except TimeoutError:
            said = f"The mail server did not answer within {seconds:.2g} s."
            raise Transient(said, may_have_arrived=letter.has_left) from None
        except Unreachable as unreachable:
            raise _unreachable(unreachable, letter) from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise _breakdown(error, letter) from None

    async def aclose(self) -> None:
        """Say goodbye to the server on every idle connection."""
        idle, self._idle = self._idle, []
        for _, client in idle:
            try:
                await client.quit(timeout=1.0)
            except (aiosmtplib.SMTPException, OSError):
                client.close()

    def _prepare(self, message: EmailMessage) -> _Letter:
        if "From" not in message:
            message["From"] = self._settings.sender
        if "Date" not in message:
            message["Date"] = format_datetime(clock.utc_now())
        for name, value in message.raw_items():
            if re.search(r"[\r\n\0]", name + str(value)):
                raise _impossible("A header of the message contains a line break.")
        if not _MESSAGE_ID.fullmatch(str(message["Message-ID"] or "")):
            raise _impossible("The message has no usable Message-ID.")
        # Asking for all of them: a second To header must not smuggle in a second recipient.
        fields = [message.get_all(name, []) for name in ("To", "Cc", "Bcc")]
        addresses = [
            address.addr_spec
            for header in (value for values in fields for value in values)
            if isinstance(header, AddressHeader)
            for address in header.addresses
        ]
        if len(addresses) != 1:
            raise _impossible("A message goes to exactly one address.")
        if not re.fullmatch(r"[\x21-\x7e]+", addresses[0]) or set("<>") & set(addresses[0]):
            raise _impossible("The mail address contains characters that mail servers do not accept.")
        return _Letter(addresses[0], message.as_bytes(policy=policy.SMTP), message)

    async def _hand_over(self, letter: _Letter) -> str:
        client = await self._take()
        is_done = False
        try:
            await client.mail(self._address)
            await client.rcpt(letter.recipient)
            reply = await _data(client, letter)
            is_done = True
        finally:
            if is_done:
                self._idle.append((clock.monotonic(), client))
            else:
                client.close()
        return one_line(storable(reply.message))

    async def _take(self) -> aiosmtplib.SMTP:
        while self._idle:
            since, client = self._idle.pop()
            if client.is_connected and clock.monotonic() - since < IDLE_FOR:
                try:
                    # Proves that the connection still lives before a message depends on it.
                    await client.rset(timeout=PROBE_WITHIN)
                except (aiosmtplib.SMTPException, OSError):
                    client.close()
                    # The others lead to the same server; asking each of them could take up all the time there is.
                    self._forget()
                else:
                    return client
            else:
                client.close()
        return await self._connect()

    def _forget(self) -> None:
        idle, self._idle = self._idle, []
        for _, client in idle:
            client.close()

    async def _connect(self) -> aiosmtplib.SMTP:
        addresses = [ip_address(text) for text in await self._resolve(self._settings.host)]
        return await dial.reach(
            dial.spread(addresses),
            self._open,
            seconds=self._settings.timeout,
            head_start=HEAD_START,
            discard=aiosmtplib.SMTP.close,
        )

    async def _open(self, address: Address) -> aiosmtplib.SMTP:
        """Connect to the address, check that it is the server by its name, and sign in."""
        settings = self._settings
        sock = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            sock=sock,
            username=settings.username,
            password=settings.password,
            # Given, because the library would otherwise ask DNS for this machine's full name.
            local_hostname=settings.local_name or socket.gethostname(),
            # The whole message has a limit; a server that is slow at one command may be quick at the others.
            timeout=None,
            use_tls=settings.security is Security.TLS,
            start_tls=settings.security is Security.STARTTLS,
            tls_context=None if settings.security is Security.NONE else self._tls,
        )
        is_done = False
        try:
            await asyncio.get_running_loop().sock_connect(sock, (str(address), settings.port))
            await client.connect()
            is_done = True
        finally:
            if not is_done:
                client.close()
                sock.close()
        return client


async def _data(client: aiosmtplib.SMTP, letter: _Letter) -> aiosmtplib.SMTPResponse:
    """Hand the message itself over. The library's own way does not say whether the message was written."""
    ready = await client.execute_command(b"DATA")
    if ready.code != 354 or client.protocol is None:
        raise aiosmtplib.SMTPDataError(ready.code, ready.message)
    # RFC 5321 §4.5.2: a line that begins with a dot gets another; a lone one is the end.
    client.protocol.write(re.sub(rb"(?m)^\.", b"..", letter.content) + b".\r\n")
    letter.has_left = True
    reply = await client.protocol.read_response()
    if not 200 <= reply.code < 300:
        # This is an answer: the server says that it did not take the message.
        letter.has_left = not 400 <= reply.code < 600
        raise aiosmtplib.SMTPDataError(reply.code, reply.message)
    return reply


def _impossible(message: str) -> Refused:
    return Refused(message, patience=Patience.NONE)


def _failure(error: aiosmtplib.SMTPResponseException, letter: _Letter) -> OutsideFailure:
    """Judge what the server said."""
    if not 200 <= error.code < 600:
        # The library's own code for what is no answer of a mail server.
        return Transient("The mail server did not answer in SMTP.", may_have_arrived=letter.has_left)
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        # Some servers repeat what they were sent; that is no text for a log.
        said = f"The mail server refused the user name and password ({error.code})."
    else:
        own = words.of_text(error.message, sent=letter.text())
        said = f"The mail server answered {error.code} {own}".rstrip()
    if error.code >= 500:
        return Refused(said, answered=True)
    return Transient(said, may_have_arrived=letter.has_left, answered=True)


def _unreachable(unreachable: Unreachable, letter: _Letter) -> OutsideFailure:
    """Judge a server that no address led to, by the most telling of the failures."""
    outcomes = [
        _failure(failure, letter)
        if isinstance(failure, aiosmtplib.SMTPResponseException)
        else _breakdown(failure, letter)
        for failure in unreachable.failures
    ]
    return next((outcome for outcome in outcomes if isinstance(outcome, Refused)), outcomes[0])


def _breakdown(error: aiosmtplib.SMTPException | OSError, letter: _Letter) -> OutsideFailure:
    """Judge a failure that came without an answer of the server."""
    if (why := words.of_certificate(error, error.__cause__)) is not None:
        return Refused(words.sentence("The mail server has no valid certificate for its name", why))
    # The library raises its bare base class when STARTTLS or a login is asked for and not on offer.
    if type(error) in (aiosmtplib.SMTPException, aiosmtplib.SMTPNotSupported):
        said = "The mail server does not offer what the settings ask for, such as STARTTLS or login."
        return Refused(said, answered=True)
    return Transient("The connection to the mail server failed.", may_have_arrived=letter.has_left)
