"""axe-core, the judge of accessibility, put into a page as it is (the policy of the page lets nobody load it)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.async_api import Page

AXE = Path(__file__).with_name("vendor").joinpath("axe.min.js").read_text(encoding="utf-8")


async def findings(page: Page, name: str, leaving_out: Sequence[str] = ()) -> list[str]:
    """Return what axe has against the page, in one line each, but for what these selectors find."""
    await page.evaluate(AXE)
    results: Any = await page.evaluate(
        "(out) => axe.run({exclude: out.map((each) => [each])}, {resultTypes: ['violations']})", list(leaving_out)
    )
    return [
        f"{name}: {rule['id']} ({rule['help']}) at {', '.join(str(node['target'][0]) for node in rule['nodes'][:3])}"
        for rule in results["violations"]
    ]
