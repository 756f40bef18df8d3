"""Nobody writes an address by hand: what leads somewhere is made by one function, so that it holds below a path, too.

F140. Inside, the site stands at `/`; `kit.addresses.at` makes of its places what is shown and sent, and `edge.below`
gives the headers of answers their path back.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.contracts.test_layout import MODULES, SOURCE
from tocsin import settings
from tocsin.app import make_site

TEMPLATES = sorted((SOURCE / "web" / "templates").rglob("*.html"))
STATIC = SOURCE / "web" / "static"
SCRIPTS = sorted(STATIC.glob("*.js"))
STYLES = sorted(STATIC.glob("css/*/*.css"))

# What a browser follows or asks for, by itself or when somebody presses it.
_LEADS = ("href", "src", "srcset", "action", "formaction", "poster", "data", "cite", "ping", "manifest")
_ATTRIBUTE = re.compile(
    rf"(?<![\w-])(?:{'|'.join(_LEADS)}|hx-(?:get|post|put|patch|delete|push-url|replace-url)|hx-sse:connect)"
    r"\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+))"
)
_MADE = re.compile(r"\{\{ (at|static)\([^{}]*\)[^{}]*\}\}(#\{\{ name \}\}|#mark)?$")
# What leads away, in the one macro that makes it (`ui.away`).
_ELSEWHERE = 'href="{{ address }}" rel="noopener noreferrer nofollow" target="_blank"'
# A name that a template gives a value to is no attribute.
_SET = re.compile(r"\{%-?\s*set\s+\w+\s*=")


def by_hand_in_template(text: str) -> Iterator[str]:
    """Yield every attribute that leads somewhere and is not made by `at` or `static`."""
    text = re.sub(r"\{#.*?#\}", "", text, flags=re.DOTALL).replace(_ELSEWHERE, "")
    text = _SET.sub("", text)
    for found in _ATTRIBUTE.finditer(text):
        value = next(each for each in found.groups() if each is not None)
        # Nothing is what a macro is given when it shall lead nowhere.
        if value and not value.startswith("#") and not _MADE.match(value):
            yield found[0]
    # As keys of what becomes attributes.
    yield from re.findall(rf"'(?:{'|'.join(_LEADS)}|hx-[a-z:]+)'\s*:", text)
    yield from re.findall(r"http-equiv|<base\b", text)


def by_hand_in_script(text: str) -> Iterator[str]:
    """Yield every text that begins like a place of this site, and every cookie for all of the host."""
    yield from re.findall(r"[\"'`(]/[A-Za-z_$][^\s\"'`]*", re.sub(r"(?m)^\s*//.*$", "", text))
    yield from re.findall(r"path=/", text)


def by_hand_in_style(text: str) -> Iterator[str]:
    yield from re.findall(r"(?:url\(|@import)\s*[\"']?(?:/|https?:)[^)]*", text)


def by_hand_in_code(text: str) -> Iterator[str]:
    """Yield what puts an address together from the installation's, or writes one into a page or a header."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.BinOp(left=left, op=ast.Add()) if _is_base(left):
                yield ast.unparse(node)
            case ast.JoinedStr(values=values):
                for one, two in pairwise(values):
                    is_path = isinstance(two, ast.Constant) and str(two.value).startswith("/")
                    if isinstance(one, ast.FormattedValue) and _is_base(one.value) and is_path:
                        yield ast.unparse(node)
            case ast.Constant(value=str(value)):
                yield from re.findall(r"(?:href|src|action)=[\"']?/[^\"']*", value)
            case ast.Call(func=ast.Name(id="Redirect")):
                yield ast.unparse(node)
            case _:
                pass


def _is_base(node: ast.AST) -> bool:
    """Say whether this is the address or the path of the installation, however it was come by."""
    match node:
        case ast.Call(func=ast.Attribute(value=asked, attr=name)):
            return _is_base(asked) or name == "base_url"
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name in ("base_url", "root")
        case _:
            return False


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_what_leads_somewhere_in_a_template_is_made_by_at(path: Path) -> None:
    """F140."""
    by_hand = list(by_hand_in_template(path.read_text()))
    assert by_hand == [], (
        "Name a place of the site and have `at` write it, href=\"{{ at('/alerts/' ~ alert.id) }}\"; a file is written "
        "by `static`, and what leads away from the site by `{% call ui.away(address) %}`."
    )


