"""What people send from a page: reading a form into typed values, and what to show again when it is refused."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast, get_origin, get_type_hints
from urllib.parse import urlsplit
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.edge import reading
from tocsin.edge.context import AppRequest, Context
from tocsin.edge.csrf import FIELD
from tocsin.identity import service as identity
from tocsin.identity.model import Actor
from tocsin.kit.changes import Seen
from tocsin.kit.crypto import digest
from tocsin.kit.errors import Conflict, FieldError, Invalid, NotFound, Problem, Stale, Theirs, TooMany, Unavailable
from tocsin.kit.ids import IdKind
from tocsin.kit.text import storable

F = TypeVar("F", bound=Mapping[str, Any])

_LARGEST = 2**31 - 1
# The hidden field by which a form that was sent twice is recognised.
ONE_TIME = "form_id"
# How many people, teams or policies a menu offers.
MOST_CHOICES = 500


class Form:
    """The fields of one form. Every reader raises `Invalid` for the field when it does not hold such a value."""

    def __init__(self, fields: Mapping[str, list[str]]) -> None:
        self._fields = fields

    def text(self, name: str) -> str:
        """Return the field's last value as it was sent, empty when it was not."""
        return self._fields.get(name, [""])[-1]

    def texts(self, name: str) -> list[str]:
        """Return every value of a repeated field."""
        return list(self._fields.get(name, ()))

    def words(self, name: str) -> list[str]:
        """Return what stands between the commas of a field."""
        return self.text(name).split(",")

    def whole(self, name: str, *, least: int = 0, most: int = _LARGEST) -> int:
        """Return a whole number."""
        text = self.text(name).strip()
        if not (text.isascii() and text.isdecimal() and len(text) <= 10 and least <= int(text) <= most):
            raise Invalid(
                name, f"Give a whole number between {least} and {most}." if most < _LARGEST else "Give a number."
            )
        return int(text)

    def optional_whole(self, name: str, *, least: int = 0, most: int = _LARGEST) -> int | None:
        """Return a whole number; None for an empty field."""
        return self.whole(name, least=least, most=most) if self.text(name).strip() else None

    def version(self) -> Seen | None:
        """Return the version that the page showed; None when the form does not say.

        Whoever was told what somebody else has done, and sends theirs anyway, says up to which version that was.
        """
        if not self.text("version"):
            return None
        return Seen(self.whole("version"), self.whole("anyway") if self.text("anyway") else 0)

    def id(self, name: str, kind: IdKind) -> UUID:
        """Return an id of this kind, such as `usr_…`."""
        try:
            return kind.read(self.text(name))
        except NotFound:
            raise Invalid(name, "Choose one of the list.") from None

    def ids(self, name: str, kind: IdKind) -> list[UUID]:
        """Return the ids of a field that can be repeated, of which there has to be one."""
        found = [Form({name: [text]}).id(name, kind) for text in self.texts(name)]
        if not found:
            raise Invalid(name, "Choose at least one.")
        return found

    def chosen(self, name: str, most: int) -> list[str]:
        """Return what was selected of a list, each once: at least one, and at most so many."""
        found = list(dict.fromkeys(self.texts(name)))
        if not 1 <= len(found) <= most:
            raise Invalid(name, f"Choose at most {most}." if found else "Choose at least one.")
        return found

    def optional_id(self, name: str, kind: IdKind) -> UUID | None:
        """Return an id of this kind; None for an empty field."""
        return self.id(name, kind) if self.text(name) else None

    def written(self, fields: type[F]) -> F:
        """Return what a form that has these fields (a `TypedDict`) says: words have commas between them.

        A box that is not ticked is not sent at all, so what is yes or no is always said.
        """
        read: Mapping[type, Callable[[str], Any]] = {
            bool: lambda name: self.text(name) == "1",
            int: self.whole,
            list: self.words,
        }
        kinds = {name: get_origin(kind) or kind for name, kind in get_type_hints(fields).items()}
        said = {
            name: read.get(kind, self.text)(name)
            for name, kind in kinds.items()
            if kind is bool or name in self._fields
        }
        return cast("F", said)

    @property
    def sent(self) -> dict[str, str]:
        """Return what may be shown again: everything but secrets."""
        return {name: values[-1] for name, values in self.lists.items()}

    @property
    def lists(self) -> dict[str, list[str]]:
        """Return all values of each field that may be shown again."""
        return {
            name: values
            for name, values in self._fields.items()
            if name not in (FIELD, ONE_TIME, "token", "version", "anyway")
            and "password" not in name
            and name != "current"
        }

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._fields)


async def read(request: AppRequest) -> Form:
    """Read a form that was sent as `application/x-www-form-urlencoded` or `multipart/form-data`; files are left out."""
    fields: dict[str, list[str]] = {}
    for name, value in await reading.form(request):
        fields.setdefault(name, []).append(storable(value))
    return Form(fields)


