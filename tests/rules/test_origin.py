"""Where a request comes from and what that is good for: every combination that browsers and proxies make."""

from __future__ import annotations

from itertools import product

import pytest

from tocsin.edge.middleware import loggable, referrer_policy
from tocsin.edge.origin import Arrival, Rests, Whence, expected, may_pass, whence

NAMED = "http://tocsin.example:8700"
SECURE = "https://tocsin.example"
UNSET = "http://127.0.0.1:8700"

# base URL, Host, scheme as it is seen here, Origin, where from
ORIGINS = [
    # Plain http, by the address of the setting.
    (NAMED, "tocsin.example:8700", "http", "http://tocsin.example:8700", Whence.OURS),
    (NAMED, "tocsin.example:8700", "http", "HTTP://Tocsin.Example:8700", Whence.OURS),
    (NAMED, "tocsin.example:8700", "http", "http://tocsin.example", Whence.FOREIGN),
    (NAMED, "tocsin.example:8700", "http", "http://tocsin.example:8701", Whence.FOREIGN),
    (NAMED, "tocsin.example:8700", "http", "http://evil.example:8700", Whence.FOREIGN),
    (NAMED, "tocsin.example:8700", "http", "http://tocsin.example.evil.example:8700", Whence.FOREIGN),
    (NAMED, "tocsin.example:8700", "http", "http://tocsin.example:8700@evil.example", Whence.FOREIGN),
    (NAMED, "tocsin.example:8700", "http", "http://evil@tocsin.example:8700", Whence.FOREIGN),
    (NAMED, "tocsin.example:8700", "http", "http://tocsin.example:8700?x", Whence.FOREIGN),
    # The setting was forgotten: the address that the browser used is in Host.
    (UNSET, "tocsin.example:8700", "http", "http://tocsin.example:8700", Whence.OURS),
    (UNSET, "tocsin.example", "http", "http://tocsin.example", Whence.OURS),
    (UNSET, "tocsin.example", "http", "https://tocsin.example", Whence.OURS),
    (UNSET, "192.168.1.7:8700", "http", "http://192.168.1.7:8700", Whence.OURS),
    (UNSET, "tocsin.example:8700", "http", "http://127.0.0.1:8700", Whence.OURS),
    (UNSET, "tocsin.example:8700", "http", "http://localhost:8700", Whence.FOREIGN),
    # A proxy that ends TLS: with the name and without, believed (the scheme is right) and not.
    (SECURE, "tocsin.example", "https", "https://tocsin.example", Whence.OURS),
    (SECURE, "tocsin.example", "http", "https://tocsin.example", Whence.OURS),
    (SECURE, "127.0.0.1:8700", "http", "https://tocsin.example", Whence.OURS),
    (SECURE, None, "http", "https://tocsin.example", Whence.OURS),
    (SECURE, "127.0.0.1:8700", "http", "https://evil.example", Whence.FOREIGN),
    # What somebody on the line wrote as http://tocsin.example is not ours where the setting, or a proxy, says https.
    (SECURE, "tocsin.example", "http", "http://tocsin.example", Whence.FOREIGN),
    (SECURE, "tocsin.example", "https", "http://tocsin.example", Whence.FOREIGN),
    (UNSET, "tocsin.example", "https", "http://tocsin.example", Whence.FOREIGN),
    # Another port of the same machine, opened past the proxy: no browser would keep the session's cookie there.
    (SECURE, "tocsin.example:8700", "http", "http://tocsin.example:8700", Whence.FOREIGN),
    # Another port outside than inside; `$host` of nginx leaves the port out.
    ("https://tocsin.example:8443", "tocsin.example", "http", "https://tocsin.example:8443", Whence.OURS),
    (UNSET, "tocsin.example", "http", "https://tocsin.example:8443", Whence.FOREIGN),
    # Default ports, written out and not.
    ("https://tocsin.example:443", "tocsin.example:443", "http", "https://tocsin.example", Whence.OURS),
    ("http://tocsin.example:80", "tocsin.example", "http", "http://tocsin.example", Whence.OURS),
    (UNSET, "tocsin.example:443", "https", "https://tocsin.example", Whence.OURS),
    (UNSET, "tocsin.example:80", "http", "https://tocsin.example", Whence.FOREIGN),
    # IPv6, in whatever spelling; names with a dot at the end and beyond ASCII.
    ("http://[::1]:8700", "[::1]:8700", "http", "http://[::1]:8700", Whence.OURS),
    ("http://[2001:DB8:0:0::7]", None, "http", "http://[2001:db8::7]", Whence.OURS),
    (UNSET, "[2001:db8::7]:8700", "http", "http://[2001:db8:0:0:0:0:0:7]:8700", Whence.OURS),
    (UNSET, "[::1]:8700", "http", "http://[::2]:8700", Whence.FOREIGN),
    (UNSET, "tocsin.example.:8700", "http", "http://tocsin.example.:8700", Whence.OURS),
    ("http://tócsin.example", None, "http", "http://xn--tcsin-0ta.example", Whence.OURS),
    # What no browser sends.
    (NAMED, "tocsin.example:8700", "http", "", Whence.FOREIGN),
    (NAMED, "tocsin.example:8700", "http", "http://", Whence.FOREIGN),
    (NAMED, "tocsin.example:8700", "http", "http://[broken", Whence.FOREIGN),
    (NAMED, "tocsin.example:8700", "http", "http://tocsin.example:many", Whence.FOREIGN),
    (NAMED, "tocsin.example:8700", "http", "tocsin.example:8700", Whence.FOREIGN),
    (NAMED, "tocsin.example:8700", "http", "file://tocsin.example:8700", Whence.FOREIGN),
    (NAMED, "[broken", "http", "http://evil.example", Whence.FOREIGN),
    (NAMED, "", "http", "http://tocsin.example:8700", Whence.OURS),
    # What a page says that keeps its address to itself, and what says nothing.
    (NAMED, "tocsin.example:8700", "http", "null", Whence.NULL),
    (NAMED, "tocsin.example:8700", "http", None, Whence.UNSAID),
]


