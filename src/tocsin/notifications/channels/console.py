"""Pages as a few lines on the terminal of the server: for demos and for trying out rules (F059–F061)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from tocsin.kit.errors import Invalid, Transient
from tocsin.kit.text import clean, one_line
from tocsin.notifications.channels.base import PageMessage, Receipt


class Console:
    """Writes each page as a block of four to six lines; titles cannot move the cursor or colour the screen."""

    kind = "console"
    label = "Server console"

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def check_address(self, address: str) -> str:
        """Return the name that is printed beside the page, `console` when none is given."""
        name = one_line(address)
        if len(name) > 100:
            raise Invalid("address", "Use a name of at most 100 characters.")
        return name or "console"

    async def send(self, address: str, message: PageMessage, *, within: float = 15.0) -> Receipt:
        """Print the page. Writing is immediate, so a printed page counts as delivered."""
        encoding = self._stream.encoding or "utf-8"
        text = block(address, message).encode(encoding, "replace").decode(encoding)
        try:
            self._stream.write(text)
            self._stream.flush()
        except ValueError:
            # This is what a closed stream raises.
            raise Transient("The console of the server is closed.") from None
        except OSError:
            # What is in the stream's buffer may have come out in part, and comes out with the next page.
            raise Transient("The console of the server cannot be written to.", may_have_arrived=True) from None
        return Receipt(detail="Printed on the server's console.", provider_id=None, delivered=True)


_WHAT: Mapping[str, str] = {"page": "PAGE", "test": "TEST PAGE", "news": "NEWS"}


def block(address: str, message: PageMessage) -> str:
    """Lay out the page or the news: title, addressee and reason, source, links."""
    what = _WHAT[message.kind]
    again = f" (attempt {message.attempt}, may be a repeat)" if message.possible_duplicate else ""
    lines = [
        f"━━ {what} [{one_line(message.severity, 20)}] {one_line(message.title)}{again}",
        f"   to   {one_line(message.recipient_name, 80)} ({one_line(address, 80)})",
        f"   why  {one_line(message.reason)}",
        *_from(message),
        f"   see  {one_line(message.url, 2000)}",
    ]
    if message.acknowledge_url:
        lines.append(f"   ack  {one_line(message.acknowledge_url, 2000)}")
    return "\n".join(lines) + "\n"


def _from(message: PageMessage) -> list[str]:
    """Say where a page comes from; of news, what more there is to tell, a line each."""
    if message.kind == "news":
        return [f"        {line}" for text in clean(message.body).split("\n") if (line := one_line(text, 300))]
    return [f"   from {one_line(message.source, 80)}, {one_line(message.urgency, 20)} urgency"]
