"""Plain configuration: what has a name, some fields and a version, and of which the record says who changed what.

A domain says once how each field of a kind is checked. Its use cases say who may, lock the row, and see to what follows
from a change; making, changing and deleting it is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

from sqlalchemy.exc import IntegrityError

from tocsin.db.engine import Tx
from tocsin.db.records import insert_record
from tocsin.events.base import Change, yes_or_no
from tocsin.events.configuration import ConfigurationChanged, ConfigurationCreated, ConfigurationDeleted
from tocsin.events.log import emit
from tocsin.identity.model import Actor
from tocsin.kit.errors import Invalid
from tocsin.kit.ids import new_id
from tocsin.kit.record import Record

R = TypeVar("R", bound=Record)
# Returns a value as it is stored, or raises `Invalid`.
Check = Callable[[Any], Any]


class Configuration(Generic[R]):
    """One kind of it. `kind` is what the record calls it, `word` what people do: “There is a team of this name”.

    Its rows have the columns id, name, created_at and version, and may have updated_at. Names are unique.
    """

    def __init__(self, record: type[R], kind: str, word: str, checks: Mapping[str, Check]) -> None:
        self._record = record
        self._kind = kind
        self._word = word
        self._checks = checks
        columns = record.__table__.columns
        self._required = [
            name for name in checks if not columns[name].nullable and columns[name].server_default is None
        ]
        self._is_stamped = "updated_at" in columns

    async def create(self, tx: Tx, who: Actor, written: Mapping[str, Any], **more: Any) -> R:
        """Make one of what was written and of `more`, which nobody writes; what is left out begins as the table says.

        Raises `Invalid` for a name that is taken, and for what is left out and cannot be.
        """
        for name in self._required:
            if name not in written:
                raise Invalid(name, f"The field “{name}” is required.", code="required")
        stamps = {"created_at": tx.now} | ({"updated_at": tx.now} if self._is_stamped else {})
        row = await insert_record(tx, self._record, {"id": new_id(), **self._checked(written), **more, **stamps})
        if row is None:
            raise self._taken()
        await emit(tx, ConfigurationCreated(actor=who.ref, **self._about(row)))
        return row

    async def change(self, tx: Tx, who: Actor, row: R, written: Mapping[str, Any], *also: Change) -> R:
        """Change one that is locked; `also` is what was changed besides. Nothing happens where it is so already.

        Raises `Invalid` for a name that is taken, which loses the transaction.
        """
        new = {name: value for name, value in self._checked(written).items() if value != getattr(row, name)}
        told = [Change(field=name, old=_told(getattr(row, name)), new=_told(value)) for name, value in new.items()]
        if not told and not also:
            return row
        for name, value in new.items():
            setattr(row, name, value)
        kept = cast("Any", row)
        kept.version += 1
        if self._is_stamped:
            kept.updated_at = tx.now
        try:
            await tx.session.flush()
        except IntegrityError as error:
            raise self._taken() from error
        await emit(tx, ConfigurationChanged(actor=who.ref, **self._about(row), changes=[*told, *also]))
        return row

    async def delete(self, tx: Tx, who: Actor, row: R) -> None:
        """Delete one that is locked; the record keeps its name."""
        await tx.session.delete(row)
        await emit(tx, ConfigurationDeleted(actor=who.ref, **self._about(row)))

    def _checked(self, written: Mapping[str, Any]) -> dict[str, Any]:
        return {name: check(written[name]) for name, check in self._checks.items() if name in written}

    def _about(self, row: R) -> dict[str, Any]:
        known = cast("Any", row)
        return {"kind": self._kind, "id": known.id, "title": known.name}

    def _taken(self) -> Invalid:
        return Invalid("name", f"There is a {self._word} of this name already.", code="taken")


def _told(value: Any) -> str | None:
    """Say a value as the record shows it."""
    match value:
        case None:
            return None
        case bool():
            return yes_or_no(value)
        case datetime():
            return value.isoformat()
        case list():
            return ", ".join(str(each) for each in cast("list[object]", value))
        case _:
            return str(value)
