"""Plain configuration: what has a name, some fields and a version, and of which the record says who changed what.

A domain declares the fields of a kind once, as a `TypedDict`, with how long each may be. Its use cases say who may,
lock the row, and see to what follows from a change; checking, making, changing and deleting it is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Generic, TypeVar, cast, get_type_hints
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from tocsin.db.engine import Tx
from tocsin.db.records import insert_record, lock_names
from tocsin.events.base import Change, Subject, yes_or_no
from tocsin.events.configuration import ConfigurationChanged, ConfigurationCreated, ConfigurationDeleted
from tocsin.events.log import emit
from tocsin.events.since import left_alone
from tocsin.identity.accounts import clean_name, clean_text
from tocsin.identity.model import Actor
from tocsin.kit.changes import Copy, limits_of
from tocsin.kit.errors import Invalid
from tocsin.kit.ids import new_id
from tocsin.kit.record import Record

R = TypeVar("R", bound=Record)
# Returns a value as it is stored, or raises `Invalid`.
Check = Callable[[Any], Any]


class Configuration(Generic[R]):
    """One kind of it, called as its table is. `fields` declares what can be written.

    A name, a text with a limit, and what is yes or no are checked by that; `checks` are for all else, and for what has
    more rules. Its rows have the columns id, name, created_at and version, and may have updated_at. A name is there
    once, in any case of letters.
    """

    def __init__(
        self, record: type[R], fields: type[Mapping[str, Any]], checks: Mapping[str, Check] | None = None
    ) -> None:
        self._record = record
        self._kind = record.__tablename__
        self._checks = checks = {**_plain_checks(fields), **(checks or {})}
        if unchecked := get_type_hints(fields).keys() - checks.keys():
            raise TypeError(f"Say how {sorted(unchecked)} of {self._kind} are checked: by a limit, or in `checks`.")
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
        checked = self._checked(written)
        await self._must_be_free(tx, checked["name"])
        row = await insert_record(tx, self._record, {"id": new_id(), **checked, **more, **stamps})
        if row is None:
            raise self._taken()
        await emit(tx, ConfigurationCreated(actor=who.ref, **self._about(row)))
        return row

    async def change(
        self, tx: Tx, who: Actor, row: R, written: Mapping[str, Any], *also: Change, if_version: Copy = None
    ) -> R:
        """Change one that is locked; `also` is what was changed besides. Nothing happens where it is so already.

        Raises `Invalid` for a name that is taken, and `Stale` as `events.since.left_alone` does.
        """
        new = {name: value for name, value in self._checked(written).items() if value != getattr(row, name)}
        told = [Change(field=name, old=_told(getattr(row, name)), new=_told(value)) for name, value in new.items()]
        left = await self._left_alone(tx, row, told, if_version)
        new = {name: value for name, value in new.items() if name not in left}
        told = [each for each in told if each.field not in left]
        if not told and not also:
            return row
        kept = cast("Any", row)
        if "name" in new:
            await self._must_be_free(tx, new["name"], but=kept.id)
        for name, value in new.items():
            setattr(row, name, value)
        kept.version += 1
        if self._is_stamped:
            kept.updated_at = tx.now
        try:
            await tx.session.flush()
        except IntegrityError as error:
            raise self._taken() from error
        about = self._about(row)
        await emit(tx, ConfigurationChanged(actor=who.ref, **about, version=kept.version, changes=[*told, *also]))
        return row

    async def delete(self, tx: Tx, who: Actor, row: R) -> None:
        """Delete one that is locked; the record keeps its name."""
        await tx.session.delete(row)
        await emit(tx, ConfigurationDeleted(actor=who.ref, **self._about(row)))

    async def _left_alone(self, tx: Tx, row: R, told: list[Change], copy: Copy) -> frozenset[str]:
        kept = cast("Any", row)
        called = f"this {self._kind.replace('_', ' ')}"
        return await left_alone(tx, Subject(self._kind, kept.id), kept.version, copy, told, called)

    def _checked(self, written: Mapping[str, Any]) -> dict[str, Any]:
        return {name: check(written[name]) for name, check in self._checks.items() if name in written}

    def _about(self, row: R) -> dict[str, Any]:
        known = cast("Any", row)
        return {"kind": self._kind, "id": known.id, "title": known.name}

    async def _must_be_free(self, tx: Tx, name: str, *, but: UUID | None = None) -> None:
        # Which letters belong together is said here and not by the database, where it depends on the locale.
        taken = await lock_names(tx, self._record)
        if name.casefold() in {each.casefold() for id, each in taken.items() if id != but}:
            raise self._taken()

    def _taken(self) -> Invalid:
        return Invalid("name", f"There is a {self._kind.replace('_', ' ')} of this name already.", code="taken")


def _plain_checks(fields: type[Mapping[str, Any]]) -> dict[str, Check]:
    """Return how the fields are checked that need no more than how they are declared."""
    texts: dict[str, Check] = {
        name: partial(clean_text, longest=longest, field=name) for name, longest in limits_of(fields).items()
    }
    return {
        name: clean_name if name == "name" else bool if kind is bool else texts[name]
        for name, kind in get_type_hints(fields).items()
        if kind is bool or (kind is str and name in texts)
    }


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
