"""What the API shows of a row is copied from it by name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from tocsin.api.base.copying import copied
from tocsin.identity.model import TEAM_ID, USER_ID

ID = UUID("0192d1f0-5c00-7000-8000-000000000001")


@dataclass
class Row:
    id: UUID
    name: str
    created_at: datetime
    archived_at: datetime | None
    lead_id: UUID
    secret: str = "never shown"


class Out(msgspec.Struct):
    id: str
    name: str
    created_at: str
    archived_at: str | None
    lead_id: str


ROW = Row(ID, "Payments", datetime(2026, 11, 28, 9, tzinfo=UTC), None, ID)


def test_fields_of_the_same_name_are_copied_and_nothing_else() -> None:
    """F135: times and the id as they are outside; what is given comes first."""
    lead = USER_ID.write(ID)
    shown = copied(Out, ROW, TEAM_ID, lead_id=lead, name="PAYMENTS")
    assert shown == Out(TEAM_ID.write(ID), "PAYMENTS", "2026-11-28T09:00:00.000Z", None, lead)
    assert b"never" not in msgspec.json.encode(shown)


def test_an_id_of_another_kind_is_not_written_as_one_of_this() -> None:
    """F135: it would name something that there is not."""
    with pytest.raises(TypeError, match="lead_id"):
        copied(Out, ROW, TEAM_ID)
