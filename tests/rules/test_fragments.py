"""What a live update leaves out: only what is the same, and never what somebody has to see."""

from __future__ import annotations

import pytest
from markupsafe import Markup

from tocsin.web.base.fragments import fragment, read_known

ROW = Markup("<td>{}</td>")


def digest_of(written: str) -> str:
    return written.split('data-digest="')[1].partition('"')[0]


@pytest.mark.parametrize(
    ("before", "after", "is_same"),
    [
        ("<b>Paging</b>", "<b>Paging</b>", True),
        ("<b>Paging</b>", "<b>Nobody answered</b>", False),
        # Clocks tick in the browser.
        ('<time datetime="x" data-ago>1 min ago</time>', '<time datetime="x" data-ago>2 min ago</time>', True),
        ('<i data-countdown-to="x">0:30</i>', '<i data-countdown-to="x">0:10</i>', True),
        ('<i data-elapsed-from="x">1m</i>', '<i data-elapsed-from="x">2m</i>', True),
        # When they count to something else, that is news.
        ('<i data-countdown-to="x">0:30</i>', '<i data-countdown-to="y">0:30</i>', False),
        ("<i data-note>1 left</i>", "<i data-note>2 left</i>", False),
        # Each answer has its own of these.
        (
            '<input type="hidden" name="_csrf_token" value="a">',
            '<input type="hidden" name="_csrf_token" value="b">',
            True,
        ),
        ('<input type="hidden" name="form_id" value="a">', '<input type="hidden" name="form_id" value="b">', True),
        ('<input type="hidden" name="version" value="1">', '<input type="hidden" name="version" value="2">', False),
    ],
)
def test_what_comes_again_is_what_has_changed(before: str, after: str, is_same: bool) -> None:
    """F061: a page that is looked at brings itself up to date by what is new on it."""
    known = frozenset({digest_of(fragment(frozenset(), "tr", "row-1", {}, Markup(before)))})
    written = fragment(known, "tr", "row-1", {}, Markup(after))
    assert ("data-same" in written) is is_same
    assert (after in written) is not is_same


def test_what_an_element_says_of_itself_counts() -> None:
    """F061: a row that is marked otherwise is another row."""
    first = fragment(frozenset(), "tr", "row-1", {"class": "red", "hidden": True, "title": None}, ROW)
    assert first.startswith('<tr id="row-1" data-digest="') and ' class="red" hidden>' in first and "title" not in first
    again = fragment(frozenset({digest_of(first)}), "tr", "row-1", {"class": "green"}, ROW)
    assert "data-same" not in again


def test_what_is_not_ours_is_escaped_and_what_is_no_digest_is_nothing() -> None:
    """F118."""
    written = fragment(frozenset(), "li", '"><script>', {"title": '"><script>'}, Markup(""))
    assert "<script>" not in written
    assert read_known("none,01234567,ABCDEF01,<script>,,01234567a") == frozenset({"01234567"})
