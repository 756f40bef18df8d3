"""One Chromium for all journeys of a process; everybody in them has a browser context of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from tests import postgres
from tests.journeys.browser import browser
from tests.journeys.demo import Demo, demonstrated
from tests.journeys.outside import webhook
from tests.journeys.site import Site, someone_on_call
from tests.processes import address, served


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with browser() as chromium:
        yield chromium


@pytest.fixture(scope="module")
async def demo(postgres_dsn: str, chromium: Browser) -> AsyncIterator[Demo]:
    async with postgres.fresh(postgres_dsn) as dsn, demonstrated(chromium, database_url=dsn) as demo:
        yield demo


@pytest.fixture(scope="module")
async def site(postgres_dsn: str) -> AsyncIterator[Site]:
    async with postgres.fresh(postgres_dsn) as dsn, webhook() as sink:
        settings = {"database_url": dsn, "outbound_allow": "127.0.0.0/8"}
        async with served(**settings) as (_, greeting):
            yield await someone_on_call(address(greeting), sink, **settings)
