"""docs/settings.md says what the program does."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tocsin.cli import settings_page
from tocsin.settings import SETTINGS, Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_is_what_the_program_prints() -> None:
    assert PAGE.read_text() == settings_page.render(), "write it anew: tocsin settings > docs/settings.md"


def test_every_setting_has_its_row() -> None:
    fields = [field.name for field in dataclasses.fields(Settings)]
    assert sorted(fields) == sorted(setting.name for setting in SETTINGS)
    rows = [line.split("`")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `TOCSIN_")]
    assert rows == [setting.variable for setting in SETTINGS]