@pytest.mark.parametrize(("base_url", "host", "scheme", "origin", "wanted"), ORIGINS)
def test_an_origin_is_ours_by_the_setting_or_by_the_address_it_was_sent_to(
    base_url: str, host: str | None, scheme: str, origin: str | None, wanted: Whence
) -> None:
    assert whence(Arrival(origin, None, host, scheme), base_url) is wanted


@pytest.mark.parametrize("origin", [None, "null", "https://tocsin.example", "https://evil.example"])
@pytest.mark.parametrize(
    ("site", "wanted"),
    [
        ("same-origin", Whence.OURS),
        ("none", Whence.OURS),
        ("same-site", Whence.FOREIGN),
        ("cross-site", Whence.FOREIGN),
        ("", Whence.FOREIGN),
        ("anything", Whence.FOREIGN),
    ],
)
def test_what_the_browser_compared_itself_goes_before_every_origin(
    origin: str | None, site: str, wanted: Whence
) -> None:
    """Not the other way round: behind a proxy the origin may look like another, and a neighbour's like ours."""
    assert whence(Arrival(origin, site, "127.0.0.1:8700", "http"), SECURE) is wanted


# Rests on, a session speaks → from where it may come.
PASSES = {
    (Rests.SESSION, False): {Whence.OURS, Whence.UNSAID},
    (Rests.SESSION, True): {Whence.OURS, Whence.UNSAID},
    (Rests.SIGN_IN_LINK, False): {Whence.OURS, Whence.UNSAID, Whence.NULL},
    (Rests.SIGN_IN_LINK, True): {Whence.OURS, Whence.UNSAID},
    (Rests.ANSWER_LINK, False): {Whence.OURS, Whence.UNSAID, Whence.NULL, Whence.FOREIGN},
    (Rests.ANSWER_LINK, True): {Whence.OURS, Whence.UNSAID, Whence.NULL},
    (Rests.OPENING_LINK, False): {Whence.OURS, Whence.UNSAID, Whence.NULL},
    (Rests.OPENING_LINK, True): {Whence.OURS, Whence.UNSAID},
}


@pytest.mark.parametrize(("rests", "has_session", "place"), list(product(Rests, (False, True), Whence)))
def test_what_a_request_rests_on_says_from_where_it_may_come(rests: Rests, has_session: bool, place: Whence) -> None:
    assert may_pass(place, rests, has_session=has_session) is (place in PASSES[rests, has_session])


@pytest.mark.parametrize(
    ("base_url", "host", "scheme", "wanted"),
    [
        (UNSET, "tocsin.example:8700", "http", [UNSET, "http://tocsin.example:8700"]),
        (SECURE, "127.0.0.1:8700", "http", [SECURE, "https://127.0.0.1:8700"]),
        (SECURE, "tocsin.example", "http", [SECURE]),
        ("http://[::1]:8700/", "[0::1]:8700", "http", ["http://[::1]:8700"]),
        (NAMED, None, "http", [NAMED]),
        (NAMED, "[broken", "http", [NAMED]),
    ],
)
def test_what_would_have_been_taken_is_said_once(
    base_url: str, host: str | None, scheme: str, wanted: list[str]
) -> None:
    assert expected(Arrival("https://evil.example", None, host, scheme), base_url) == wanted


def test_no_page_hands_its_secret_address_on_and_none_hides_its_origin_from_us() -> None:
    for path in ("/p/abc", "/P/abc", "/link/abc", "/link/", "/set-up", "/set-up/abc", "//p/abc", "/p"):
        assert referrer_policy(path) == b"strict-origin"
    for path in ("/", "/people", "/policies", "/pages/x", "/links", "/incidents/INC-1", "/api/v1/pages"):
        assert referrer_policy(path) == b"same-origin"
    assert loggable("/p/abc") == "/p/…"
