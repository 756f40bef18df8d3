"""What a stranger sends before anybody knows who it is: it is refused or ignored, and nothing breaks (F121)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from litestar import _parsers

from tests.surfaces.web_client import FORM, browser
from tests.world import World
from tocsin.edge import reading

SRC = Path(__file__).parents[2] / "src" / "tocsin"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("a=1; b=2", ""),
        ("session=1; tocsin=2", "2"),
        ("tocsin=1;tocsin=2", "1"),
        ('tocsin="quoted"', "quoted"),
        ('tocsin="', '"'),
        ("tocsin", ""),
        ("tocsin=", ""),
        (" tocsin = a=b ", "a=b"),
        ("x tocsin=1; tocsin.=2", ""),
        ("a[b]=1; tocsin=2", "2"),
        ("tocsin=" + "\\" * 100, "\\" * 100),
        (";;;=;tocsin=1;;", "1"),
    ],
)
def test_a_cookie_is_read_whatever_stands_around_it(header: str, value: str) -> None:
    assert reading.read_cookie(header, "tocsin") == value


def test_nobody_reads_cookies_and_forms_but_the_reader() -> None:
    """The framework's way costs seconds for one header and keeps a thousand forms of strangers in memory."""
    forbidden = re.compile(r"\.cookies\b|SimpleCookie|http\.cookies|\.form\(\)|parse_url_encoded")
    found = {path.name for path in SRC.rglob("*.py") if forbidden.search(path.read_text())}
    assert found == {"reading.py"}


async def test_a_form_of_a_stranger_has_an_end_and_is_not_remembered(world: World) -> None:
    before = _parsers.parse_url_encoded_form_data.cache_info().currsize
    async with browser(world) as web:
        ordinary = await web.send("/sign-in", {"email": "ada@example.org", "password": "not the password"})
        assert ordinary.status == 422
        for body in ("a=1&" * 200_000, "&".join(f"{n}=1" for n in range(1001)), "%41=%41&" * 100_000):
            answer = await web.http.post("/sign-in", content=body, headers=FORM)
            assert answer.status_code == 413
    assert _parsers.parse_url_encoded_form_data.cache_info().currsize == before


_BOUNDARY = {"content-type": "multipart/form-data; boundary=XX"}


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (_BOUNDARY, b'--XX\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n' * 2000 + b"--XX--\r\n"),
        (_BOUNDARY, b"\r\n--X" * 100_000),
        (_BOUNDARY, b"--XX\r\n" + b"a" * 500_000),
        (_BOUNDARY, b""),
        ({"content-type": "multipart/form-data"}, b"a"),
        ({"content-type": "multipart/form-data; boundary="}, b"a"),
        ({"content-type": "multipart/form-data; boundary=" + "a" * 5000}, b"a"),
        ({"content-type": "multipart/form-data" + "; a=b" * 1000}, b"a"),
        (FORM, b"\xff" * 500_000),
        (FORM, b"%" * 500_000),
        (FORM, b"&" * 500_000),
        ({"content-type": "application/json"}, b"[" * 500_000),
        ({"content-type": ";" * 5000}, b"a=b"),
    ],
)
async def test_a_hostile_form_is_refused_and_breaks_nothing(world: World, headers: dict[str, str], body: bytes) -> None:
    async with browser(world) as web:
        answer = await web.http.post("/sign-in", content=body, headers=headers)
        assert 400 <= answer.status_code < 500


