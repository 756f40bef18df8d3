"""The glossary is of this code: what it says where a word is declared is there, and no word stands twice."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "tocsin"
_ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")


def _rows() -> list[tuple[str, str]]:
    """Each word, and where it is declared."""
    rows = [(row[0].strip(), row[2]) for row in _ROW.findall((ROOT / "docs" / "glossary.md").read_text())]
    return [(term, where) for term, where in rows if term != "term" and not term.startswith("-")]


def _is_there(named: str) -> bool:
    path, _, name = named.partition(".") if "/" in named else ("", "", named)
    if path:
        places = [SOURCE / f"{path}.py", SOURCE / path / "__init__.py"]
        files = [place for place in places if place.is_file()]
        return bool(files) and _declares(files, name)
    owner, _, attribute = name.partition(".")
    files = [each for each in SOURCE.rglob("*.py") if re.search(rf"^class {owner}\b", each.read_text(), re.MULTILINE)]
    return bool(files) and _declares(files, attribute)


def _declares(files: list[Path], name: str) -> bool:
    pattern = rf"^ *(?:class|def|async def) {name}\b|^ *{name}(?:: [^=\n]+)?(?: =|$)"
    return not name or any(re.search(pattern, file.read_text(), re.MULTILINE) for file in files)


def test_every_word_is_where_the_glossary_says() -> None:
    missing = [
        f"{term}: {named}"
        for term, where in _rows()
        for named in _CODE.findall(where)
        if "<" not in named and "*" not in named and named not in ("web", "api", "cli") and not _is_there(named)
    ]
    assert len(_rows()) > 50
    assert not missing


def test_no_word_stands_twice() -> None:
    terms = [word.strip() for term, _ in _rows() for word in term.split(",")]
    assert not {term for term in terms if terms.count(term) > 1}
