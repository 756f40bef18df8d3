"""The key of a source is masked in every spelling that JSON has for it, and nothing else is touched."""

from __future__ import annotations

import json

import pytest

from tocsin.alerts.masking import without

KEY = "0123456789abcdef0123456789abcdef"


def escaped(text: str, *, capital: bool = False) -> str:
    return "".join(f"\\u{ord(c):04X}" if capital else f"\\u{ord(c):04x}" for c in text)


@pytest.mark.parametrize(
    "spelled",
    [KEY, escaped(KEY), escaped(KEY, capital=True), KEY[:5] + escaped(KEY[5:9]) + KEY[9:], escaped(KEY[0]) + KEY[1:]],
)
@pytest.mark.parametrize("frame", ['{{"routing_key": "{}", "x": 1}}', '{{"a": {{"b": ["see {}."]}}}}', "{{oops {}"])
def test_the_key_is_masked_however_it_is_spelled(spelled: str, frame: str) -> None:
    """F064: in a body that is not JSON too."""
    body = frame.format(spelled)
    assert without(KEY, body.encode()) == frame.format("[routing key]").encode()


@pytest.mark.parametrize("key", ['a"b\\c/d', "tab\there", "schlüssel", "clef 🔑"])
def test_a_key_of_other_characters_is_masked_as_every_writer_of_json_spells_it(key: str) -> None:
    """F064: nobody knows what keys there will be."""
    for spelled in (json.dumps(key), json.dumps(key, ensure_ascii=False), json.dumps(key).replace("/", "\\/")):
        assert json.loads(without(key, spelled.encode())) == "[routing key]"


def test_nothing_else_is_touched() -> None:
    """F064: the body is evidence of what was sent."""
    body = b'{"routing_key": "x", "other": "\\u0030123", "KEY": "0123456789ABCDEF0123456789ABCDEF"}\xff'
    assert without(KEY, body) == body
    assert without("", body) == body
