"""Who may stay connected to one web process. Book-keeping only: no socket, no parser, no clock.

Invariant: whoever is asked to leave is a guest that we wait for, and of those the one that is waited for longest; a
request that is there in whole is never given up for a newcomer. So connections that only stand there, however
many, keep nobody out who comes and says what they want.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import islice
from typing import Protocol

from tocsin.kit.networks import network_of, parse_address

# Descriptors that strangers never get: the database, the worker's calls, files, and the answers to those turned away.
RESERVE = 256
# Those who are turned away are still told so, unless even they are too many.
_TOLD_AT_ONCE = 32
# How many are asked, one system call each, before somebody is turned away.
_ASKED_AT_ONCE = 512


class Guest(Protocol):
    """One connection."""

    @property
    def address(self) -> str:
        """Where it comes from; empty when that cannot be said."""
        ...

    def has_said_more(self) -> bool:
        """Whether something has arrived from it that has not been read yet; then it is not the one we wait for."""
        ...

    def make_room(self) -> None:
        """Go at once, for the sake of a newcomer."""
        ...

    def look(self, elapsed: float) -> None:
        """Let so many seconds count against the patience that is left."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections one process keeps. `proxies` are not counted by address: they speak for many."""

    connections: int
    per_address: int
    proxies: Proxies

    @classmethod
    def within(cls, descriptors: int, *, connections: int, per_address: int, proxies: str) -> Limits:
        """Leave a reserve of the process's descriptors, however many connections the operator allows."""
        reserve = min(RESERVE, descriptors // 2)
        return cls(max(1, min(connections, descriptors - reserve)), per_address, Proxies.read(proxies))


@dataclass(frozen=True, slots=True)
class Proxies:
    """The addresses that `TOCSIN_TRUSTED_PROXIES` names, as uvicorn reads them: addresses, networks, words, `*`."""

    everybody: bool = False
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    words: frozenset[str] = frozenset()

    @classmethod
    def read(cls, text: str) -> Proxies:
        """Read the setting. What is no address is kept as a word."""
        networks: list[IPv4Network | IPv6Network] = []
        words: set[str] = set()
        for part in filter(None, (part.strip() for part in text.split(","))):
            try:
                networks.append(ip_network(part, strict=False))
            except ValueError:
                words.add(part)
        return cls("*" in words, tuple(networks), frozenset(words))

    def __contains__(self, address: str) -> bool:
        if self.everybody or address in self.words:
            return True
        found = parse_address(address)
        return found is not None and any(found in network for network in self.networks)


@dataclass(slots=True)
class _Group:
    """The guests of one address, and those of them that we wait for, longest first."""

    guests: int = 0
    waited_for: dict[Guest, None] = field(default_factory=dict["Guest", None])


class Door:
    """The connections of one web process."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        # Says why somebody had to go or was not let in.
        self.measure: Callable[[str], None] = lambda _why: None
        self._guests: dict[Guest, str | None] = {}
        self._waited_for: dict[Guest, None] = {}
        self._groups: defaultdict[str, _Group] = defaultdict(_Group)

    def __len__(self) -> int:
        return len(self._guests)

    @property
    def may_tell(self) -> bool:
        """Whether somebody who is turned away can be told so; more than these are cut off."""
        return len(self._guests) <= self.limits.connections + _TOLD_AT_ONCE

    def enter(self, guest: Guest) -> bool:
        """Take a newcomer in, for whose first request we wait; says whether there is a place for it.

        The one without a place is counted until it leaves, and is the first to make room for others.
        """
        group = None if guest.address in self.limits.proxies else _subscriber(guest.address)
        has_place = self._make_room(group)
        self._guests[guest] = group
        if group is not None:
            self._groups[group].guests += 1
        self.wait_for(guest)
        return has_place

    def leave(self, guest: Guest) -> None:
        """Forget a connection. Safe to say twice."""
        if guest not in self._guests:
            return
        self.serve(guest)
        group = self._guests.pop(guest)
        if group is not None:
            self._groups[group].guests -= 1
            if not self._groups[group].guests:
                del self._groups[group]

    def wait_for(self, guest: Guest) -> None:
        """Note that from now on it is the guest's turn: to ask, or to finish asking."""
        if guest not in self._guests:
            return
        self.serve(guest)
        self._waited_for[guest] = None
        group = self._guests[guest]
        if group is not None:
            self._groups[group].waited_for[guest] = None

    def serve(self, guest: Guest) -> None:
        """Note that it is our turn: it has asked for something, and gets its answer before anybody is let in for it."""
        self._waited_for.pop(guest, None)
        group = self._guests.get(guest)
        if group is not None:
            self._groups[group].waited_for.pop(guest, None)

    def look_around(self, elapsed: float) -> None:
        """Let time pass for every guest; those whose patience ends go by themselves."""
        for guest in list(self._guests):
            guest.look(elapsed)

    def _make_room(self, group: str | None) -> bool:
        known = self._groups.get(group) if group is not None else None
        if (
            known is not None
            and known.guests >= self.limits.per_address
            and not self._send_away(known.waited_for, "address")
        ):
            return False
        return len(self._guests) < self.limits.connections or self._send_away(self._waited_for, "full")

    def _send_away(self, waited_for: Iterable[Guest], why: str) -> bool:
        """Let the one that was waited for longest go, of those that have not said anything meanwhile.

        Many connections may be made before the first of them is read, and its request may have come with it.
        """
        self.measure(why)
        longest = next((guest for guest in islice(waited_for, _ASKED_AT_ONCE) if not guest.has_said_more()), None)
        if longest is None:
            return False
        self.leave(longest)
        longest.make_room()
        return True


def _subscriber(address: str) -> str | None:
    """Return what addresses are counted by: the IPv4 address, the IPv6 network of one subscriber."""
    return network_of(address, ipv4_bits=32) or None
