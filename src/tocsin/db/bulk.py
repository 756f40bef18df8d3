"""Writing many rows of one table in one statement, which also is the quickest way to write one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

from sqlalchemy import BigInteger, Boolean, DateTime, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from tocsin.db.engine import Tx, encode_json
from tocsin.kit.record import Record

_TYPES: Mapping[type[object], str] = {
    BigInteger: "bigint",
    Boolean: "boolean",
    DateTime: "timestamptz",
    JSONB: "jsonb",
    LargeBinary: "bytea",
    Text: "text",
    Uuid: "uuid",
}


async def insert_rows(tx: Tx, record: type[Record], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same columns; columns that are left out get their default."""
    if not rows:
        return
    columns = tuple(rows[0])
    statement, is_json = _statement(record, columns)
    values = [
        [None if row[column] is None else encode_json(row[column]) for row in rows]
        if json
        else [row[column] for row in rows]
        for column, json in zip(columns, is_json, strict=True)
    ]
    await (await tx.raw()).execute(statement, *values)


@cache
def _statement(record: type[Record], columns: tuple[str, ...]) -> tuple[str, tuple[bool, ...]]:
    table = cast("Table", record.__table__)
    kinds: list[object] = [table.columns[column].type for column in columns]
    types = [_TYPES[type(kind)] for kind in kinds]
    names = ", ".join(f'"{column}"' for column in columns)
    arrays = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(types, start=1))
    # Names come from our own models and never from a request.
    statement = f'INSERT INTO "{table.name}" ({names}) SELECT * FROM unnest({arrays})'  # noqa: S608
    return statement, tuple(kind == "jsonb" for kind in types)
