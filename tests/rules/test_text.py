"""Text that may be stored and shown, whatever was sent (F063, F064)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.kit import text


@pytest.mark.parametrize(
    ("given_text", "stored"),
    [
        ("plain", "plain"),
        ("größer 🐝", "größer 🐝"),
        ("a\0b", "a\ufffdb"),
        ("a\ud800b\udfff", "a\ufffdb\ufffd"),
        ("", ""),
    ],
)
def test_what_cannot_be_stored_is_replaced(given_text: str, stored: str) -> None:
    assert text.storable(given_text) == stored


def test_a_clean_text_is_not_copied() -> None:
    clean = "x" * 1000
    assert text.storable(clean) is clean


def test_json_is_cleaned_in_keys_and_values() -> None:
    dirty = {"a\0": ["\ud800", {"n": None, "i": 1, "f": float("nan")}], "t": (True, float("inf"))}
    assert text.storable_json(dirty) == {
        "a\ufffd": ["\ufffd", {"n": None, "i": 1, "f": "nan"}],
        "t": [True, "inf"],
    }


def test_json_of_any_depth_is_cut_and_can_be_written() -> None:
    deep: object = "bottom"
    for _ in range(100_000):
        deep = [deep]
    assert text.TOO_DEEP in json.dumps(text.storable_json(deep))


@pytest.mark.parametrize(("limit", "shortened"), [(5, "table"), (4, "tab…"), (1, "…"), (0, "")])
def test_a_text_is_shortened_by_characters(limit: int, shortened: str) -> None:
    assert text.truncate("table", limit) == shortened


def test_a_hash_takes_text_and_bytes() -> None:
    assert text.sha256_hex("a") == text.sha256_hex(b"a")
    assert len(text.sha256_hex("\ud800")) == 64


@pytest.mark.parametrize(
    ("source", "has", "has_not"),
    [
        ("**b** `c` ~~d~~", "<strong>b</strong>", "**"),
        ("<script>alert(1)</script>", "&lt;script&gt;", "<script"),
        ('<img src=x onerror="a()">', "&lt;img", "<img"),
        ("[a](https://x.example)", 'rel="noopener nofollow"', "[a]"),
        ("[a](javascript:alert(1))", "javascript", "href"),
        ("[a](data:text/html;base64,xxxx)", "a", "href"),
        ("![cat](https://evil.example/c.png)", 'href="https://evil.example/c.png"', "<img"),
        ("![cat](//evil.example/c.png)", "cat", "<img"),
        ("![cat](/\\evil.example/c.png)", 'src="/%5Cevil.example/c.png"', "/\\"),
        ("![cat](javascript:alert(1))", "cat", "<img"),
        ("![cat](/attachments/1.png)", '<img src="/attachments/1.png" alt="cat">', "href"),
        ('![" onload="x](/a.png)', "<img", '" onload="'),
        ("|a|b|\n|-|-|\n|1|2|", "<td>1</td>", "|"),
        ("a\0b", "a\ufffdb", "\0"),
    ],
)
def test_markdown_is_safe_to_show(source: str, has: str, has_not: str) -> None:
    shown = text.markdown(source)
    assert has in shown
    assert has_not not in shown


def test_a_very_long_text_is_shown_unformatted() -> None:
    assert text.markdown("<b>*" * 10_000).startswith("<pre>&lt;b&gt;*")


@given(st.text(max_size=200) | st.text(alphabet="[]()!*_`~<>#|-\n\\ a/:&;\"'", max_size=200))
@settings(max_examples=100, deadline=None)
def test_markdown_never_fails_and_never_shows_a_script(source: str) -> None:
    assert "<script" not in text.markdown(source)
