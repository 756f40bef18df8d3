"""Handlers that are made of a declaration instead of being written: given what the site calls and describes them by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from inspect import Parameter, Signature
from typing import Any, cast

Handler = Callable[..., Awaitable[Any]]


def declared(work: Handler, *, name: str, doc: str | None, takes: Mapping[str, Any], returns: Any) -> Handler:
    """Return `work` under a name, with words and with these parameters: each a type, or a type and its default."""

    async def handler(**named: Any) -> Any:
        return await work(**named)

    parameters: list[Parameter] = []
    for parameter, kind in takes.items():
        wanted, default = cast("tuple[Any, Any]", kind) if isinstance(kind, tuple) else (kind, Parameter.empty)
        parameters.append(Parameter(parameter, Parameter.KEYWORD_ONLY, annotation=wanted, default=default))
    handler.__name__ = handler.__qualname__ = name
    handler.__doc__ = doc
    handler.__annotations__ = {each.name: each.annotation for each in parameters} | {"return": returns}
    setattr(handler, "__signature__", Signature(parameters, return_annotation=returns))  # noqa: B010
    return handler
