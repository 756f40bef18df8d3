"""What is wrong with a value, said as a sentence. The library that checks types says `Expected `int` <= 5`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import inspect

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
    "datetime": "a time such as 2031-05-01T00:00:00Z",
}
_BOUND = re.compile(r"Expected `(?:int|float)[^`]*` (?P<sign>[<>]=?) (?P<bound>\S+)")
_LENGTH = re.compile(r"Expected `(?P<kind>str|array|object)[^`]*` of length (?P<sign>[<>]=) (?P<length>\d+)")
_KIND = re.compile(r"Expected `(?P<kinds>[^`]+)`(?:, got `[^`]+`)?")
_WORD = "Invalid enum value "
_SIGNS = {"<=": "at most", ">=": "at least", "<": "less than", ">": "more than"}


def sentence(said: str, name: str = "", words: Sequence[str] = ()) -> str:
    """Return the sentence for what the library said about one value; anything unknown stays as it is.

    `words` are all that it may be, if that is so.
    """
    if found := _LENGTH.fullmatch(said):
        if found["kind"] != "str":
            return f"Give {_SIGNS[found['sign']]} {found['length']} of them."
        if found["sign"] == ">=" and found["length"] == "1":
            return "This must not be empty."
        return f"Write {_SIGNS[found['sign']]} {found['length']} characters."
    if found := _BOUND.fullmatch(said):
        return f"Give a number of {_SIGNS[found['sign']]} {found['bound']}."
    found = _KIND.fullmatch(said)
    if words and (found or said.startswith(_WORD)):
        return f"{f'“{name}”' if name else 'This'} must be one of {', '.join(words)}."
    if said == "Invalid RFC3339 encoded datetime":
        return f"This must be {_KINDS['datetime']}."
    kinds = found["kinds"].split(" | ") if found else []
    if kinds and all(kind in _KINDS for kind in kinds):
        return f"This must be {' or '.join(_KINDS[kind] for kind in kinds)}."
    return said if said.endswith(".") else f"{said}."


def words_at(wanted: Any, place: Sequence[str]) -> list[str]:
    """Return the words of which a value has to be one; none when it may be something else, or nothing is known.

    `wanted` is the type of the whole, and `place` leads to the value in it, by names and numbers.
    """
    here = list(_each(inspect.type_info(wanted)))
    for step in place:
        here = [each for kind in here for below in _below(kind, step) for each in _each(below)]
    words: list[str] = []
    for kind in here:
        match kind:
            case inspect.EnumType(cls=words_of):
                words += [str(word.value) for word in words_of]
            case inspect.LiteralType(values=values):
                words += [str(value) for value in values]
            case inspect.NoneType():
                words.append("null")
            case _:
                return []
    return words


def _each(kind: inspect.Type) -> Iterator[inspect.Type]:
    match kind:
        case inspect.UnionType(types=types):
            for each in types:
                yield from _each(each)
        case inspect.Metadata(type=inner):
            yield from _each(inner)
        case _:
            yield kind


def _below(kind: inspect.Type, step: str) -> Iterator[inspect.Type]:
    match kind:
        case inspect.StructType(fields=fields):
            yield from (field.type for field in fields if field.encode_name == step)
        case inspect.ListType(item_type=inner) | inspect.DictType(value_type=inner):
            yield inner
        case _:
            pass
