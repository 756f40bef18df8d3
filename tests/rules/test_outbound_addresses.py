"""Which addresses Tocsin calls (F059–F061): every spelling of a forbidden one, and the ordinary ones."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.kit.errors import Invalid
from tocsin.net.http import check_url
from tocsin.net.targets import BadTarget, read_url, refusal


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.1.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:53aa:64c:0:7fff:80ff:fffe",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:0808:0808::1",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_private_and_reserved_addresses_are_refused(text: str) -> None:
    assert refusal(ip_address(text), ()) == "a private or reserved network"


@pytest.mark.parametrize(
    "text",
    [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.167.1.1",
        "223.255.255.255",
        "2001:4860:4860::8888",
        "2606:4700::1111",
        "2a00:1450:4001::1",
    ],
)
def test_public_addresses_pass(text: str) -> None:
    assert refusal(ip_address(text), ()) is None


@pytest.mark.parametrize("text", ["169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254"])
def test_a_metadata_service_is_opened_only_by_its_exact_address(text: str) -> None:
    everything = [ip_network(text) for text in ("0.0.0.0/0", "::/0", "169.254.0.0/16")]

    assert refusal(ip_address(text), ()) == "a cloud metadata service"
    assert refusal(ip_address(text), everything) == "a cloud metadata service"
    assert refusal(ip_address(text), [ip_network(text)]) is None


def test_an_allowed_network_opens_itself_and_nothing_else() -> None:
    allow = [ip_network(text) for text in ("10.1.0.0/16", "fd00:1::/32")]

    assert refusal(ip_address("10.1.2.3"), allow) is None
    assert refusal(ip_address("fd00:1::5"), allow) is None
    assert refusal(ip_address("10.2.0.1"), allow)
    assert refusal(ip_address("::ffff:10.1.2.3"), allow)


@pytest.mark.parametrize(
    "url",
    [
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://127.0.1/",
        "http://017700000001/",
        "http://0/",
        "http://0x/",
        "http://1.2.3.4.5/",
        "http://256.256.256.256/",
        "http://foo.0x7f/",
        "http://example.1/",
        "http://127.0.0.1../",
        "http://１２７.１/",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://[::1/",
        "http://[::1]x/",
        "http://[127.0.0.1]/",
        "http://[v1.a]/",
        "http://::1/",
        "http://a:b:c/",
        "http://127.0.0.1%2f@example.org/",
        "http://exa%6dple.org/",
        "http://example.org%00.evil.test/",
        "http://user@example.org/",
        "http://user:secret@example.org/",
        "http://@example.org/",
        "http://example.org\\@127.0.0.1/",
        "http:\\\\example.org/",
        "http://example.org/a\\b",
        "http://example.org/a b",
        "http://example.org/\r\nHost: evil",
        "http://example.org/\tx",
        "http://exa\u00admple.org\u2028/",
        "http://example.org:0/",
        "http://example.org:65536/",
        "http://example.org:/",
        "http://example.org:８０/",
        "http://example.org:+80/",
        "http://-a.org/",
        "http://a..org/",
        "http://.org/",
        "http://example.org../",
        "http://" + "a" * 64 + ".org/",
        "http:///path",
        "http://",
        "https:example.org",
        "//example.org/",
        "example.org",
        "",
        "ftp://example.org/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "javascript:alert(1)",
        "http://example.org/" + "a" * 2048,
        "http://ex☃\u200dample.org:80:80/",
    ],
)
def test_urls_that_can_be_read_in_two_ways_are_refused(url: str) -> None:
    with pytest.raises(BadTarget):
        read_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.0.0.1./",
        "http://１２７.０.０.１/",
        "http://127。0。0。1/",
        "http://[::1]/",
        "http://[0:0:0:0:0:0:0:1]:8080/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[64:ff9b::a00:1]/",
        "http://169.254.169.254/latest/meta-data",
    ],
)
def test_forbidden_addresses_are_named_when_the_url_is_saved(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_url(url)

    assert caught.value.errors[0].pointer == "#/address"
    assert "unless TOCSIN_OUTBOUND_ALLOW names" in caught.value.message


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTPS://Example.ORG", "https://example.org/"),
        ("https://example.org:443/x?y=1#z", "https://example.org/x?y=1"),
        ("http://example.org.:8080/a", "http://example.org:8080/a"),
        ("https://example.org?x=1", "https://example.org/?x=1"),
        ("https://bücher.example/ä", "https://xn--bcher-kva.example/%C3%A4"),
        ("https://ＥＸＡＭＰＬＥ.org/", "https://example.org/"),
        ("https://hooks.example.org/a%2Fb/{c}", "https://hooks.example.org/a%2Fb/%7Bc%7D"),
        ("https://[2606:4700:0:0::1111]/", "https://[2606:4700::1111]/"),
        ("http://my_service:8080/a@b", "http://my_service:8080/a@b"),
        (" https://8.8.8.8/ ", "https://8.8.8.8/"),
    ],
)
def test_good_urls_get_one_spelling(url: str, normal: str) -> None:
    assert check_url(url) == normal
    assert check_url(normal) == normal


def test_a_message_about_a_bad_url_quotes_none_of_it() -> None:
    with pytest.raises(Invalid) as caught:
        check_url("https://user:s3cret@example.org/t0ken")

    assert "s3cret" not in caught.value.message
    assert "t0ken" not in caught.value.message


@given(st.text(max_size=60))
def test_no_text_makes_the_reader_fail_in_another_way(text: str) -> None:
    for url in (text, "http://" + text, "http://h/" + text):
        try:
            target = read_url(url)
        except BadTarget:
            continue
        assert target.url.isascii()
        assert not any(c in target.url for c in " \r\n\t\\")


@given(st.ip_addresses(v=4))
def test_an_embedded_ipv4_address_never_passes(address: object) -> None:
    for url in (f"http://[::ffff:{address}]/", f"http://[64:ff9b::{address}]/", f"http://[::{address}]/"):
        with pytest.raises(Invalid):
            check_url(url)