@pytest.mark.parametrize("path", [*SCRIPTS, *STYLES], ids=lambda path: path.name)
def test_scripts_and_styles_know_no_place_of_the_host(path: Path) -> None:
    """F140."""
    read = by_hand_in_style if path.suffix == ".css" else by_hand_in_script
    assert list(read(path.read_text())) == [], (
        "Scripts take an address from an attribute that a template made by `at`; style sheets name files beside them."
    )


def test_code_puts_no_address_together() -> None:
    """F140: in one module only."""
    found = {path: list(by_hand_in_code(path.read_text())) for path in MODULES if path.name != "addresses.py"}
    by_hand = {path.relative_to(SOURCE).as_posix(): each for path, each in found.items() if each}
    assert by_hand == {}, (
        "Have it made by `at(base_url, place)` of `kit.addresses`, or by `pages.go` or `pages.address`."
    )


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (by_hand_in_template, '<a class="b" href="/alerts/{{ alert.id }}">'),
        (by_hand_in_template, '<a href="{{ url }}/x">'),
        (by_hand_in_template, '<a href="{{ url }}">'),
        (by_hand_in_template, "{% set href = url %}<a href='{{ href }}'>"),
        (by_hand_in_template, "<form action='/x'>"),
        (by_hand_in_template, "<form action=/x>"),
        (by_hand_in_template, '<button formaction="/x">'),
        (by_hand_in_template, '<div hx-get="{{ refresh_url|default(path) }}">'),
        (by_hand_in_template, '<div hx-sse:connect="{{ live_url }}">'),
        (by_hand_in_template, '<img src="/static/x.svg">'),
        (by_hand_in_template, "{{ ui.button('x', attrs={'formaction': '/x'}) }}"),
        (by_hand_in_template, '<meta http-equiv="refresh" content="0; /x">'),
        (by_hand_in_script, 'fetch("/api/v1/me")'),
        (by_hand_in_script, "location.assign(`/alerts/${id}`)"),
        (by_hand_in_script, "document.cookie = `theme=dark;path=/;max-age=1`"),
        (by_hand_in_style, 'src: url("/static/x.woff2")'),
        (by_hand_in_code, 'x = f"{context.settings.base_url}/alerts"'),
        (by_hand_in_code, "x = f\"{base_url.rstrip('/')}/alerts/{id}\""),
        (by_hand_in_code, 'x = f"{serving.base_url(settings)}/link/{token}"'),
        (by_hand_in_code, 'x = settings.base_url + "/alerts"'),
        (by_hand_in_code, 'x = settings.root + "/alerts"'),
        (by_hand_in_code, "x = b'<a href=\"/alerts\">'.decode() + '<a href=\"/alerts\">'"),
        (by_hand_in_code, 'return Redirect("/alerts")'),
    ],
)
def test_what_is_written_by_hand_is_found(read, text: str) -> None:  # pyright: ignore
    """F140: so that the claims above can fail."""
    assert list(read(text))


def test_a_name_of_a_template_is_no_address() -> None:
    assert list(by_hand_in_template("{%- set href = link.address %}{% set action='x' %}{{ ui.away(href) }}")) == []


def test_only_one_place_says_where_to_go() -> None:
    """F140: the border looks at the headers; who writes them by a way of their own must know of it."""
    found = {
        path.relative_to(SOURCE).as_posix()
        for path in MODULES
        if re.search(
            r"[\"'](location|hx-redirect|hx-location|hx-push-url|refresh|content-location)[\"']",
            path.read_text(),
            re.IGNORECASE,
        )
    }
    # An answer is kept, and given a second time, as the site has written it.
    assert found == {"edge/below.py", "web/base/pages.py", "api/base/idempotency.py"}, (
        "Lead on by `pages.go`; the API names a place in `Location` or `Link`, which `edge.below` gives their path."
    )


def test_no_installation_stands_below_a_place_of_the_site() -> None:
    """F140: there one could not tell whether a proxy has taken the path off."""
    first = {route.path.strip("/").partition("/")[0] for route in make_site().routes}
    places = {each for each in first if each and "{" not in each} | {"in", "compat"}
    assert places == settings.OWN_PLACES, (
        "Name each in `OWN_PLACES` (settings/values.py), and a new one in CHANGELOG.md: an installation that is there "
        "has to move. A page below a place that there is, such as /organisation, needs neither."
    )
