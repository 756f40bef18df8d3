"""Network addresses as what one subscriber has. Pure; opens no socket and resolves no name."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

# Whoever has one IPv6 address has the other 2^64 of its network, too.
ONE_SUBSCRIBER = 64
_LONGEST_ADDRESS = 64


@lru_cache(maxsize=4096)
def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address, one that is mapped into IPv6 as the IPv4 address that it is; None for what is no address."""
    if len(text) > _LONGEST_ADDRESS:
        return None
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def network_of(text: str, *, ipv4_bits: int) -> str:
    """Return the network that an address is counted by: so many bits of IPv4, one subscriber's /64 of IPv6.

    What is no address is returned as it is.
    """
    found = parse_address(text.partition("%")[0])
    if found is None:
        return text
    return str(ip_network((found, ONE_SUBSCRIBER if isinstance(found, IPv6Address) else ipv4_bits), strict=False))
