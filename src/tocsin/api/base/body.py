"""Reading a request's JSON into its type, strictly, and saying what is wrong with it.

400 for what is not JSON, 415 for another content type, 422 with a JSON pointer for every field that does not fit.
Misspelt fields are refused, so that nobody believes a change was made that was not. NUL and lone surrogates, which
the store cannot hold, are replaced. A body that names a thing that is not there is a 422 too (`naming`); 404 is about
the address.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from types import NoneType
from typing import Any, ClassVar, TypeVar, cast, get_args, get_type_hints
from uuid import UUID

import msgspec
from litestar import Request
from litestar.dto import AbstractDTO
from litestar.openapi.spec import Reference, Schema
from litestar.typing import FieldDefinition

from tocsin.api.base.http import moment
from tocsin.api.base.wording import sentence, words_at
from tocsin.kit.errors import FieldError, Invalid, NotFound, Unreadable, WrongType
from tocsin.kit.ids import IdKind
from tocsin.kit.text import finite, storable_json

T = TypeVar("T")

_JSON = msgspec.json.Decoder(float_hook=finite)
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_FIELD = re.compile(r"(?:missing required|contains unknown) field `(?P<name>.*)`")
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+|\.\.\.)\]")


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of a request. `example` stands in the OpenAPI document and is tested.

    `refs` says which fields hold the id of something, or several, and of what kind.
    """

    example: ClassVar[Mapping[str, Any]]
    refs: ClassVar[Mapping[str, IdKind]] = {}


B = TypeVar("B", bound=Body)
F = TypeVar("F", bound=Mapping[str, Any])


def writes(
    fields: type[Mapping[str, Any]], *, require: Sequence[str] = (), null_is_unset: bool = False
) -> Callable[[type[B]], type[B]]:
    """Put the fields that a domain declares (a `TypedDict`) before those that a body has itself; a body's own counts.

    `require` names those that have to be there. `null_is_unset`: a null says nothing, where a merge patch would have to
    take something away; `written` leaves it out.
    """

    def with_fields(body: type[B]) -> type[B]:
        own = [(each.name, each.type, _default(each)) for each in msgspec.structs.fields(body)]
        taken = [
            (name, kind) if name in require else (name, _optional(kind, null_is_unset), msgspec.UNSET)
            for name, kind in get_type_hints(fields, include_extras=True).items()
            if name not in body.__annotations__
        ]
        said = {"__doc__": body.__doc__, "example": body.example, "refs": body.refs}
        made = msgspec.defstruct(
            body.__name__, [*taken, *own], bases=(Body,), module=body.__module__, namespace=said, kw_only=True
        )
        return cast("type[B]", made)

    return with_fields


def _optional(kind: Any, null_is_unset: bool) -> Any:
    return kind | None | msgspec.UnsetType if null_is_unset else kind | msgspec.UnsetType


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return field.default


def written(body: Body, fields: type[F]) -> F:
    """Return what a body says of the fields that it `writes`; null says nothing, but of a field that may be None."""
    said = fields_of(body)
    kinds = get_type_hints(fields)
    told = {name: said[name] for name, kind in kinds.items() if name in said and _is_said(said[name], kind)}
    return cast("F", told)


def _is_said(value: Any, kind: Any) -> bool:
    return value is not None or NoneType in get_args(kind)


def fields_of(body: Body) -> dict[str, Any]:
    """Return what a body says, by name; what a merge patch does not say is left out.

    Ids that it names are read, and times are in UTC.
    """
    kind = type(body)
    said: dict[str, Any] = {
        name: moment(name, value)
        for name in kind.__struct_fields__
        if (value := getattr(body, name)) is not msgspec.UNSET
    }
    for name, ids in kind.refs.items():
        if isinstance(text := said.get(name), str):
            with naming(name):
                said[name] = ids.read(text)
        elif text is not None:
            said[name] = ids_in(name, ids, text)
    return said


class NoBody(Body, kw_only=True):
    """A request that needs to say nothing more. The body may be left out."""

    example: ClassVar[Mapping[str, Any]] = {}


class ApiRequest(Request[Any, Any, Any]):
    """A request whose missing body is an empty object, so that an action without fields needs none."""

    async def body(self) -> bytes:
        """Return the body."""
        return await super().body() or _NOTHING


_NOTHING = b"{}"


@contextmanager
def naming(*place: str | int) -> Generator[None]:
    """Say that what is not found is what this field of the body names; raises `Invalid` for `NotFound`.

    What the address names has to be read outside of it.
    """
    try:
        yield
    except NotFound as problem:
        raise Invalid("/".join(map(str, place)), problem.message, code="unknown") from None


def ids_in(field: str, kind: IdKind, texts: Iterable[str]) -> list[UUID]:
    """Read the public ids in a list of the body; raises `Invalid` at the first that is none of this kind."""
    found: list[UUID] = []
    for at, text in enumerate(texts):
        with naming(field, at):
            found.append(kind.read(text))
    return found


class StrictJson(AbstractDTO):  # pyright: ignore[reportMissingTypeArgument]
    """Decodes the `data` of every handler below the router it is given to."""

    def decode_bytes(self, value: bytes) -> Any:
        """Return the body as the type that the handler asks for."""
        connection: Any = self.asgi_connection  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        _check_type(connection.headers.get("content-type", ""), value)
        return read(value, connection.route_handler.parsed_data_field.annotation)

    @classmethod
    def create_for_field_definition(cls, field_definition: Any, handler_id: str, backend_cls: Any = None) -> None:
        """Nothing is generated: msgspec decodes into the type itself."""

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any
    ) -> Reference | Schema:
        """Describe the type as it is."""
        return schema_creator.for_field_definition(field_definition)


def read(body: bytes, wanted: type[T]) -> T:
    """Decode and check; raises `Unreadable` or `Invalid`."""
    try:
        value = storable_json(_JSON.decode(body))
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), wanted) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unreadable("The body is not JSON.") from None
    except RecursionError:
        raise Unreadable("The body is nested too deeply.") from None


def _check_type(content_type: str, body: bytes) -> None:
    kind = content_type.partition(";")[0].strip().lower()
    is_json = kind in ("application/json", "application/merge-patch+json") or kind.endswith("+json")
    if not is_json and (kind or body != _NOTHING):
        raise WrongType("Send JSON with the content type application/json.")


def _invalid(message: str, wanted: Any) -> Invalid:
    found = _PLACE.match(message)
    what, path = (found["what"], found["path"] or "$") if found else (message, "$")
    place = [name or at for name, at in _STEP.findall(path.removeprefix("$"))]
    # `$.labels[...]` is a value of a mapping whose key msgspec does not tell.
    steps = [step for step in place if step != "..."]
    field = next((step for step in reversed(steps) if not step.isdecimal()), "")
    code, said = "invalid", sentence(what, field, words_at(wanted, place))
    if named := _FIELD.search(what):
        steps.append(named["name"])
        is_missing, name = "missing" in what, named["name"][:60]
        code = "required" if is_missing else "unknown_field"
        said = f"The field “{name}” is required." if is_missing else f"There is no field “{name}”."
    pointer = "#" + "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in steps)
    return Invalid.of((FieldError(pointer[:200], said[:500], code),))
