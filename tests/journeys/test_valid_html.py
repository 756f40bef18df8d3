"""Every page is HTML as the standard has it: browsers and screen readers then make the same of it."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from tests import postgres
from tests.journeys import validity
from tests.journeys.crawler import Crawl
from tests.processes import address, printed_until, served

pytestmark = [pytest.mark.journey, pytest.mark.needs("vnu")]

_GOOD = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>A</title><body hx-get="/x"><div>{}</div></body></html>'
)


async def test_every_page_and_dialog_is_valid(postgres_dsn: str, tmp_path: Path) -> None:
    """What the administrator of the demo reaches from page to page, dialogs with an address of their own included."""
    async with postgres.fresh(postgres_dsn) as dsn, served("--demo", database_url=dsn) as (process, greeting):
        base = address(greeting)
        lines = [line.strip() for line in greeting.splitlines()]
        out, inside = Crawl(""), Crawl("")
        async with httpx.AsyncClient(timeout=60) as http:
            curl = next(line for line in lines if line.startswith("curl "))
            found = re.search(r"-d '(.*)' (http\S+)", curl)
            assert found
            sent = await http.post(found[2], content=found[1], headers={"content-type": "application/json"})
            assert sent.status_code == 202
            page = (await printed_until(process, "   ack  ")).split()[-1]
            link = next(line for line in lines if "/link/" in line)
            for place in (page, link, f"{base}/sign-in", f"{base}/p/nothing", f"{base}/link/nothing"):
                out.pages[place] = (await http.get(place)).text
            form = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', out.pages[link]))
            assert (await http.post(link, data=form)).status_code == 303
            await inside.run(http, f"{base}/")
            await inside.run(http, f"{base}/nothing/here")
            await inside.run(http, f"{base}/new-password")
            await inside.run(http, f"{base}/api/v1/docs")
    pages = out.pages | inside.pages
    for part in ("/incidents/INC-", "/alerts/alt_", "/policies/pol_", "/people/usr_", "/sources/src_", "/p/", "/link/"):
        assert any(part in place for place in pages), part
    assert len(pages) > 60
    faults = await validity.faults(pages, tmp_path)
    assert faults == [], "\n".join(faults)


@pytest.mark.parametrize(
    ("inside", "fault"),
    [
        ("<span>fine</span>", ""),
        ("<span><div>no</div></span>", "Element “div” not allowed as child of element “span”"),
        ('<b class="a" class="b">no</b>', "Duplicate attribute “class”"),
        ('<b id="a">one</b><b id="a">two</b>', "Duplicate ID"),
        ("<b>not closed", "Unclosed"),
        ('<img src="/x.png">', "must have an “alt” attribute"),
    ],
)
async def test_a_fault_is_found(tmp_path: Path, inside: str, fault: str) -> None:
    """So that the claim above can fail."""
    said = await validity.faults({"/sample": _GOOD.format(inside)}, tmp_path)
    assert (fault in "".join(said)) if fault else said == []
