"""Areas do not know each other: what two of them need stands below them.

In `parts` and `shapes` stands what belongs to the product's things, in `base` what any page or resource is made with.
An area is a folder or a module in `web` or `api`; it is there by being there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import tocsin

ROOT = Path(tocsin.__file__).parent
# What areas import, the highest first.
BELOW = {"web": ("parts", "base"), "api": ("shapes", "base")}


def areas(surface: str) -> list[str]:
    found = {
        path.stem for path in (ROOT / surface).iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    return sorted(found - {"__init__", *BELOW[surface]})


def modules(surface: str, area: str) -> list[Path]:
    place = ROOT / surface / area
    return sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]


def imported(source: str, surface: str) -> Iterator[str]:
    """The areas, and what is below them, that a module imports: by their names below `tocsin.<surface>`."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{each.name}" for each in node.names]
        for name in names:
            match name.split("."):
                case ["tocsin", of, part, *_] if of == surface:
                    yield part


@pytest.mark.parametrize("surface", BELOW)
def test_areas_do_not_import_each_other(surface: str) -> None:
    """Nor does what is below them import an area, or `base` the rest."""
    known = areas(surface)
    assert known
    allowed = {area: {area, *BELOW[surface]} for area in known}
    allowed |= {part: set(BELOW[surface][at:]) for at, part in enumerate(BELOW[surface])}
    wrong = [
        f"{path.relative_to(ROOT)} imports {part}"
        for area, may in allowed.items()
        for path in modules(surface, area)
        for part in imported(path.read_text(), surface)
        if part not in may
    ]
    assert wrong == [], f"Put what both need into {' or '.join(BELOW[surface])}."


@pytest.mark.parametrize(
    "source",
    ["import tocsin.web.teams", "from tocsin.web.teams import pages", "from tocsin.web import teams, parts"],
)
def test_every_way_to_import_is_seen(source: str) -> None:
    """So that the claim above can fail."""
    assert "teams" in list(imported(source, "web"))
