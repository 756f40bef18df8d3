"""What the page of a source tells people to copy: each kind has some, with the address, and it is what it says."""

from __future__ import annotations

import json
import shlex

import pytest

from tocsin.alerts.sources import ADAPTERS, address_path

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("kind", ADAPTERS)
def test_each_kind_says_how_a_tool_is_led_here(kind: str) -> None:
    """A new kind brings its own words, or the page has nothing to show."""
    address = f"https://tocsin.example.org{address_path(kind, TOKEN)}"
    texts = ADAPTERS[kind].set_ups(address, TOKEN)
    assert texts and len({text.tool for text in texts}) == len(texts)
    assert any(address in text.text for text in texts) and any(TOKEN in text.text for text in texts)
    for text in texts:
        assert text.tool and text.steps.endswith((".", "!")) and text.text.strip()


@pytest.mark.parametrize("kind", ADAPTERS)
def test_what_a_script_sends_is_understood(kind: str) -> None:
    """The bodies in the commands are those of the format that they are for."""
    for text in ADAPTERS[kind].set_ups("https://tocsin.example.org/x", TOKEN):
        if text.tool == "Script":
            words = shlex.split(text.text)
            bodies = [words[at + 1] for at, word in enumerate(words) if word == "-d"]
            assert bodies
            for body in bodies:
                assert ADAPTERS[kind].parse(body.encode(), {}).signals
        elif text.file == "body":
            assert ADAPTERS[kind].parse(json.dumps(json.loads(text.text)).encode(), {}).signals