@pytest.mark.parametrize(
    "headers",
    [
        {"cookie": 'theme="' + "\\" * 7000},
        {"cookie": 'tocsin_session="' + '\\"' * 3500 + '"'},
        {"cookie": "a=b;" * 2000},
        {"authorization": "Bearer " + "a" * 20_000},
        {"authorization": "Basic " + "a" * 20_000},
        {"authorization": " " * 20_000},
        {"accept": "a/b;q=0.1," * 3000},
        {"accept": "*" * 20_000},
        {"accept-language": "en;q=0.5," * 3000},
        {"if-match": '"1",' * 5000},
        {"if-none-match": '"1",' * 5000},
        {"range": "bytes=" + "0-1," * 5000},
        {"idempotency-key": "k" * 20_000},
        {"x-request-id": "a" * 20_000},
        {"x-forwarded-for": "1.2.3.4," * 3000},
        {"origin": "http://" + "[" * 5000},
        {"host": "[" * 100},
        {"last-event-id": "9" * 20_000},
    ],
    ids=lambda headers: next(iter(headers)),
)
async def test_a_hostile_field_is_answered_and_breaks_nothing(world: World, headers: dict[str, str]) -> None:
    async with browser(world) as web:
        for path in ("/sign-in", "/nowhere", "/incidents", "/api/v1/incidents", "/static/tocsin.css", "/link/x"):
            answer = await web.http.get(path, headers=headers)
            assert answer.status_code < 500, path
        answer = await web.http.post("/api/v1/incidents", json={}, headers=headers)
        assert 400 <= answer.status_code < 500


@pytest.mark.parametrize(
    "target",
    [
        "/" + "a/" * 3000,
        "/" + "%2e%2e/" * 1000,
        "/" + "%ff" * 2500,
        "//" * 3000,
        "/in/" + "/" * 7000,
        "/in/generic/" + "%00" * 2000,
        "/p/" + "a" * 7000,
        "/link/" + "a." * 3500,
        "/set-up?token=" + "a" * 7000,
        "/sign-in?next=" + "/" * 7000,
        "/sign-in?" + "a&" * 3500,
        "/sign-in?" + "a=%41&" * 1000,
        "/api/v1/incidents?cursor=" + "A" * 7000,
        "/api/v1/incidents?" + "limit=1&" * 900,
        "/api/v1/incidents?limit=" + "9" * 7000,
        "/incidents?page=" + "9" * 7000,
    ],
    ids=lambda target: target[:20],
)
async def test_a_hostile_address_is_answered_and_breaks_nothing(world: World, target: str) -> None:
    async with browser(world) as web:
        for method in ("GET", "HEAD", "POST", "OPTIONS", "PROPFIND"):
            answer = await web.http.request(method, f"http://127.0.0.1:8700{target}")
            assert answer.status_code < 500, method


async def test_whoever_leaves_in_the_middle_of_a_form_is_no_fault_of_ours(world: World) -> None:
    """The figure of answers that failed is what people have alerts on; a stranger must not ring them."""
    said = [{"type": "http.request", "body": b"email=", "more_body": True}, {"type": "http.disconnect"}]
    fields = [(b"content-type", FORM["content-type"].encode()), (b"host", b"tocsin")]
    scope = {"type": "http", "method": "POST", "path": "/sign-in", "raw_path": b"/sign-in", "query_string": b""}

    async def receive() -> Any:
        return said.pop(0) if len(said) > 1 else said[0]

    async def send(message: Any) -> None:
        return None

    await world.app.asgi()({**scope, "headers": fields, "scheme": "http", "root_path": ""}, receive, send)  # pyright: ignore
    figures = world.app.metrics.render().decode()
    assert 'tocsin_http_seconds_count{status="499",surface="web"} 1.0' in figures
    assert 'status="500"' not in figures


async def test_what_breaks_while_somebody_waits_for_it_is_a_fault_of_ours(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same figure: a failure must not be taken for somebody who left."""

    async def break_(*_: Any, **__: Any) -> Any:
        raise RuntimeError("broken")

    async with browser(world) as web:
        monkeypatch.setattr("tocsin.edge.auth.Authentication._identify", break_)
        assert (await web.http.get("/sign-in")).status_code == 500
    figures = world.app.metrics.render().decode()
    assert 'tocsin_http_seconds_count{status="500",surface="web"} 1.0' in figures
    assert 'status="499"' not in figures


async def test_nothing_is_made_of_the_host_that_was_asked(world: World) -> None:
    """People reach an installation under any name, so a foreign one is not refused; it counts for nothing."""
    async with browser(world, await world.person("ada", role="admin")) as web:
        for path in ("/sign-in", "/incidents", "/sources", "/nowhere", "/api/v1/incidents", "/api/v1/openapi.json"):
            answer = await web.http.get(path, headers={"host": "evil.example"})
            assert answer.status_code < 500
            assert "evil.example" not in answer.text
            assert "evil.example" not in str(answer.headers)
