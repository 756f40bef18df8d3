"""What the W3C's checker of HTML, vnu, has against pages. It speaks neither htmx nor is told to."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path

from tools import test_tools

# Attributes of htmx stand beside those of HTML. What is only advice is left to the reader.
_OF_HTMX = re.compile(r"Attribute “hx-[^”]*” not allowed on element")
# What is fetched into a page is looked at as if it stood in one.
_AROUND = '<!doctype html><html lang="en"><meta charset="utf-8"><title>A part</title><body>{}</body></html>'


async def faults(pages: Mapping[str, str], folder: Path) -> list[str]:
    """Return the errors of all these pages, each kind once, with where it was found first."""
    names: dict[str, str] = {}
    for n, (place, html) in enumerate(pages.items()):
        path = folder / f"{n}.html"
        is_page = html.lstrip().lower().startswith("<!doctype")
        path.write_text(html if is_page else _AROUND.format(html), encoding="utf-8")
        names[path.name] = place
    java, jar = test_tools.vnu_command()
    words = [str(java), "-Xss4m", "-jar", str(jar), "--format", "json", "--errors-only", "--exit-zero-always"]
    words += [str(folder / name) for name in names]
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    checker = await asyncio.create_subprocess_exec(*words, stdin=nothing, stdout=nothing, stderr=pipe)
    _, said = await checker.communicate()
    assert checker.returncode == 0, said.decode()
    found: dict[str, str] = {}
    for message in json.loads(said)["messages"]:
        text = message["message"]
        if not _OF_HTMX.match(text):
            place = names[message["url"].rpartition("/")[2]]
            found.setdefault(re.sub(r"“[^”]{30,}”", "“…”", text), f"{place}: {message.get('extract', '').strip()}")
    return [f"{text} {where}" for text, where in found.items()]
