"""Somebody who follows everything that a page, a style sheet or a script leads to, and notes where it leads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

import httpx

_ASKS = ("href", "src", "action", "formaction", "hx-get", "hx-post", "hx-sse:connect")
# More than the demo has; a crawl that does not end is a failure as well.
_MOST = 2000


class _Links(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        # What a monitoring tool has sent with its alert leads elsewhere, and says so.
        if given.get("target") != "_blank":
            self.found += [value for name in _ASKS if (value := given.get(name)) is not None]


def _leads(answer: httpx.Response) -> Iterator[str]:
    """Yield what the answer leads to, as it stands there."""
    if "location" in answer.headers:
        yield answer.headers["location"]
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if kind == "text/html":
        yield from _Links(answer.text).found
    elif kind == "text/css":
        yield from (
            found for found in re.findall(r"url\([\"']?([^\"')]+)", answer.text) if not found.startswith("data:")
        )
    elif kind == "text/javascript" and "/vendor/" not in answer.url.path:
        yield from re.findall(r"(?:from|import)\s*\(?[\"'](\.[^\"']+)", answer.text)


@dataclass
class Crawl:
    """What was asked for, with the status of each answer, and what led out of the path."""

    root: str
    answers: dict[str, int] = field(default_factory=dict)
    lost: set[tuple[str, str]] = field(default_factory=set)
    # The pages among them, as they came.
    pages: dict[str, str] = field(default_factory=dict)

    def count(self, pattern: str) -> int:
        return sum(1 for url in self.answers if re.search(pattern, url))

    async def run(self, http: httpx.AsyncClient, start: str) -> None:
        """Follow everything by GET, so that nothing is changed; a form that only posts then says 405."""
        waiting = [start]
        host = urlsplit(start).netloc
        while waiting:
            url = waiting.pop()
            if url in self.answers:
                continue
            assert len(self.answers) < _MOST, "this has no end"
            async with http.stream("GET", url) as answer:
                self.answers[url] = answer.status_code
                if answer.headers.get("content-type", "").startswith("text/event-stream"):
                    # It never ends; that it begins is what counts.
                    assert await anext(answer.aiter_bytes())
                    continue
                await answer.aread()
                if answer.headers.get("content-type", "").startswith("text/html"):
                    self.pages[url] = answer.text
            for lead in _leads(answer):
                if lead.startswith(("#", "mailto:")):
                    continue
                to = urldefrag(urljoin(url, lead)).url
                parts = urlsplit(to)
                if parts.netloc != host or not (parts.path + "/").startswith(self.root + "/"):
                    self.lost.add((url, lead))
                else:
                    waiting.append(to)
