"""Writing a row as the API shows it: what is called the same is copied, times and the id are written for outside."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from tocsin.kit.clock import stamp
from tocsin.kit.ids import IdKind

Out = TypeVar("Out", bound=msgspec.Struct)


def copied(out: type[Out], row: object, ids: IdKind, **given: Any) -> Out:
    """Return what the API shows of a row: each field is what is `given`, or else the attribute of its name.

    Ids of other things are not copied, as they are of other kinds: they have to be given.
    """
    copies = {name: getattr(row, name) for name in out.__struct_fields__ if name not in given}
    return out(**given, **{name: _written(name, value, ids) for name, value in copies.items()})


def _written(name: str, value: Any, ids: IdKind) -> Any:
    if isinstance(value, UUID):
        if name != "id":
            raise TypeError(f"The id in {name} is of another kind: say how it is written.")
        return ids.write(value)
    return stamp(value) if isinstance(value, datetime) else value
