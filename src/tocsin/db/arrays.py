"""Many ids in one parameter, however many they are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Uuid, any_, literal
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute

IDS = ARRAY(Uuid(as_uuid=True))


def among(column: InstrumentedAttribute[Any], ids: Collection[UUID]) -> ColumnElement[bool]:
    """Say in SQL that the column is one of these ids."""
    return column == any_(literal(sorted(ids), IDS))


def overlaps(column: InstrumentedAttribute[list[UUID]], ids: Collection[UUID]) -> ColumnElement[bool]:
    """Say in SQL that the column, an array, has one of these ids."""
    return column.op("&&", is_comparison=True)(literal(sorted(ids), IDS))
