"""docs/performance.md: what `make bench` writes, and the sections that other runs do."""

from __future__ import annotations

from pathlib import Path

OUT = Path(__file__).parent.parent / "docs" / "performance.md"
# Each has a run of its own; they stand in this order behind all else.
SECTIONS = ("## Browser", "## Weight", "## Growth")


def write(text: str) -> None:
    """Write all but those sections, which stay as they are."""
    _, sections = _read()
    _put(text, sections)


def write_section(section: str) -> None:
    """Write the section that begins with its heading, and leave the rest."""
    print(section)
    text, sections = _read()
    _put(text, sections | {section.partition("\n")[0]: section})


def _read() -> tuple[str, dict[str, str]]:
    """Return what stands before the sections, and each of them."""
    text = OUT.read_text() if OUT.exists() else ""
    sections: dict[str, str] = {}
    for heading in reversed(SECTIONS):
        at = text.find(f"{heading}\n")
        if at >= 0:
            text, sections[heading] = text[:at], text[at:]
    return text, sections


def _put(text: str, sections: dict[str, str]) -> None:
    parts = [text, *(sections[heading] for heading in SECTIONS if heading in sections)]
    OUT.write_text("\n".join(f"{part.rstrip()}\n" for part in parts))
