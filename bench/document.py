"""docs/performance.md: what `make bench` writes, and the section that `make bench-growth` does."""

from __future__ import annotations

from pathlib import Path

OUT = Path(__file__).parent.parent / "docs" / "performance.md"
HEADING = "## Growth"


def write(text: str) -> None:
    """Write all but the section about growth, which stays as it is."""
    _put(text, _growth(OUT.read_text()) if OUT.exists() else "")


def write_growth(section: str) -> None:
    """Write that section, and leave the rest."""
    print(section)
    text = OUT.read_text()
    _put(text.replace(_growth(text), "") if _growth(text) else text, section)


def _growth(text: str) -> str:
    at = text.find(HEADING)
    return text[at:] if at >= 0 else ""


def _put(text: str, growth: str) -> None:
    OUT.write_text(text.rstrip() + "\n" + (f"\n{growth.rstrip()}\n" if growth else ""))
