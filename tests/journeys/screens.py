"""Pictures of every page of the demo, for people to look at.

    make screens                        all of them, into .cache/screens
    make screens SCREENS="incident"     those whose name has one of these words

Each is taken at 1440, 1024, 900 and 390 px, light and dark, and once in forced colours, at 400 % and without
JavaScript: `incident-390-dark.png`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from playwright.async_api import Browser

from tests.journeys.browser import browser, somebody
from tests.journeys.demo import Demo, demonstrated
from tests.processes import data_directory

OUT = Path(".cache/screens")
WAYS: dict[str, dict[str, Any]] = {
    f"{width}-{scheme}": {"width": width, "color_scheme": scheme}
    for width in (1440, 1024, 900, 390)
    for scheme in ("light", "dark")
} | {
    "1440-forced": {"forced_colors": "active"},
    "390-forced-dark": {"width": 390, "forced_colors": "active", "color_scheme": "dark"},
    "320-zoomed": {"viewport": {"width": 320, "height": 256}},
    "1440-no-script": {"javascript": False},
}


async def take(chromium: Browser, demo: Demo, wanted: list[str]) -> None:
    """Take each page in each way, the whole of it."""
    for way, looks in WAYS.items():
        for pages, state in ((demo.pages, {"storage_state": demo.signed_in}), (demo.bare, {})):
            async with somebody(chromium, demo.base, **looks, **state) as page:
                for name, path in pages.items():
                    if wanted and not any(word in name for word in wanted):
                        continue
                    await page.goto(path)
                    # `caret`: without it the browser is given a style that our policy forbids.
                    file = OUT / f"{name.replace(' ', '-')}-{way}.png"
                    await page.screenshot(path=file, full_page=way != "320-zoomed", caret="initial")


async def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    with data_directory() as data:
        async with browser() as chromium, demonstrated(chromium, data_dir=str(data)) as demo:
            await take(chromium, demo, sys.argv[1:])
    print(f"The pictures are in {OUT}.")


if __name__ == "__main__":
    asyncio.run(main())
