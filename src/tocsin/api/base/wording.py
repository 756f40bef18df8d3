"""What is wrong with a value, said as a sentence. The library that checks types says `Expected `int` <= 5`."""

from __future__ import annotations

import re

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
_WORD = re.compile(r"Invalid enum value '?(?P<value>.*?)'?", re.DOTALL)
_SIGNS = {"<=": "at most", ">=": "at least", "<": "less than", ">": "more than"}


def sentence(said: str) -> str:
    """Return the sentence for what the library said about one value; anything unknown stays as it is."""
    if found := _LENGTH.fullmatch(said):
        if found["kind"] != "str":
            return f"Give {_SIGNS[found['sign']]} {found['length']} of them."
        if found["sign"] == ">=" and found["length"] == "1":
            return "This must not be empty."
        return f"Write {_SIGNS[found['sign']]} {found['length']} characters."
    if found := _BOUND.fullmatch(said):
        return f"Give a number of {_SIGNS[found['sign']]} {found['bound']}."
    if found := _WORD.fullmatch(said):
        return f"“{found['value'][:60]}” is not one of the words that this field takes."
    if said == "Invalid RFC3339 encoded datetime":
        return f"This must be {_KINDS['datetime']}."
    found = _KIND.fullmatch(said)
    kinds = found["kinds"].split(" | ") if found else []
    if kinds and all(kind in _KINDS for kind in kinds):
        return f"This must be {' or '.join(_KINDS[kind] for kind in kinds)}."
    return said if said.endswith(".") else f"{said}."
