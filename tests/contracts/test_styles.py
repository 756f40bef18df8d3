"""How style sheets and templates are written: in lines that can be reviewed and merged, a folder for each area."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tocsin.web.base import assets

CSS = assets.FOLDER / "css"
FILES = sorted(CSS.rglob("*.css"))
LONGEST_FILE = 400
LONGEST_LINE = 120
TEMPLATES = assets.FOLDER.parent / "templates"
# Markup is wider than code: a tag and its content are one thing.
LONGEST_LINE_OF_A_TEMPLATE = 160
# What may hold a brace or a semicolon without meaning one.
_QUOTED = re.compile(r"/\*.*?\*/|\"[^\"]*\"|'[^']*'", re.DOTALL)


def faults(text: str) -> list[str]:
    """Return the lines that hold more than one declaration, selector or brace, and those that nobody can review."""
    plain = _QUOTED.sub(lambda found: re.sub(r"[^\n]", "x", found[0]), text)
    found: list[str] = []
    for line, shown in zip(plain.splitlines(), text.splitlines(), strict=True):
        ends = line.count(";") + line.count("{") + line.count("}")
        if ends > 1 or (ends and line.rstrip()[-1] not in ";{}"):
            found.append(f"more than one thing: {shown}")
        if len(shown) > LONGEST_LINE and "url(" not in shown:
            found.append(f"too long: {shown}")
    if plain.count("{") != plain.count("}"):
        found.append("braces that do not match would let rules out of their layer")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CSS).as_posix())
def test_a_style_sheet_can_be_reviewed(path: Path) -> None:
    text = path.read_text()
    assert faults(text) == []
    assert len(text.splitlines()) <= LONGEST_FILE, "split it by subject"
    assert "@layer" not in text, "the folder says the layer"


@pytest.mark.parametrize("text", [".a { b: c; }", ".a {\n  b: c; d: e;\n}", ".a {\n  b: c;\n}}", f"/* {'x' * 120} */"])
def test_a_style_sheet_that_cannot_be_reviewed_is_found(text: str) -> None:
    """So that the claim above can fail."""
    assert faults(text)


def test_every_file_stands_in_a_layer() -> None:
    """A file anywhere else would be served to nobody."""
    assert {path.parent.relative_to(CSS).as_posix() for path in FILES} == set(assets.LAYERS)


def described(text: str) -> set[str]:
    """Return the classes that a sheet describes by themselves, and not only within or beside others."""
    found: set[str] = set()
    inside: list[str] = []
    for line in text.splitlines():
        if line.endswith("{"):
            inside.append(line.strip(" {"))
        elif line.strip() == "}":
            inside.pop()
        elif len(inside) == 1 and re.fullmatch(r"\s+[\w-]+: .*;", line):
            found |= {each for each in inside[0].split(", ") if re.fullmatch(r"\.[\w-]+", each)}
    return found


def states(text: str) -> set[str]:
    """Return the classes by which a sheet tells states of its own things apart."""
    return set(re.findall(r"&(\.[\w-]+)", text))


# Colours say what the things around them mean, wherever they stand.
_COLOURS = {f".{name}" for name in ("red", "orange", "amber", "green", "blue", "violet", "teal", "slate")}


def test_no_component_is_called_like_a_state_of_another() -> None:
    """What is not reached yet of an incident stood in the boxes of a list of action items, which had its name."""
    assert states(".a {\n  &.b {\n") == {".b"}
    texts = {path.name: path.read_text() for path in FILES}
    where = {name: file for file, text in texts.items() for name in described(text) - _COLOURS}
    assert [
        (name, file) for file, text in texts.items() for name in states(text) if where.get(name, file) != file
    ] == []


def test_a_component_is_described_in_one_file() -> None:
    """3: the box of a row and a hit of the palette had one name, and a hit was as wide as a box."""
    assert described(".a {\n  b: c;\n}\n.d {\n  .e {\n    b: c;\n  }\n}") == {".a"}
    where: dict[str, list[str]] = {}
    for path in FILES:
        for name in described(path.read_text()):
            where.setdefault(name, []).append(path.name)
    assert {name: files for name, files in where.items() if len(files) > 1} == {}


def test_pages_get_one_sheet_with_every_rule_in_its_layer() -> None:
    sheet = assets.style_sheet(CSS)
    assert sheet.startswith("@layer base,ui,areas,adapt;@layer base{")
    at = [sheet.index(f"@layer {layer}{{") for layer in assets.LAYERS]
    assert at == sorted(at) and len(re.findall(r"@layer \w+\{", sheet)) == len(assets.LAYERS)
    for layer, start, end in zip(assets.LAYERS, at, [*at[1:], len(sheet)], strict=True):
        for path in (CSS / layer).glob("*.css"):
            for selector in re.findall(r"(?m)^([.#][\w-]+) \{", path.read_text()):
                assert f"{selector}{{" in sheet[start:end], (layer, selector)


def test_the_files_behind_the_sheet_are_not_served() -> None:
    with pytest.raises(KeyError):
        assets.url("css/ui/buttons.css")


@pytest.mark.parametrize(
    "path", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: path.relative_to(TEMPLATES).as_posix()
)
def test_no_line_of_a_template_is_wider_than_a_review(path: Path) -> None:
    wide = [n for n, line in enumerate(path.read_text().splitlines(), 1) if len(line) > LONGEST_LINE_OF_A_TEMPLATE]
    assert not wide


def test_a_page_of_an_area_stands_in_its_folder() -> None:
    """Beside the folders stand the two shells, what they are made of, and what several areas show."""
    beside = {path.name for path in TEMPLATES.glob("*.html") if not path.name.startswith("_")}
    assert beside == {"ask.html", "base.html", "bare.html", "by_link.html", "error.html", "error_in_shell.html"}