@dataclass(frozen=True, slots=True)
class Refused:
    """A form that was refused: the page shows it again with what was sent and what is wrong."""

    form_id: str
    form: Form
    problem: Problem

    @property
    def status(self) -> int:
        """422 when a field is wrong, 429 or 503 when one has to wait, 409 when the state does not allow it."""
        return self.problem.status if isinstance(self.problem, Invalid | TooMany | Unavailable) else 409

    @property
    def conflict(self) -> str:
        """Return the sentence for the top of the page, empty when a field is wrong or one has to wait."""
        if isinstance(self.problem, Invalid | TooMany | Unavailable):
            return ""
        return " ".join(part for part in (self.problem.message, self.problem.hint) if part)

    @property
    def theirs(self) -> tuple[Theirs, ...]:
        """Return what somebody else has done meanwhile, when that is why; the newest first."""
        return self.problem.theirs if isinstance(self.problem, Stale) else ()

    @property
    def mine(self) -> dict[str, str | None]:
        """Return what this form would write into the same fields: in the words of the record, or as it was sent."""
        said = self.problem.mine if isinstance(self.problem, Stale) else {}
        return {**self.form.sent, **said}

    @property
    def anyway(self) -> int | None:
        """Return the version by which one says that one has seen it, and means it all the same."""
        return self.problem.version if isinstance(self.problem, Stale) else None

    @property
    def errors(self) -> dict[str, str]:
        """Return field → sentence; what belongs to no field of the form stands under the empty name."""
        if not isinstance(self.problem, Invalid):
            return {"": self.conflict or self.problem.message}
        found: dict[str, str] = {}
        for error in self.problem.errors:
            name = error.pointer.removeprefix("#").removeprefix("/")
            found.setdefault(name if name in self.form.names else "", error.detail)
        return found


@dataclass(frozen=True, slots=True)
class ShownAgain(Refused):
    """A form that is shown again as it was filled in, because somebody asked for that; nothing is wrong."""

    @classmethod
    def of(cls, form_id: str, form: Form) -> ShownAgain:
        return cls(form_id, form, Invalid("", "It is shown again."))

    @property
    def status(self) -> int:
        return 200

    @property
    def errors(self) -> dict[str, str]:
        return {}


@contextmanager
def naming(fields: Mapping[str, str]) -> Generator[None]:
    """Say what is wrong at the form's own fields: `fields` leads there from those of a use case."""
    try:
        yield
    except Invalid as problem:
        raise Invalid.of(tuple(_renamed(error, fields) for error in problem.errors)) from None


def _renamed(error: FieldError, fields: Mapping[str, str]) -> FieldError:
    field = error.pointer.removeprefix("#/")
    return replace(error, pointer=f"#/{fields[field]}") if field in fields else error


UseCase = Callable[[Tx], Awaitable[object]]


async def attempt(context: Context, form: Form, form_id: str, use_case: UseCase) -> Refused | None:
    """Run a use case in a transaction; returns what to show again when the person can mend it."""

    async def within() -> None:
        async with context.db.begin() as tx:
            await use_case(tx)

    return await attempted(form, form_id, within())


async def attempted(form: Form, form_id: str, work: Awaitable[object]) -> Refused | None:
    """Await a use case that opens its own transactions; returns what to show again when the person can mend it."""
    try:
        await work
    except (Invalid, Conflict, Stale, TooMany, Unavailable) as problem:
        return Refused(form_id, form, problem)
    return None


async def once(tx: Tx, who: Actor, form: Form, *content: str) -> bool:
    """Say whether this form with this content comes for the first time; the answer counts once the caller commits.

    A second one that is sent at the same moment waits for the first. A form without a one-time field is always new.
    """
    one_time = form.text(ONE_TIME)[:64]
    if not one_time or who.user_id is None:
        return True
    said = digest("\0".join(content))
    key = f"form:{one_time}:{said.hex()[:24]}"
    if await identity.claim_idempotency(tx, who.user_id, key, said) is not None:
        return False
    await identity.complete_idempotency(tx, who.user_id, key, 303, {}, b"")
    return True


_STEP = re.compile(r"(\d{1,6})-(\d{1,6})", re.ASCII)


def read_step(text: str) -> tuple[int, int] | None:
    """Read at which round and step an escalation was when the page was shown, as `0-2`; None when it does not say."""
    found = _STEP.fullmatch(text)
    return (int(found[1]), int(found[2])) if found else None


def safe_path(text: str) -> str:
    """Return a path on this site, or nothing: what leads elsewhere is dropped.

    Browsers read `//host` and `/\\host` as another site and skip control characters.
    """
    if not text.startswith("/") or text[1:2] in ("/", "\\") or any(c <= " " or c == "\x7f" for c in text):
        return ""
    parts = urlsplit(text)
    return "" if parts.scheme or parts.netloc else text[:2000]
