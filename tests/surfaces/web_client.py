"""A browser without JavaScript: keeps cookies, reads the forms of a page and sends them as they stand there."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import httpx

from tests.world import World
from tocsin.edge.auth import COOKIE
from tocsin.identity import service as identity
from tocsin.identity.model import User

FORM = {"content-type": "application/x-www-form-urlencoded"}
Fields = Mapping[str, str | Sequence[str]]


class Reader(HTMLParser):
    """What a page consists of, as far as tests ask: its forms, its text, and what a strict CSP would refuse."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: dict[str, dict[str, list[str]]] = {}
        self.actions: dict[str, str] = {}
        self.links: list[str] = []
        self.dialogs: list[str] = []
        self.ids: list[str] = []
        self.refused: list[str] = []
        self.buttons: list[str] = []
        self.scripts_inside: list[str] = []
        self._form: str | None = None
        self._inside = ""
        self._area: tuple[str, str] | None = None
        self._select = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.refused += [f"{tag} {name}" for name in given if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.refused.append(tag)
        self._inside = tag if tag in ("script", "style") else self._inside
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a":
            self.links.append(given.get("href", ""))
        if "data-sheet" in given:
            self.dialogs.append(given.get("href", ""))
        if tag == "button":
            self.buttons.append(given.get("aria-label", ""))
        if tag == "form":
            self._form = given.get("id", "")
            self.forms[self._form] = {}
            self.actions[self._form] = given.get("action", "")
        self._field(tag, given)

    def _field(self, tag: str, given: dict[str, str]) -> None:
        if self._form is None:
            return
        fields = self.forms[self._form]
        name = given.get("name", "")
        if tag == "input" and name:
            is_on = given.get("type") not in ("checkbox", "radio") or "checked" in given
            if is_on:
                fields.setdefault(name, []).append(given.get("value", ""))
        elif tag == "textarea":
            self._area = (self._form, name)
            fields[name] = [""]
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and ("selected" in given or self._select not in fields):
            fields[self._select] = [given.get("value", "")]

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        if tag == "textarea":
            self._area = None
        if tag == "select":
            self._select = ""
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            form, name = self._area
            self.forms[form][name] = [self.forms[form][name][0] + data.removeprefix("\n")]


def as_one_reads(html: str) -> str:
    """Write the text without the line breaks of its template, which a browser does not show either."""
    kept = re.split(r"(<(pre|textarea)\b.*?</\2>)", html, flags=re.DOTALL)
    # Of each three: what stands between two such elements, one of them, and its name.
    kept[0::3] = [re.sub(r"\s*\n\s*", " ", re.sub(r">\s*\n\s*<", "><", each)) for each in kept[0::3]]
    return "".join(each for n, each in enumerate(kept) if n % 3 != 2)


class Page:
    """One answer."""

    def __init__(self, answer: httpx.Response) -> None:
        self.status = answer.status_code
        self.headers = answer.headers
        self._written = answer.text
        self.html = as_one_reads(answer.text)
        self.url = answer.url
        self._reader: Reader | None = None

    @property
    def read(self) -> Reader:
        self._reader = self._reader or Reader(self._written)
        return self._reader

    @property
    def path(self) -> str:
        return self.url.raw_path.decode()

    @property
    def location(self) -> str:
        return self.headers.get("location", "")


class Browser:
    """One browser of one person, or of nobody."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def get(self, path: str, **headers: str) -> Page:
        """Open a page and follow where it leads."""
        return Page(await self.http.get(path, follow_redirects=True, headers={"accept": "text/html", **headers}))

    async def head(self, path: str) -> Page:
        return Page(await self.http.head(path))

    async def fetch(self, path: str) -> Page:
        """Open a page and go no further."""
        return Page(await self.http.get(path))

    async def send(self, path: str, fields: Fields, **headers: str) -> Page:
        """Send a form as it is given; goes no further."""
        body = urlencode(dict(fields), doseq=True)
        return Page(await self.http.post(path, content=body, headers={**FORM, **headers}))

    async def open(self, page: Page, form: str) -> Page:
        """Return where the form stands: the page, or one that a link of it leads to, as it opens its dialogs."""
        if form in page.read.forms:
            return page
        # What the page itself leads to comes after what stands around it.
        for place in dict.fromkeys(reversed(page.read.dialogs)):
            found = await self.get(place)
            if form in found.read.forms:
                return found
        raise AssertionError(f"{page.path} has no form {form}, and leads to none: {page.read.dialogs}")

    async def submit(self, page: Page, form: str, changes: Fields | None = None) -> Page:
        """Fill a form in that the page has or leads to and send it, with all that is hidden in it; goes no further."""
        page = await self.open(page, form)
        fields: dict[str, Any] = {**page.read.forms[form], **(changes or {})}
        return await self.send(page.read.actions[form], fields)

    async def do(self, page: Page, form: str, changes: Fields | None = None) -> Page:
        """Send a form that is accepted, and follow it."""
        answer = await self.submit(page, form, changes)
        assert answer.status == 303, (answer.status, answer.html[:3000])
        return await self.get(answer.location)


@asynccontextmanager
async def browser(world: World, person: User | None = None) -> AsyncIterator[Browser]:
    """A browser that the person is signed in with."""
    transport = httpx.ASGITransport(world.app.asgi(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8700") as http:
        if person is not None:
            async with world.db.begin() as tx:
                cookie = await identity.open_session(
                    tx, person, ip="127.0.0.1", user_agent="test", how="password", days=14
                )
            http.cookies.set(COOKIE, cookie)
        yield Browser(http)
