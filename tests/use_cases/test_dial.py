"""Reaching one of several addresses, on both event loops (F060): a dead one does not use up the call."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest
import uvloop

from tests.processes import reserved_port
from tests.use_cases.post_offices import letter, mailer_to, post_office
from tests.use_cases.receivers import OK, Names, client, make_certificate, serving
from tocsin.kit.errors import Refused, Transient
from tocsin.net import dial
from tocsin.net.dial import Unreachable
from tocsin.net.smtp import Security
from tocsin.net.targets import Address

DEAD, LIVE, OTHER = (ip_address(text) for text in ("192.0.2.1", "192.0.2.2", "192.0.2.3"))


class Doors:
    """Addresses that answer, refuse or never do either, and a memory of who was asked."""

    def __init__(self, **outcomes: OSError | str | None) -> None:
        self.outcomes = outcomes
        self.asked: list[Address] = []
        self.discarded: list[str] = []
        self.cancelled = 0

    async def open(self, address: Address) -> str:
        self.asked.append(address)
        outcome = {DEAD: "dead", LIVE: "live", OTHER: "other"}[address]
        answer = self.outcomes[outcome]
        if answer is None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        if isinstance(answer, Exception):
            raise answer
        assert answer is not None
        return answer

    async def reach(self, *addresses: Address, seconds: float = 60, head_start: float = 0.01) -> str:
        return await dial.reach(
            addresses, self.open, seconds=seconds, head_start=head_start, discard=self.discarded.append
        )


async def test_a_dead_address_only_costs_its_head_start() -> None:
    doors = Doors(dead=None, live="in")
    assert await doors.reach(DEAD, LIVE) == "in"
    assert (doors.asked, doors.cancelled, doors.discarded) == ([DEAD, LIVE], 1, [])


async def test_an_address_that_refuses_makes_way_at_once() -> None:
    doors = Doors(dead=ConnectionRefusedError(), live="in")
    assert await asyncio.wait_for(doors.reach(DEAD, LIVE, head_start=60), 10) == "in"


async def test_a_living_first_address_is_the_only_one_that_is_asked() -> None:
    doors = Doors(live="in", other="too")
    assert await doors.reach(LIVE, OTHER, head_start=60) == "in"
    assert doors.asked == [LIVE]


async def test_what_was_opened_one_too_many_is_discarded() -> None:
    both = asyncio.Barrier(2)

    async def open(address: Address) -> Address:
        await both.wait()
        return address

    discarded: list[Address] = []
    found = await dial.reach([LIVE, OTHER], open, seconds=60, head_start=0, discard=discarded.append)
    assert {found, *discarded} == {LIVE, OTHER}


async def test_each_address_has_its_time_and_all_failures_are_told() -> None:
    doors = Doors(dead=None, live=ConnectionRefusedError(), other=None)
    with pytest.raises(Unreachable) as caught:
        await doors.reach(DEAD, LIVE, OTHER, seconds=0.05)
    kinds = [type(failure) for failure in caught.value.failures]
    assert sorted(kind.__name__ for kind in kinds) == ["ConnectionRefusedError", "TimeoutError", "TimeoutError"]
    assert doors.cancelled == 2


async def test_an_answer_ends_the_attempt_and_no_other_address_is_asked() -> None:
    """A wrong password is not tried again at each address of a mail server."""

    async def open(address: Address) -> str:
        asked.append(address)
        raise ValueError("no")

    asked: list[Address] = []
    with pytest.raises(ValueError, match="no"):
        await dial.reach([LIVE, OTHER], open, seconds=60, head_start=60, discard=lambda _: None)
    assert asked == [LIVE]


async def test_a_caller_who_gives_up_leaves_nothing_open() -> None:
    doors = Doors(dead=None, other=None)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await doors.reach(DEAD, OTHER)
    assert doors.cancelled == 2


@pytest.mark.parametrize(
    ("addresses", "order"),
    [
        ([], []),
        (["192.0.2.1", "192.0.2.2"], ["192.0.2.1", "192.0.2.2"]),
        (
            ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8::5", "192.0.2.1", "192.0.2.2"],
            ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"],
        ),
        (["192.0.2.1", "192.0.2.2", "2001:db8::1"], ["192.0.2.1", "2001:db8::1", "192.0.2.2"]),
        ([f"192.0.2.{n}" for n in range(1, 9)], [f"192.0.2.{n}" for n in range(1, 5)]),
    ],
)
def test_both_families_have_their_turn_among_the_first_four(addresses: list[str], order: list[str]) -> None:
    assert dial.spread([ip_address(text) for text in addresses]) == [ip_address(text) for text in order]


@asynccontextmanager
async def frozen(address: str, port: int) -> AsyncIterator[None]:
    """A server that takes connections and never says a word."""
    with socket.create_server((address, port)):
        yield


def on_uvloop(story: Callable[[], Coroutine[object, object, None]]) -> None:
    """Tell the story on the loop that the product runs on; the tests' own is the standard one."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())


async def on_both(story: Callable[[], Coroutine[object, object, None]]) -> None:
    await story()
    await asyncio.to_thread(on_uvloop, story)


async def test_a_frozen_backend_does_not_keep_a_page_from_the_living_one(tmp_path: Path) -> None:
    """It takes the connection and never greets: TCP alone proves nothing."""
    certificate, key = make_certificate(tmp_path, "hooks.example.org")
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))

    async def story() -> None:
        names = Names(["127.0.0.2", "127.0.0.1"])
        async with (
            serving(OK, ours) as server,
            frozen("127.0.0.2", server.port),
            client(resolve=names, tls=trusting) as http,
        ):
            url = f"https://hooks.example.org:{server.port}/"
            assert (await http.post(url, body=b"{}", headers={})).status == 200

    await on_both(story)


async def test_a_mail_server_is_reached_by_its_second_address_and_known_by_its_name(tmp_path: Path) -> None:
    """The name is looked up by our resolver, and it is the name that the certificate must be good for."""
    certificate, key = make_certificate(tmp_path, "mx.example.org")
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))
    names = Names(["127.0.0.2", "127.0.0.1"])

    async def story() -> None:
        async with post_office(tls_context=ours, require_starttls=True) as post:
            to = {"port": post.port, "tls": trusting, "resolve": names, "security": Security.STARTTLS}
            async with mailer_to(host="mx.example.org", **to) as mailer:
                await mailer.send(letter())
            async with mailer_to(host="other.example.org", **to) as mailer:
                with pytest.raises(Refused, match="no valid certificate"):
                    await mailer.send(letter())
            assert len(post.mail) == 1

    await on_both(story)
    assert set(names.asked) == {"mx.example.org", "other.example.org"}


async def test_a_frozen_mail_server_makes_way_for_its_other_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin.net.smtp.HEAD_START", 0.05)

    async def story() -> None:
        async with post_office() as post, frozen("127.0.0.2", post.port):
            names = Names(["127.0.0.2", "127.0.0.1"])
            async with mailer_to(post.port, host="mx.example.org", resolve=names) as mailer:
                await mailer.send(letter())
            assert len(post.mail) == 1

    await on_both(story)


async def test_a_mail_server_that_no_address_leads_to_has_nothing() -> None:
    with reserved_port() as port:
        async with mailer_to(port, host="mx.example.org", resolve=Names(["127.0.0.2", "127.0.0.1"])) as mailer:
            with pytest.raises(Transient, match="connection to the mail server failed") as caught:
                await mailer.send(letter())
    assert not caught.value.may_have_arrived
