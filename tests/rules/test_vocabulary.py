"""What severities, states and roles are called: each value has a word, and each sign is there."""

from __future__ import annotations

import re
from pathlib import Path

from tocsin.events import vocabulary
from tocsin.incidents.model import IncidentRole, Status

STATIC = Path(vocabulary.__file__).parents[1] / "web" / "static"


def test_every_value_has_its_word() -> None:
    """F019: a status without a word would break the page of the first incident that has it."""
    assert list(vocabulary.STATUSES) == [status.value for status in Status]
    assert set(vocabulary.ROLES) == {role.value for role in IncidentRole}
    assert list(vocabulary.SEVERITIES) == [1, 2, 3, 4, 5]


def test_every_sign_and_every_tone_is_there() -> None:
    """F019: an icon that is not in the sprite is an empty place."""
    signs = set(re.findall(r'id="([\w-]+)"', (STATIC / "glyphs.svg").read_text()))
    styles = "".join(path.read_text() for path in STATIC.glob("css/*/*.css"))
    for word in (*vocabulary.SEVERITIES.values(), *vocabulary.STATUSES.values()):
        assert word.icon in signs
        assert re.search(rf"\.{word.tone}\b", styles)
