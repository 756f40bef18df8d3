"""Receivers of pages, by webhook, with a memory and with moods."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from tocsin.drill.listening import LoopbackServer
from tocsin.kit import clock


@dataclass(frozen=True, slots=True)
class Page:
    """One message that the receiver read to its end and did not refuse."""

    delivery_id: str
    title: str
    person: str
    possible_duplicate: bool
    at: float


class Sink(LoopbackServer):
    """A receiver of pages that remembers every one; the first part of the path says for whom it is.

    It answers 200 after `delay` seconds, but to the people of `refusing` with that status, and to those of `hanging`
    not before they are taken out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pages: list[Page] = []
        self.refused: Counter[str] = Counter()
        self.in_hand: dict[str, int] = defaultdict(int)
        self.most_at_once = 0
        self.delay: Callable[[], float] = lambda: 0.0
        self.refusing: dict[str, int] = {}
        self.hanging: set[str] = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")
                headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
                message: dict[str, Any] = msgspec.json.decode(await reader.readexactly(int(headers["content-length"])))
                assert headers["idempotency-key"] == message["delivery_id"]
                await self._answer(writer, lines[0].split("/")[1].split(" ")[0], message)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, person: str, message: dict[str, Any]) -> None:
        if status := self.refusing.get(person):
            self.refused[person] += 1
            writer.write(f"HTTP/1.1 {status} No\r\ncontent-length: 2\r\n\r\nno".encode())
            await writer.drain()
            return
        id = message["delivery_id"]
        if message["kind"] != "page":
            # News of what became of a page, which nobody waits for.
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            return
        self.remember(Page(id, message["title"], person, message["possible_duplicate"], clock.monotonic()))
        self.in_hand[id] += 1
        # The same message twice at one moment would mean that two workers had it in their hands.
        if person not in self.hanging:
            self.most_at_once = max(self.most_at_once, self.in_hand[id])
        try:
            await asyncio.sleep(self.delay())
            while person in self.hanging:  # noqa: ASYNC110 (whoever frees it rings no bell)
                await asyncio.sleep(0.1)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            await writer.drain()
        finally:
            self.in_hand[id] -= 1

    def remember(self, page: Page) -> None:
        self.pages.append(page)

    def by_delivery(self) -> dict[str, list[Page]]:
        found: dict[str, list[Page]] = defaultdict(list)
        for page in self.pages:
            found[page.delivery_id].append(page)
        return found
