"""What a receiver says of a failure may be stored and shown, and repeats nothing that was sent to it (F060)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.net import words

TOKEN = "AaIAxec5dzGfsbpfBsJykGsE4fOOsoi_LwcCBFOLQlKghkny"
SENT = json.dumps(
    {
        "title": "Checkout is down — again",
        "acknowledge_url": f"https://tocsin.example.org/p/{TOKEN}",
        "labels": {"team": "payments"},
    },
    ensure_ascii=False,
)
PATH = "/services/T0000/xoxb-s3cret/Kat%C3%BC-4?token=t0ken%2Bplus&v=2"


def said(body: str | bytes, kind: str = "text/plain", path: str = PATH, sent: str = SENT, **headers: str) -> str:
    data = body.encode() if isinstance(body, str) else body
    return words.of_body({"content-type": kind} | headers, data, path=path, sent=sent)


@pytest.mark.parametrize(
    ("kind", "body", "line"),
    [
        ("text/plain", "no such hook", "no such hook"),
        ("text/plain; charset=utf-8", "größer", "größer"),
        ("TEXT/PLAIN;charset=ISO-8859-1", "größer".encode("latin-1"), "größer"),
        ("text/plain; charset=punycode", "größer", "größer"),
        ("text/plain", b"gr\xf6\xdfer", "gr\ufffd\ufffder"),
        ("application/json", '{"error":\n  "invalid_token"}', '{"error": "invalid_token"}'),
        ("application/problem+json", '{"detail":"gone"}', '{"detail":"gone"}'),
        ("application/xml", "<e>no hook</e>", "no hook"),
        ("", "no such hook", "no such hook"),
        ("text/html", "<html><head><title>404</title></head><body><h1>Not&nbsp;Found</h1></body>", "404 Not Found"),
        ("text/html", "<style>a{}</style><script>if (a<b) x()</script >Moved &amp; gone", "Moved & gone"),
        ("text/html", "<style>never ends", ""),
        ("text/html", "cut off <a href=", "cut off"),
        ("", "<!doctype html><p>Not here", "Not here"),
        # No text, or not in a form that can be read.
        ("image/png", "PNG", ""),
        ("application/octet-stream", "words", ""),
        ("application/grpc", "words", ""),
        ("multipart/form-data", "words", ""),
        ("", b"\x00\x01words", ""),
        ("text/plain", "", ""),
    ],
)
def test_a_body_that_is_text_is_one_line(kind: str, body: str | bytes, line: str) -> None:
    assert said(body, kind) == line


def test_a_packed_body_is_left_out() -> None:
    assert said("words", **{"content-encoding": "gzip"}) == ""
    assert said("words", **{"content-encoding": "identity"}) == "words"


def test_nothing_moves_the_cursor_or_turns_the_line_around() -> None:
    evil = "Down\x1b[2J\x07\r\n\r\nX: y\u202etxt\u2066\x9b31m\u2028end\ud800".encode("utf-8", "surrogatepass")
    line = said(evil)
    assert line.isprintable() and not set(line) & set("\u202e\u2066\u200f")
    assert line.startswith("Down[2J X: ytxt31m end")


def test_about_two_hundred_characters_are_kept() -> None:
    line = said("word " * 1000)
    assert len(line) == 200 and line.endswith("…")
    assert len(said("x " * 30_000)) == 200
    assert said("x" * 60_000) == ""


@pytest.mark.parametrize(
    "body",
    [
        f"Cannot POST {PATH}",
        f"cannot post {PATH.upper()}",
        f"no route for {PATH.partition('?')[0]}",
        "xoxb-s3cret is revoked",
        "no team T0000",
        "the token t0ken+plus is wrong, also t0ken%2Bplus",
        "Katü-4 is wrong",
        json.dumps({"path": PATH}).replace("/", "\\/"),
        f"<pre>Cannot POST {PATH.replace('&', '&amp;')}</pre>",
        f"you sent {SENT}",
        f"you sent {SENT[10:-10]} and more",
        f"bad link {TOKEN}",
        f"bad link {TOKEN[5:30]}",
        json.dumps({"received": SENT}),
        "\n".join(SENT.split(" ")),
        "x " * 90 + TOKEN,
        "word " * 30 + "xoxb-s3cret " * 20,
        " " * 7_990 + TOKEN,
        "<style>" + "x" * 7_970 + "</style>xoxb-s3cret",
        "<p>" + "<b></b>" * 1139 + " xoxb-s3cret",
    ],
)
def test_nothing_that_was_sent_is_repeated(body: str) -> None:
    """Neither the secret of the address nor the link by which the recipient answers, whole or in part."""
    for kind in ("text/plain", "text/html", "application/json", ""):
        line = said(body, kind)
        for piece in ("s3cret", "xoxb", "T0000", "t0ken", "services", "Katü-4", *_parts(TOKEN)):
            assert piece.lower() not in line.lower()


def _parts(token: str) -> list[str]:
    return [token[at : at + 12] for at in range(0, len(token) - 11, 4)]


def test_ordinary_words_of_a_receiver_stay() -> None:
    assert said("no such hook", path="/hook", sent="") == "no such hook"
    assert said("Content-Type must be application/json") == "Content-Type must be application/json"
    assert said("Cannot POST /hook", path="/hook") == "Cannot POST …"
    assert said("unknown field labels in v2 payload") == "unknown field labels in v2 payload"


@given(st.text(max_size=300), st.text(max_size=300), st.text(alphabet="abc/?=&%41", max_size=40))
def test_any_answer_becomes_a_short_line(body: str, sent: str, path: str) -> None:
    line = words.of_body({"content-type": "text/html"}, body.encode("utf-8", "replace"), path="/" + path, sent=sent)
    assert len(line) <= 200 and "\n" not in line
    line.encode()


@given(st.text(alphabet="abcdefgh ", min_size=12, max_size=60), st.text(max_size=60))
def test_whatever_was_sent_is_cut_out_of_any_text(sent: str, around: str) -> None:
    normal = " ".join(sent.split())
    line = words.of_text(f"{around} {sent} {around}", sent=sent)
    assert len(normal) < 12 or normal not in line


@pytest.mark.parametrize(
    ("own", "line"),
    [("", "It answered 404."), ("no hook", "It answered 404: no hook."), ("Gone!", "It answered 404: Gone!")],
)
def test_the_words_end_a_sentence(own: str, line: str) -> None:
    assert words.sentence("It answered 404", own) == line
