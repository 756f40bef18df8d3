"""The base of every stored record: one metadata, one naming rule, the column types we use. No session, no query."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, DateTime, MetaData, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

# Constraint names are stable, so that migrations can name what they change.
_NAMES = {
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "pk": "%(table_name)s_pkey",
}

# What users define or vendors send; everything else has a column of its own.
JsonObject = dict[str, Any]
JsonList = list[dict[str, Any]]


class Record(DeclarativeBase):
    """A row. Subclasses declare `Mapped[...]` columns; relationships are not used, queries say what they join."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map = {  # noqa: RUF012  SQLAlchemy reads this as a plain class attribute.
        datetime: DateTime(timezone=True),
        UUID: Uuid(as_uuid=True),
        str: Text(),
        int: BigInteger(),
        list[str]: ARRAY(Text()),
        list[UUID]: ARRAY(Uuid(as_uuid=True)),
        JsonObject: JSONB(none_as_null=True),
        JsonList: JSONB(none_as_null=True),
    }


def one_of(column: str, words: Iterable[StrEnum]) -> str:
    """Write the CHECK that keeps a text column to these words, such as all of a `StrEnum`."""
    return f"{column} IN ({', '.join(repr(word.value) for word in words)})"
