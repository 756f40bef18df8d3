"""What chat products are sent: no alert notifies anybody, moves a link or is too long (F059, F060)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tocsin.notifications.channels.base import PageMessage
from tocsin.notifications.channels.webhook import bodies, escaping
from tocsin.notifications.model import BodyFormat, Shape

PAGE = bodies.SAMPLES["a page"]
ASKED = bodies.SAMPLES["a call for help with an incident"]
TEST = bodies.SAMPLES["a test page"]
CHATS = [
    BodyFormat.SLACK,
    BodyFormat.TEAMS,
    BodyFormat.DISCORD,
    BodyFormat.GOOGLE_CHAT,
    BodyFormat.MATTERMOST,
]
PRESETS = [*CHATS, BodyFormat.TEXT]
HOSTILE = {
    "mentions": "@everyone @here @channel @all <!channel> <!here> <@U024BE7LH> <users/all> <@&81384788765712384>",
    "masked links": "[click](https://evil.example) <https://evil.example|Acknowledge> <a href='https://evil.example'>x</a>",
    "a link that ends another": "https://good.example](https://evil.example) https://good.example|x>",
    "a link in a link": "https://a[click](https://evil.example",
    "emphasis": "**bold** _it_ ~~no~~ ||spoiler|| `code` ```\nblock\n``` > quote\n# heading",
    "html": "</b><script>alert(1)</script>&amp;<br>\"'",
    "directions and controls": "a\u202eb\u2066c\x00\x07\x1b[2Jd\u2028e\r\nBcc: x",
    "long": "\\`*_<&>@🔥" * 3000,
    "one long address": "https://x.example/" + "a" * 5000,
    "lone escapes at the cut": "<" * 5000,
}


def written(message: PageMessage, format: BodyFormat) -> Any:
    body = bodies.write(replace(message, shape=Shape(format)))
    assert body.note == ""
    if format is BodyFormat.TEXT:
        assert body.content_type == "text/plain; charset=utf-8"
        return body.content.decode()
    assert body.content_type == "application/json"
    return json.loads(body.content)


def texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)


def addresses(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for name, value in node.items() if name == "url")
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from addresses(child)


def all_text(message: PageMessage, format: BodyFormat) -> str:
    # What does not print stands between signs that would mean something together.
    return "\n".join(texts(written(message, format))).replace("\\", "").replace(escaping.BREAK, "")


def hostile(text: str) -> PageMessage:
    return replace(PAGE, title=text, body=text, reason=text, source=text, incident_number=text)


@pytest.mark.parametrize("format", PRESETS)
def test_a_page_says_what_why_and_where_to_answer(format: BodyFormat) -> None:
    said = all_text(PAGE, format)
    for part in ("SEV1", PAGE.title, PAGE.reason, PAGE.source, PAGE.body, "Acknowledge", str(PAGE.acknowledge_url)):
        assert part in said
    assert PAGE.url in said and "test" not in said.lower() and "before" not in said


@pytest.mark.parametrize("format", PRESETS)
def test_a_test_says_that_it_is_one_and_offers_nothing_to_acknowledge(format: BodyFormat) -> None:
    said = all_text(TEST, format)
    assert "TEST: [SEV5] Test page" in said and "This is a test page. Nothing is wrong." in said
    assert "Acknowledge" not in said and TEST.url in said


@pytest.mark.parametrize("format", PRESETS)
def test_a_possible_repeat_is_said_in_words(format: BodyFormat) -> None:
    assert "You may have received this page before." in all_text(replace(PAGE, possible_duplicate=True), format)


@pytest.mark.parametrize("format", PRESETS)
def test_a_call_for_help_says_who_asks_and_for_which_incident(format: BodyFormat) -> None:
    said = all_text(ASKED, format)
    assert f"[SEV1] INC-7 {ASKED.title}" in said and "Asked by" in said and ASKED.reason in said


@pytest.mark.parametrize("title", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("format", CHATS)
def test_no_alert_speaks_to_anybody_or_moves_a_link(format: BodyFormat, title: str) -> None:
    body = written(hostile(title), format)
    for text in texts(body):
        if format is BodyFormat.SLACK:
            assert not re.search(r"<(?!https?://)", text), text
            assert re.findall(r"\|([^>|]*)>", text) in ([], ["Acknowledge", "Open in Tocsin"]), text
            assert not re.search(r"@(?=\w)", text), text
        if format in (BodyFormat.DISCORD, BodyFormat.MATTERMOST):
            assert re.findall(r"(?<!\\)\[([^\]]*)\]\(", text) in ([], ["Acknowledge", "Open in Tocsin"]), text
            assert not re.search(r"@(?=\w)", text), text
            assert not re.search(r"(?<!\\)<(?!\u200b)", text), text
        if format is BodyFormat.GOOGLE_CHAT:
            assert not re.search(r"<(?!\u200b|b>Why:|b>Source:|b>Incident:|/b>|br>)", text), text
        assert not set(text) & set("\u202e\u2066\x00\x07\x1b\u2028\r")
    if format is BodyFormat.DISCORD:
        assert body["allowed_mentions"] == {"parse": []}
    if format is BodyFormat.TEAMS:
        # Text runs are the only elements that read no Markdown.
        for block in body["attachments"][0]["content"]["body"]:
            assert block["type"] == "RichTextBlock" and {run["type"] for run in block["inlines"]} == {"TextRun"}
    assert set(addresses(body)) <= {PAGE.url, PAGE.acknowledge_url}


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@pytest.mark.parametrize("title", HOSTILE.values(), ids=HOSTILE)
def test_every_vendors_limits_are_kept(title: str) -> None:
    message = replace(hostile(title), possible_duplicate=True)
    slack = written(message, BodyFormat.SLACK)
    assert units(slack["text"]) <= 4000 and len(slack["blocks"]) <= 50
    assert units(slack["blocks"][0]["text"]["text"]) <= 150
    assert all(1 <= units(block["text"]["text"]) <= 3000 for block in slack["blocks"])
    discord = written(message, BodyFormat.DISCORD)
    embed = discord["embeds"][0]
    assert units(discord["content"]) <= 2000 and units(embed["description"]) <= 4096 and len(embed["fields"]) <= 25
    assert all(1 <= units(field["value"]) <= 1024 for field in embed["fields"])
    assert units(embed["description"]) + sum(units(f["name"] + f["value"]) for f in embed["fields"]) <= 6000
    google = bodies.write(replace(message, shape=Shape(BodyFormat.GOOGLE_CHAT))).content
    assert len(google) <= 32_000 and units(json.loads(google)["text"]) <= 4096
    assert len(bodies.write(replace(message, shape=Shape(BodyFormat.TEAMS))).content) <= 28_000
    assert units(written(message, BodyFormat.MATTERMOST)["text"]) <= 4000
    assert units(written(message, BodyFormat.TEXT)) <= 4000


def test_the_plain_json_is_as_it_was() -> None:
    body = bodies.write(PAGE)
    assert (body.content, body.content_type) == (bodies.body_of(PAGE), "application/json")


@pytest.mark.parametrize(
    ("text", "limit", "write", "made"),
    [
        ("abc", 3, escaping.as_is, "abc"),
        ("abcd", 3, escaping.as_is, "ab…"),
        ("", 3, escaping.as_is, ""),
        ("a<b", 6, escaping.slack, "a&lt;b"),
        ("a<b", 5, escaping.slack, "a…"),
        ("ab<", 6, escaping.slack, "ab&lt;"),
        ("🔥🔥", 4, escaping.as_is, "🔥🔥"),
        ("🔥🔥", 3, escaping.as_is, "🔥…"),
        ("see https://x.example/_a_ now", 100, escaping.discord, "see https://x.example/_a_ now"),
        ("see https://x.example/*a*", 100, escaping.discord, "see https://x.example/%2Aa%2A"),
        ("see https://x.example/abc", 12, escaping.discord, "see …"),
        ("https://x.example/?a=1&b=2", 100, escaping.slack, "<https://x.example/?a=1&amp;b=2>"),
    ],
)
def test_text_is_cut_between_signs(text: str, limit: int, write: escaping.Write, made: str) -> None:
    assert escaping.fit(text, limit, write) == made


@pytest.mark.parametrize(
    ("address", "made"),
    [
        ("https://tocsin.example.org/p/AaI_x-9?a=1&b", "https://tocsin.example.org/p/AaI_x-9?a=1&b"),
        ("http://[::1]:8700/p/x(y)", "http://[::1]:8700/p/x%28y%29"),
        ("http://[click](https://evil.example", "http://%5Bclick%5D%28https://evil.example"),
        ("javascript:alert(1)", ""),
        ("https://a b", ""),
        ("", ""),
    ],
)
def test_no_markup_finds_its_end_in_an_address(address: str, made: str) -> None:
    assert escaping.href(address) == made
