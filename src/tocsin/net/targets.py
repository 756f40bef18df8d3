"""Where a request may go: strict reading of URLs and the table of forbidden addresses. No I/O, no DNS.

Guards F059–F061: the addresses of webhooks come from users, and the answer to a name comes from strangers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import quote

import idna

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL = 2048

# https://www.iana.org/assignments/iana-ipv4-special-registry, and multicast.
_SPECIAL_V4: tuple[IPv4Network, ...] = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
# Only 2000::/3 is handed out; loopback, unique local, link-local, multicast, IPv4-mapped and NAT64 lie outside.
_GLOBAL_V6 = IPv6Network("2000::/3")
# Inside it: protocol assignments with Teredo, documentation twice, 6to4 (carries an IPv4 address), segment ids.
_SPECIAL_V6: tuple[IPv6Network, ...] = tuple(
    IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)
# Cloud services that hand credentials to whoever asks. A broad entry in the allow list does not open them:
# only an entry for exactly this one address does.
_METADATA: frozenset[Address] = frozenset(
    ip_address(text)
    for text in (
        "100.100.100.200",
        "168.63.129.16",
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "192.0.0.192",
        "fd00:ec2::23",
        "fd00:ec2::254",
        "fd20:ce::254",
    )
)

# No blanks, no control characters and no backslash anywhere: parsers disagree on what those mean.
_SHAPE = re.compile(r"(https?)://([^/?#]*)([^#]*)(?:#.*)?", re.IGNORECASE)
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029]")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# What the URL standard calls “ends in a number”: everything that some resolver would read as an IPv4 address.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT = re.compile(r"[0-9]{1,5}")
_PATH_SAFE = "/%:@!$&'()*+,;=~-._?[]"


class BadTarget(ValueError):
    """The text is no address that Tocsin calls. The message is a sentence for the user and quotes nothing."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that was read strictly. `address` is set when the host is an IP address and no name."""

    scheme: str
    host: str
    port: int
    path: str
    address: Address | None

    @property
    def authority(self) -> str:
        """Return the value of the `Host` header."""
        host = f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Return the only part of the URL that may appear in a message or a log."""
        return f"{self.scheme}://{self.authority}"

    @property
    def url(self) -> str:
        """Return the whole URL in its one normal spelling. May carry secrets."""
        return self.origin + self.path


def read_url(url: str) -> Target:
    """Read an http or https URL; raises `BadTarget` for whatever two parsers could read in two ways."""
    text = url.strip(" ")
    if len(text) > MAX_URL:
        raise BadTarget(f"The web address is longer than {MAX_URL} characters.")
    if _UNSAFE.search(text):
        raise BadTarget("Write the web address without blanks, control characters and backslashes.")
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise BadTarget("Give a full web address that starts with https:// or http://.")
    scheme, authority, rest = shape[1].lower(), shape[2], shape[3]
    if "@" in authority:
        raise BadTarget("Leave user name and password out of the web address.")
    host, port = _split(authority, 443 if scheme == "https" else 80)
    address = _literal(host)
    name = str(address) if address is not None else read_host(host)
    if address is None:
        # Full-width digits and ideographic dots become plain ones only now.
        address = _literal(name)
    path = quote(rest if rest.startswith("/") else "/" + rest, safe=_PATH_SAFE)
    return Target(scheme=scheme, host=name, port=port, path=path, address=address)


def read_host(host: str) -> str:
    """Return a host name in lower case and in its ASCII form (IDNA 2008, UTS 46), without a trailing dot.

    A dotted-quad IPv4 address passes; every other spelling of a number raises `BadTarget`.
    """
    name = host.lower()
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True, std3_rules=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            raise BadTarget("The host name contains characters that no host name may have.") from None
    name = name.removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadTarget("The web address has no valid host name.")
    if _NUMBER.fullmatch(labels[-1]) and _literal(name) is None:
        raise BadTarget("Write an IP address in its usual form, such as 192.0.2.10.")
    return name


def refusal(address: Address, allow: Iterable[Network]) -> str | None:
    """Say what is wrong with calling this address, or return None when it may be called."""
    networks = [network for network in allow if address in network]
    if address in _METADATA:
        exact = any(network.num_addresses == 1 for network in networks)
        return None if exact else "a cloud metadata service"
    if networks or _is_public(address):
        return None
    return "a private or reserved network"


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_V4)
    return address in _GLOBAL_V6 and not any(address in network for network in _SPECIAL_V6)


def _split(authority: str, default_port: int) -> tuple[str, int]:
    host, colon, port = authority, "", ""
    if authority.startswith("["):
        inside, bracket, port_part = authority[1:].partition("]")
        if not bracket or (port_part and not port_part.startswith(":")):
            raise BadTarget("The web address has no valid host name.")
        host, colon, port = f"[{inside}]", port_part[:1], port_part[1:]
    elif ":" in authority:
        host, colon, port = authority.partition(":")
    if not colon:
        return host, default_port
    if not _PORT.fullmatch(port) or not 0 < int(port) < 65536:
        raise BadTarget("The port in the web address must be a number from 1 to 65535.")
    return host, int(port)


def _literal(host: str) -> Address | None:
    if host.startswith("["):
        try:
            if "%" in host:
                raise ValueError
            return IPv6Address(host[1:-1])
        except ValueError:
            raise BadTarget("The IPv6 address between the brackets is not valid.") from None
    try:
        return IPv4Address(host.removesuffix("."))
    except ValueError:
        return None
