"""What the page of a source says to write into a tool is taken by the tool as it stands, and what it sends arrives."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.async_api import Browser
from tools import test_tools

from tests.journeys.browser import sign_in, somebody
from tests.journeys.outside import alertmanager, until
from tests.journeys.site import ADA, Site

pytestmark = pytest.mark.journey


async def source_of(site: Site, kind: str) -> dict[str, Any]:
    return await site.api.post("/alert_sources", name=f"Set up {kind}", kind=kind)


async def texts_of(chromium: Browser, site: Site, source: Mapping[str, Any]) -> dict[str, str]:
    """Return what the page of a source says to write, by the name of the tool."""
    async with somebody(chromium, site.base) as page:
        await sign_in(page, ADA)
        await page.goto(f"/sources/{source['id']}")
        tools = page.locator("details[name=set-up]")
        names = await tools.locator("summary .b").all_text_contents()
        return dict(zip(names, await tools.locator("pre").all_text_contents(), strict=True))


def alerts_of(site: Site, source: Mapping[str, Any]) -> Callable[[], Awaitable[list[dict[str, Any]]]]:
    async def read() -> list[dict[str, Any]]:
        return (await site.api.get(f"/alerts?source_id={source['id']}"))["data"]

    return read


async def run(*words: str, **environment: str) -> str:
    """Run a program that has to succeed; returns what it wrote."""
    said = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
    told = os.environ | test_tools.environment() | environment
    process = await asyncio.create_subprocess_exec(*words, stdout=said[0], stderr=said[1], env=told)
    out = (await process.communicate())[0].decode()
    assert process.returncode == 0, out
    return out


@pytest.mark.needs("alertmanager")
@pytest.mark.parametrize("kind", ["alertmanager", "pagerduty"])
async def test_alertmanager_takes_its_text_as_it_stands_and_delivers(
    chromium: Browser, site: Site, tmp_path: Path, kind: str
) -> None:
    """F064: `amtool` finds nothing wrong with it, and an alert fires and ends through it."""
    source = await source_of(site, kind)
    text = (await texts_of(chromium, site, source))["Alertmanager"]
    (tmp_path / "alertmanager.yml").write_text(text)
    assert "SUCCESS" in await run(str(test_tools.amtool()), "check-config", str(tmp_path / "alertmanager.yml"))
    read = alerts_of(site, source)
    async with alertmanager(text) as tool:
        labels = {"alertname": f"DiskFull{kind}", "severity": "critical"}
        await tool.fire(labels, summary="The disk is full")
        found = await until(read, bool, seconds=90)
        assert (len(found), found[0]["severity"], found[0]["status"]) == (1, 1, "triggered")
        assert "isk" in found[0]["title"]


@pytest.mark.needs("curl")
@pytest.mark.parametrize("kind", ["generic", "pagerduty"])
async def test_a_script_is_run_as_it_stands(chromium: Browser, site: Site, kind: str) -> None:
    """F063: the commands of the script open an alert, and for plain JSON end it."""
    source = await source_of(site, kind)
    script = (await texts_of(chromium, site, source))["Script"]
    curl = test_tools.curl()
    assert curl is not None
    await run("sh", "-ec", script, PATH=f"{curl.parent}:{os.environ['PATH']}")
    found = await until(alerts_of(site, source), bool)
    assert [(each["title"], each["severity"]) for each in found] == [("Disk is full on db1", 1)]
    ends = "resolved" if kind == "generic" else "triggered"
    await until(alerts_of(site, source), lambda found: found[0]["status"] == ends)


async def test_the_other_texts_can_be_read(chromium: Browser, site: Site) -> None:
    """F064: rules and contact points are YAML of the shape that their tools read, and name the source's address."""
    prometheus = await texts_of(chromium, site, await source_of(site, "alertmanager"))
    rule = msgspec.yaml.decode(prometheus["Prometheus"])["groups"][0]["rules"][0]
    assert {"alert", "expr", "for", "labels", "annotations"} == set(rule)
    assert rule["labels"]["severity"] == "critical"
    source = await source_of(site, "grafana")
    grafana = await texts_of(chromium, site, source)
    receiver = msgspec.yaml.decode(grafana["Grafana, by a file"])["contactPoints"][0]["receivers"][0]
    assert (receiver["type"], receiver["settings"]["url"]) == ("webhook", source["url"])
    assert grafana["Grafana, by hand"].strip() == source["url"]
    generic = await texts_of(chromium, site, await source_of(site, "generic"))
    assert msgspec.json.decode(generic["Any tool with a webhook"])["title"]
    await run("sh", "-nc", generic["Cron"].split("* * * ", 1)[1])
