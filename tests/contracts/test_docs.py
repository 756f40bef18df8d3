"""The documents name only what exists: pages, commands, settings, addresses, figures, events."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import httpx
import pytest

from tests.world import World
from tocsin.alerts.sources import ADAPTERS
from tocsin.api.intake import PAGERDUTY_PATH
from tocsin.cli import main
from tocsin.edge.metrics import Metrics
from tocsin.events.words import CLASSES
from tocsin.identity.access import ALL
from tocsin.settings import SETTINGS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
# Read before anything else, so it stands in no table of settings.
_NO_SETTINGS = {"TOCSIN_CONFIG", "TOCSIN_SERVER", "TOCSIN_TOKEN"}


def _pages() -> list[Any]:
    return [pytest.param(page, id=page.relative_to(ROOT).as_posix()) for page in PAGES]


def _prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text())


def _shell(page: Path) -> str:
    return "\n".join(
        code.replace("\\\n", " ") for language, code in _FENCE.findall(page.read_text()) if language == "sh"
    )


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _links(page: Path) -> Iterator[tuple[Path, str]]:
    for target in _LINK.findall(_prose(page)):
        parts = urlsplit(target)
        if not parts.scheme:
            yield ((page.parent / parts.path).resolve() if parts.path else page), parts.fragment


@pytest.mark.parametrize("page", _pages())
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, fragment in _links(page):
        assert target.exists(), f"there is no {target}"
        assert target.is_relative_to(ROOT), f"{target} is outside"
        if fragment and target.suffix == ".md" and target.exists():
            assert fragment in _anchors(target), f"{target.name} has no heading #{fragment}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        waiting += [target for target, _ in _links(page)]
    assert set(PAGES) <= reached


@pytest.mark.parametrize("page", _pages())
def test_every_json_example_can_be_read(page: Path) -> None:
    for language, code in _FENCE.findall(page.read_text()):
        if language == "json":
            json.loads(code)


@pytest.mark.parametrize("page", _pages())
def test_every_command_and_option_exists(page: Path) -> None:
    # In code a command stands at its beginning or, in a shell, at the beginning of a line or behind a path.
    spans = [code for code in _CODE.findall(_prose(page)) if code.startswith("tocsin ")]
    lines = re.findall(r"(?:^|/|env .* )(tocsin [a-z].*)$", _shell(page), re.MULTILINE)
    for said in [*spans, *lines]:
        _check_command(said.partition("#")[0].partition(">")[0])


def _check_command(said: str) -> None:
    command: click.Command = main
    for word in said.split()[1:]:
        if isinstance(command, click.Group) and not word.startswith("-"):
            found = command.commands.get(word)
            assert found is not None, f"there is no command in “{said}”"
            command = found
        elif word.startswith("--"):
            options = {name for parameter in command.params for name in parameter.opts}
            assert word.partition("=")[0] in options | {"--help", "--version"}, f"there is no option {word} in “{said}”"


@pytest.mark.parametrize("page", _pages())
def test_every_setting_exists(page: Path) -> None:
    known = {setting.variable for setting in SETTINGS} | _NO_SETTINGS
    for name in set(re.findall(r"\bTOCSIN_[A-Z_]*[A-Z]\b", page.read_text())):
        assert name in known or name.removesuffix("_FILE") in known, f"there is no setting {name}"


@pytest.mark.parametrize("page", _pages())
def test_every_figure_exists(page: Path) -> None:
    known: set[str] = set()
    for family in Metrics().registry.collect():
        known |= {family.name, *(family.name + end for end in ("_total", "_bucket", "_count", "_sum"))}
    ours = r"\btocsin_(?:intake|http|job|queue|deliveries|live)_?[a-z_]*"
    for name in set(re.findall(ours, page.read_text())):
        assert name in known, f"there is no figure {name}"


def test_every_figure_is_explained() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    for family in Metrics().registry.collect():
        if family.name.startswith("tocsin_"):
            assert f"`{family.name}" in page, family.name


def test_every_event_is_listed_and_every_listed_one_exists() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    section = page[page.index("## The record") : page.index("## The live stream")]
    listed = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", section)) - ALL
    # Defined, and not written by anything yet.
    assert listed == set(CLASSES)


def test_every_permission_is_listed() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    assert not [permission for permission in ALL if f"`{permission}`" not in page]


def _shape(path: str) -> str:
    """Write every variable part of an address in the same way."""
    path = re.sub(r"\{[^}]*\}|\$\w+|…|<[^>]*>", "*", path.partition("?")[0].rstrip("/."))
    return re.sub(r"/(?:INC-\d+|[a-z]{2,3}_\w{26})(?=/|$)", "/*", path)


async def test_every_address_of_the_api_exists(world: World) -> None:
    transport = httpx.ASGITransport(app=world.app.asgi())  # pyright: ignore
    async with httpx.AsyncClient(transport=transport, base_url="http://tocsin.example") as client:
        document = (await client.get("/api/v1/openapi.json")).json()
    known = {_shape(path) for path in document["paths"]} | {"/api/v1", "/api/v1/openapi.json", "/api/v1/docs"}
    missing: set[str] = set()
    for page in PAGES:
        text = page.read_text().replace("$API/", "/api/v1/")
        for path in re.findall(r"/api/v1(?:/[\w{}$<>…\-/.]*)?", text):
            if _shape(path) not in known:
                missing.add(f"{page.name}: {path}")
    assert not missing


async def test_every_path_for_machines_exists(world: World) -> None:
    kinds = {kind for page in PAGES for kind in re.findall(r"/in/([a-z]+)/", page.read_text())}
    assert kinds and kinds <= set(ADAPTERS)
    compatible = {path for page in PAGES for path in re.findall(r"/compat/[\w/\-.]+", page.read_text())}
    assert compatible == {PAGERDUTY_PATH}
    transport = httpx.ASGITransport(app=world.app.asgi())  # pyright: ignore
    async with httpx.AsyncClient(transport=transport, base_url="http://tocsin.example") as client:
        for path in ("/healthz", "/metrics", "/readyz"):
            assert (await client.get(path)).status_code in (200, 503), path


# What people who look for such a product expect and do not find here; a line goes when the thing is there.
NOT_BUILT = """
schedules rotations overrides calendars holidays SMS voice push chat silences maintenance grouping merging heartbeats
inbound checks types templates fields priority watchers services impact hypotheses tickets action
runbooks automations status subscribers post-mortems reports single second provisioning organisation
limits deleting erasure languages
"""


def test_the_readme_says_all_that_is_not_built() -> None:
    """F001 to F143: nobody installs it for something that it does not have."""
    said = (ROOT / "README.md").read_text().partition("Not built yet:")[2].partition("\n## ")[0].lower()
    missing = [word for word in NOT_BUILT.split() if re.search(rf"\b{word.lower()}", said) is None]
    assert missing == []


def test_the_readme_names_the_sources_and_channels_that_there_are() -> None:
    """F063, F124: what is built is told apart from what is not."""
    said = (ROOT / "README.md").read_text().partition("Not built yet:")[2]
    names = {
        "alertmanager": "Alertmanager",
        "grafana": "Grafana",
        "generic": "any JSON",
        "pagerduty": "PagerDuty events",
    }
    assert set(names) == set(ADAPTERS), "Name the new source in README.md and here."
    assert all(name in said for name in names.values())
