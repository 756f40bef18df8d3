"""Who may stay connected, and who has to make room (F121, G04)."""

from __future__ import annotations

import pytest

from tocsin.edge.door import RESERVE, Door, Limits, Proxies


class Somebody:
    def __init__(self, address: str) -> None:
        self.address = address
        self.had_to_go = False
        self.waited = 0.0
        self.says_more = False

    def has_said_more(self) -> bool:
        return self.says_more

    def make_room(self) -> None:
        self.had_to_go = True

    def look(self, elapsed: float) -> None:
        self.waited += elapsed


def door(connections: int = 4, per_address: int = 2, proxies: str = "") -> Door:
    return Door(Limits(connections, per_address, Proxies.read(proxies)))


def enter(at: Door, address: str) -> Somebody:
    guest = Somebody(address)
    assert at.enter(guest)
    return guest


def test_the_one_of_an_address_that_was_waited_for_longest_makes_room_for_its_next() -> None:
    here = door()
    first, second = enter(here, "192.0.2.1"), enter(here, "192.0.2.1")
    other = enter(here, "192.0.2.2")
    here.serve(first)
    here.wait_for(first)
    third = enter(here, "192.0.2.1")
    assert [guest.had_to_go for guest in (first, second, third, other)] == [False, True, False, False]
    assert len(here) == 3


def test_whoever_has_said_something_that_nobody_has_read_yet_does_not_make_room() -> None:
    """A request may come with its connection, and many connections are made before the first of them is read."""
    here = door()
    first, second = enter(here, "192.0.2.1"), enter(here, "192.0.2.1")
    first.says_more = True
    enter(here, "192.0.2.1").says_more = True
    assert (first.had_to_go, second.had_to_go) == (False, True)
    assert not here.enter(Somebody("192.0.2.1"))


def test_whoever_is_served_does_not_make_room() -> None:
    here = door()
    guests = [enter(here, "192.0.2.1") for _ in range(2)]
    for guest in guests:
        here.serve(guest)
    turned_away = Somebody("192.0.2.1")
    assert not here.enter(turned_away)
    assert not any(guest.had_to_go for guest in guests)
    here.wait_for(guests[1])
    # The one that was turned away still reads why, and is the first to go for somebody who has a place.
    here.leave(turned_away)
    assert enter(here, "192.0.2.1") and guests[1].had_to_go


def test_a_full_house_makes_room_whatever_the_address() -> None:
    here = door(connections=3)
    guests = [enter(here, f"192.0.2.{n}") for n in range(3)]
    enter(here, "192.0.2.9")
    assert [guest.had_to_go for guest in guests] == [True, False, False]
    assert len(here) == 3


def test_a_full_house_that_is_served_turns_newcomers_away_and_tells_some_of_them() -> None:
    here = door(connections=3, per_address=100)
    for n in range(3):
        here.serve(enter(here, f"192.0.2.{n}"))
    told = 0
    for n in range(100):
        guest = Somebody(f"198.51.100.{n}")
        here.enter(guest)
        here.serve(guest)
        told += here.may_tell
    assert told == 32


def test_a_proxy_speaks_for_many() -> None:
    here = door(connections=100, proxies="10.0.0.0/8, 192.0.2.7,unix:")
    for address in ("10.1.2.3", "192.0.2.7", "unix:", "::ffff:10.1.2.3"):
        assert [enter(here, address).had_to_go for _ in range(5)] == [False] * 5
    assert len(here) == 20


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2001:db8::1", "2001:db8::ffff:2"),
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("", ""),
    ],
)
def test_one_subscriber_is_one_address(first: str, second: str) -> None:
    here = door(connections=100, per_address=1)
    one = enter(here, first)
    enter(here, second)
    # What has no address at all cannot be told apart, so it is not counted by it.
    assert one.had_to_go == bool(first)


def test_whoever_leaves_is_forgotten() -> None:
    here = door()
    for _ in range(10):
        guest = enter(here, "192.0.2.1")
        here.leave(guest)
        here.leave(guest)
        here.wait_for(guest)
        here.serve(guest)
    assert len(here) == 0
    assert [enter(here, "192.0.2.1").had_to_go for _ in range(2)] == [False] * 2


def test_time_passes_for_everybody_once() -> None:
    here = door()
    guests = [enter(here, f"192.0.2.{n}") for n in range(3)]
    here.serve(guests[0])
    here.look_around(0.5)
    assert [guest.waited for guest in guests] == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("descriptors", "wanted", "connections"),
    [(1024, 4000, 1024 - RESERVE), (16_384, 4000, 4000), (256, 4000, 128), (1024, 50, 50), (1, 10, 1)],
)
def test_descriptors_are_kept_back(descriptors: int, wanted: int, connections: int) -> None:
    limits = Limits.within(descriptors, connections=wanted, per_address=10, proxies="*")
    assert limits.connections == connections
    assert "anything" in limits.proxies
