"""The address of the installation: what is taken, what is refused with a sentence, and what is made of it."""

from __future__ import annotations

import pytest

from tocsin.edge.auth import COOKIE, session_cookie
from tocsin.kit.addresses import at, root_of, within
from tocsin.settings import OWN_PLACES, SettingError, Settings, load


def _load(given: str) -> Settings:
    return load({"TOCSIN_BASE_URL": given}, {"data_dir": "/nonexistent"})


@pytest.mark.parametrize(
    "given",
    ["https://t.example", "https://t.example/", "https://t.example//", "http://10.0.0.7:8700", "http://[::1]:80"],
)
def test_a_scheme_and_a_host_are_taken(given: str) -> None:
    """F140: a slash at the end is no path."""
    settings = _load(given)
    assert (settings.base_url, settings.root) == (given.rstrip("/"), "")


@pytest.mark.parametrize(
    ("given", "root"),
    [
        ("https://t.example/tocsin", "/tocsin"),
        ("https://t.example/tocsin/", "/tocsin"),
        ("http://[::1]:80/ops/On-Call_2.0~x", "/ops/On-Call_2.0~x"),
        ("https://t.example/...", "/..."),
        # These only begin like a place of the site, or stand behind something else.
        ("https://t.example/inside", "/inside"),
        ("https://t.example/ops/incidents", "/ops/incidents"),
    ],
)
def test_a_path_is_taken(given: str, root: str) -> None:
    """F140."""
    settings = _load(given)
    assert (settings.base_url, settings.root) == (given.rstrip("/"), root)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("t.example/tocsin", "must start with http:// or https://"),
        ("ftp://t.example", "must start with http:// or https://"),
        ("https://t.example?x", "without [?] and #"),
        ("https://t.example/tocsin?x", "without [?] and #"),
        ("https://t/#a", "without [?] and #"),
        ("https://ada:secret@t.example/tocsin", "no user and no password"),
        ("https://ada@t.example", "no user and no password"),
        ("https://", "must name a host"),
        ("https:///tocsin", "must name a host"),
        ("https://t .example", "must name a host"),
        ("https://t.example\\tocsin", "must name a host"),
        ("https://t.example//tocsin", "two slashes in a row"),
        ("https://t.example/a//b", "two slashes in a row"),
        ("https://t.example/..", "must not have “.” or “..”"),
        ("https://t.example/a/../b", "must not have “.” or “..”"),
        ("https://t.example/./b", "must not have “.” or “..”"),
        ("https://t.example/%2e%2e", "letters a to z"),
        ("https://t.example/a%2Fb", "letters a to z"),
        ("https://t.example/tócsin", "letters a to z"),
        ("https://t.example/a b", "letters a to z"),
        ("https://t.example/a;b", "letters a to z"),
        ("https://t.example/{a}", "letters a to z"),
        *(
            (f"https://t.example/{place}", f"must not have a path that begins with /{place},")
            for place in sorted(OWN_PLACES)
        ),
        ("https://t.example/incidents/x", "must not have a path that begins with /incidents,"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_with_a_sentence(given: str, why: str) -> None:
    """F140: a start that says so is better than links that lead nowhere."""
    with pytest.raises(SettingError, match=f"TOCSIN_BASE_URL .*{why}"):
        _load(given)


def test_a_password_in_the_address_is_not_said() -> None:
    """F140: what is said at a start stands in logs."""
    with pytest.raises(SettingError) as refused:
        _load("https://ada:secret@t.example/tocsin")
    assert "secret" not in str(refused.value) and "t.example/tocsin" in str(refused.value)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/ops/tocsin", "/"),
        ("/ops/tocsin/", "/"),
        ("/ops/tocsin/incidents", "/incidents"),
        ("/ops/tocsin/incidents/", "/incidents/"),
        ("/ops/tocsin//in/x", "//in/x"),
        ("//ops/tocsin/in/x", "/in/x"),
        ("/ops//tocsin/in/x", "/in/x"),
        ("/ops/tocsin/ops/tocsin", "/ops/tocsin"),
        # Elsewhere, and what only begins like it.
        ("/", None),
        ("", None),
        ("/incidents", None),
        ("/ops", None),
        ("/ops/tocsinx", None),
        ("/ops/tocsi", None),
        ("/Ops/tocsin", None),
        ("/x/ops/tocsin", None),
        ("ops/tocsin", None),
    ],
)
def test_the_path_is_taken_off_where_it_stands_at_the_beginning(path: str, place: str | None) -> None:
    """F140."""
    assert within("/ops/tocsin", path) == place


def test_a_dot_in_the_path_stands_for_itself() -> None:
    """F140."""
    assert (within("/a.b", "/a.b/x"), within("/a.b", "/axb/x")) == ("/x", None)


def test_a_place_is_told_below_the_path_and_found_again() -> None:
    """F140."""
    for base_url in ("https://t.example", "https://t.example/tocsin", "https://t.example/a/b"):
        root = root_of(base_url)
        assert at(base_url, "/alerts") == f"{base_url}/alerts"
        assert at(root, "/alerts").removeprefix(root) == "/alerts"
        assert not root or within(root, at(root, "/alerts?q=1")) == "/alerts?q=1"


@pytest.mark.parametrize(
    ("base_url", "name"),
    [
        ("http://t.example", COOKIE),
        ("https://t.example", f"__Host-{COOKIE}"),
        ("http://t.example/tocsin", f"{COOKIE}.tocsin"),
        ("https://t.example/tocsin", f"__Secure-{COOKIE}.tocsin"),
        ("https://t.example/tocsin/trial", f"__Secure-{COOKIE}.tocsin.trial"),
    ],
)
def test_the_name_of_the_session_tells_installations_at_one_host_apart(base_url: str, name: str) -> None:
    """F118, F140: `__Host-` is for a cookie that goes to all of the host, which below a path is not ours."""
    assert session_cookie(base_url) == name
