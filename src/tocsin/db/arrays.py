"""Many ids in one parameter, however many they are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, CompoundSelect, Select, Uuid, any_, func, literal
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute

IDS = ARRAY(Uuid(as_uuid=True))


def among(column: InstrumentedAttribute[Any], ids: Collection[UUID]) -> ColumnElement[bool]:
    """Say in SQL that the column is one of these ids."""
    return column == any_(literal(list(ids), IDS))


def overlaps(column: InstrumentedAttribute[list[UUID]], ids: Collection[UUID]) -> ColumnElement[bool]:
    """Say in SQL that the column, an array, has one of these ids."""
    return column.op("&&", is_comparison=True)(literal(list(ids), IDS))


def found_among(column: InstrumentedAttribute[Any], few: Select[Any] | CompoundSelect[Any]) -> ColumnElement[bool]:
    """Say in SQL that the column is one of the ids that a query finds: it is asked once, and an index then used."""
    return column == any_(func.array(few.scalar_subquery(), type_=IDS))


def holds(one: Select[Any]) -> ColumnElement[bool]:
    """Say in SQL that there is such a row, looked for anew for each row outside.

    An `EXISTS` may be turned round into reading all such rows of the table, which is slow where few are asked about.
    """
    return one.limit(1).scalar_subquery().is_not(None)
