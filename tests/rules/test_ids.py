"""Identifiers."""

import pytest

from tocsin.incidents.model import INCIDENT_ID
from tocsin.kit import ids
from tocsin.kit.errors import NotFound


def test_ids_are_version_7_sorted_and_read_back() -> None:
    """API: ids are prefixed and sort by time, inside and outside."""
    made = [ids.new_id() for _ in range(200)]
    assert all(id.version == 7 and id.variant == "specified in RFC 4122" for id in made)
    assert [id.int >> 64 for id in made] == sorted(id.int >> 64 for id in made)
    written = [INCIDENT_ID.write(id) for id in made]
    assert [INCIDENT_ID.read(text) for text in written] == made
    assert [i for _, i in sorted(zip(written, made, strict=True))] == sorted(made)


@pytest.mark.parametrize(
    "text",
    ["", "inc_", "alt_01j", "inc_" + "0" * 25, "inc_" + "z" * 26, "inc_" + "U" * 26, "inc_" + "0" * 27, "\x00", "inc"],
)
def test_anything_else_is_not_found(text: str) -> None:
    """API: 404 for malformed ids."""
    with pytest.raises(NotFound):
        INCIDENT_ID.read(text)
