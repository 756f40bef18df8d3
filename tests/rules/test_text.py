"""Text that may be stored and shown, whatever was sent (F063, F064)."""

from __future__ import annotations

import json
import time

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
        ("[a](https://x.example)", 'rel="nofollow noreferrer noopener"', "[a]"),
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


@pytest.mark.parametrize(
    ("source", "address", "after"),
    [
        ("https://x.example/a?b=1&c=2", "https://x.example/a?b=1&amp;c=2", "</p>"),
        ("see http://x.example/a.", "http://x.example/a", ".</p>"),
        ("(HTTPS://x.example)", "HTTPS://x.example", ")</p>"),
        ("https://x.example/a_(b)_c", "https://x.example/a_(b)_c", "</p>"),
        ("[https://x.example/a]", "https://x.example/a", "]</p>"),
        ("**https://x.example/a**", "https://x.example/a", "</strong></p>"),
        ("*https://x.example/a*, b", "https://x.example/a", "</em>, b</p>"),
        ("<https://x.example/a>", "https://x.example/a", "</p>"),
        ("https://x.example/?_g=(a:!())&_a=(b:*)", "https://x.example/?_g=(a:!())&amp;_a=(b:*)", "</p>"),
        ("http://localhost:3000/d/1, b", "http://localhost:3000/d/1", ", b</p>"),
        ("|a|\n|-|\n|https://x.example|", "https://x.example", "</td>"),
        ("line\nhttps://x.example/a\nline", "https://x.example/a", "\nline</p>"),
    ],
)
def test_an_address_in_a_text_is_a_link(source: str, address: str, after: str) -> None:
    """F067: a URL in a description, a summary or a comment can be followed."""
    link = f' rel="nofollow noreferrer noopener">{address}</a>{after}'
    assert link in text.markdown(source)
    assert text.markdown(source).count("<a ") == 1


@pytest.mark.parametrize(
    "source",
    [
        "ftp://x.example",
        "xhttps://x.example",
        "https://",
        "https:// x.example",
        "https://.",
        "https://_",
        "x.example",
        "//x.example",
        "`https://x.example`",
        "```\nhttps://x.example\n```",
        "javascript://x.example/%0aalert(1)",
    ],
)
def test_what_is_no_address_or_is_code_stays_as_it_is(source: str) -> None:
    assert "<a " not in text.markdown(source)


def test_an_address_in_a_link_is_not_another_link() -> None:
    shown = text.markdown("[https://x.example](https://y.example/b)")
    assert shown.count("<a ") == 1
    assert 'href="https://y.example/b"' in shown


def test_code_can_be_scrolled_with_the_keyboard() -> None:
    assert '<pre tabindex="0">' in text.markdown("```\na\n```")
    assert text.markdown("x" * (text.MAX_MARKDOWN + 1)).startswith('<pre tabindex="0">')


def test_images_can_be_left_out() -> None:
    """F061: what is read at night, without a session, asks for nothing but itself."""
    shown = text.markdown("![cat](/attachments/1.png) **b**", images=False)
    assert (
        shown == '<p><a href="/attachments/1.png" rel="nofollow noreferrer noopener">cat</a> <strong>b</strong></p>\n'
    )


@pytest.mark.parametrize("hostile", ["http://" * 3000, "http://a" + ")" * 19_000, "a://" * 5000, "*http://a" * 2200])
def test_no_text_keeps_the_renderer_busy(hostile: str) -> None:
    began = time.process_time()
    text.markdown(hostile)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "hostile",
    [
        "|a" * 400 + "\n" + "|-" * 400 + "\n" + "|\n" * 400,
        "|a|b|\n|-|-|\n" + "|\n" * 9000,
        ("|a" * 20 + "\n" + "|-" * 20 + "\n" + "|\n" * 200 + "\n") * 30,
        "|-\n" * 6000,
    ],
)
def test_few_characters_make_few_cells(hostile: str) -> None:
    """A row that is cut short is filled up: 2 KB made 65,000 cells, and held everybody up for a second."""
    shown = text.markdown(hostile)
    assert shown.count("<td>") + shown.count("<th>") <= text.MAX_CELLS


def test_a_wide_and_a_long_table_of_people_are_shown() -> None:
    wide = "|a" * 30 + "|\n" + "|-" * 30 + "|\n" + ("|1" * 30 + "|\n") * 100
    assert text.markdown(wide).count("<td>") == 3000
    assert text.markdown("|a|b|\n|-|-|\n" + "|1|2|\n" * 1000).count("<td>") == 2000
    assert text.markdown("|a|\n|-|\n|1|\n\ntext\n\n|a|\n|-|\n|1|").count("<table>") == 2


def test_a_very_long_text_is_shown_unformatted() -> None:
    assert text.markdown("<b>*" * 10_000).startswith('<pre tabindex="0">&lt;b&gt;*')


_PIECES = st.sampled_from(["https://", "http", "://", "x.example", *"[]()!*_`~<>|%&;. \n\u0130"])


@given(
    st.text(max_size=200)
    | st.text(alphabet="[]()!*_`~<>#|-\n\\ a/:&;\"'", max_size=200)
    | st.lists(_PIECES, max_size=40).map("".join)
)
@settings(max_examples=100, deadline=None)
def test_markdown_never_fails_and_never_shows_a_script(source: str) -> None:
    assert "<script" not in text.markdown(source)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("abc \u202edwod stnemyap\u202c end", "abc dwod stnemyap end"),
        ("a\u2066b\u2069\u200e\u200f\u061cc", "abc"),
        ("pay\u200bpal\u00ad \ufeffx\u2060y", "paypal xy"),
        ("a\u3164b\uffa0\u115f\u2800c", "abc"),
        ("tag\U000e0041\U000e0042 end", "tag end"),
        ("one\u2028two\u2029three", "one two three"),
        ("a\r\nb\rc\td\x07\x1b[31m", "a\nb\nc\td[31m"),
        # What scripts and emoji are spelt with stays.
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
        ("\U0001f469\u200d\U0001f692 \u2764\ufe0f", "\U0001f469\u200d\U0001f692 \u2764\ufe0f"),
        ("\u05e9\u05dc\u05d5\u05dd 123", "\u05e9\u05dc\u05d5\u05dd 123"),
        ("Gr\u00fc\u00dfe \u4f60\u597d", "Gr\u00fc\u00dfe \u4f60\u597d"),
    ],
)
def test_a_text_is_shown_as_it_reads(given: str, shown: str) -> None:
    """F063: nothing in it turns the order of what is read, and nothing is there that is not seen."""
    assert text.clean(given) == shown
    assert text.clean(shown) == shown
    assert str(text.markdown(given)).count("\u202e") == 0


@pytest.mark.parametrize(
    "blank", ["", " ", "\n\t\x0b", "\x00\x07\x7f", "\u00a0\u2003\u3000", "\u200b\u200d\ufe0f", "\u2800", "\u202e"]
)
def test_a_text_without_anything_to_see_is_blank(blank: str) -> None:
    assert text.is_blank(blank)
    assert not text.is_blank(f"{blank}x")
    assert not text.is_blank(f"{blank}\u05d0")
    assert not text.is_blank(f"{blank}.")


def test_what_is_not_seen_can_be_written_out() -> None:
    assert text.revealed("a\u202eb\r\n\tc\x1b") == "a<U+202E>b\r\n\tc<U+001B>"
    assert text.revealed("plain") == "plain"
