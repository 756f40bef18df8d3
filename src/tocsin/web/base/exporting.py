"""A list as a table for a spreadsheet, however long it is."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from litestar.response import Stream

R = TypeVar("R")

# What a spreadsheet takes for the beginning of a formula, in full width too. Where decimals have a comma it divides
# cells by semicolons, and knows no quotation mark within one: what follows a semicolon or a new line may begin a cell
# as well.
_FORMULA = re.compile(r"(^|[;\t\r\n]) *(?=[=+\-@\t\r\uff1d\uff0b\uff0d\uff20])")


def cell(value: object) -> str:
    """Write a value as a text that is no formula."""
    text = "" if value is None else value.isoformat() if isinstance(value, datetime) else str(value)
    return _FORMULA.sub(r"\g<0>'", text)


def exported(name: str, columns: Mapping[str, Callable[[R], object]], portions: AsyncIterable[Sequence[R]]) -> Stream:
    """Answer with a table of values between commas, portion after portion; no cell of it can become a formula."""

    async def lines() -> AsyncGenerator[str]:
        yield "\ufeff" + _line(list(columns))
        async for rows in portions:
            yield "".join(_line([cell(read(row)) for read in columns.values()]) for row in rows)

    return Stream(
        lines,
        media_type="text/csv",
        headers={"content-disposition": f'attachment; filename="{name}.csv"', "cache-control": "no-store"},
    )


def _line(cells: Sequence[str]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerow(cells)
    return written.getvalue()
