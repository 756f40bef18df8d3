"""Names are looked up without waiting for each other, and what was known stays known (F060, G04)."""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.processes import PATIENCE
from tests.use_cases.receivers import client, say, serving
from tocsin.kit.errors import Patience, Refused, Transient
from tocsin.net.resolver import Resolver, ask_the_machine

SOON = 0.05
# Time enough for an answer on a busy machine, and waited out once in a test.
IN_TIME = 2.0


class NameServer:
    """Answers as it is told to, and not at all for the names that hang, until it is let go."""

    def __init__(self) -> None:
        self.answers: dict[str, list[str]] = {}
        self.hanging: set[str] = set()
        self.asked: list[str] = []
        self.let_go = threading.Event()

    def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        if host in self.hanging:
            self.let_go.wait(60)
        if host not in self.answers:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return self.answers[host]


@pytest.fixture
def servers() -> Iterator[NameServer]:
    servers = NameServer()
    yield servers
    servers.let_go.set()


async def failure_of(resolver: Resolver, host: str) -> str:
    with pytest.raises(Transient) as caught:
        await resolver(host)
    assert not caught.value.may_have_arrived
    return str(caught.value)


async def test_a_name_that_hangs_holds_up_no_other(servers: NameServer) -> None:
    """Twice as many hang as an event loop has threads for, and then some; the other name is answered."""
    servers.answers = {"good.example.org": ["192.0.2.1"]}
    servers.hanging = {f"{n}.example.org" for n in range(50)}
    resolver = Resolver(servers, within=30)
    waiting = [asyncio.create_task(resolver(name)) for name in servers.hanging]
    assert await resolver("good.example.org") == ("192.0.2.1",)
    assert not any(task.done() for task in waiting)
    servers.let_go.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(outcome, Transient) for outcome in outcomes)


async def test_a_name_that_hangs_is_waited_for_up_to_the_limit(servers: NameServer) -> None:
    servers.hanging = {"dead.example.org"}
    resolver = Resolver(servers, within=SOON)
    assert await failure_of(resolver, "dead.example.org") == (
        "The name dead.example.org was not answered for within 0.05 s."
    )


async def test_a_name_is_looked_up_once_for_all_who_wait_for_it(servers: NameServer) -> None:
    servers.answers = {"good.example.org": ["192.0.2.1"]}
    servers.hanging = {"good.example.org"}
    resolver = Resolver(servers, within=30)
    waiting = [asyncio.create_task(resolver("good.example.org")) for _ in range(20)]
    gone = asyncio.create_task(resolver("good.example.org"))
    await asyncio.sleep(0)
    # One who gives up takes the answer from nobody.
    gone.cancel()
    servers.let_go.set()
    assert await asyncio.gather(*waiting) == [("192.0.2.1",)] * 20
    assert servers.asked == ["good.example.org"]


async def test_whoever_comes_when_too_many_hang_is_refused_at_once(servers: NameServer) -> None:
    servers.hanging = {f"{n}.example.org" for n in range(3)}
    servers.answers = {"good.example.org": ["192.0.2.1"]}
    resolver = Resolver(servers, within=SOON, most_hanging=3)
    for name in sorted(servers.hanging):
        await failure_of(resolver, name)
    assert "too many others hang" in await failure_of(resolver, "good.example.org")
    assert "good.example.org" not in servers.asked
    # What needs no look-up goes on.
    assert await resolver("192.0.2.7") == ["192.0.2.7"]
    assert await resolver("2001:db8::7") == ["2001:db8::7"]


async def test_the_last_good_answer_stands_in_while_the_name_servers_are_dead(servers: NameServer) -> None:
    """It is given out at once from the second time on, and a new answer replaces it."""
    servers.answers = {"good.example.org": ["192.0.2.1"]}
    resolver = Resolver(servers, within=IN_TIME)
    assert await resolver("good.example.org") == ("192.0.2.1",)
    servers.hanging = {"good.example.org"}
    assert await resolver("good.example.org") == ("192.0.2.1",)
    impatient = Resolver(servers, within=10.0 * PATIENCE)
    impatient._kept = resolver._kept
    assert await asyncio.wait_for(impatient("good.example.org"), PATIENCE) == ("192.0.2.1",)

    servers.hanging.clear()
    servers.answers = {"good.example.org": ["192.0.2.2"]}
    servers.let_go.set()
    await _until_all_ended(resolver, impatient)
    assert await resolver("good.example.org") == ("192.0.2.2",)


async def test_the_last_good_answer_stands_in_for_no_such_name(servers: NameServer) -> None:
    servers.answers = {"good.example.org": ["192.0.2.1"]}
    resolver = Resolver(servers)
    await resolver("good.example.org")
    servers.answers.clear()
    assert await resolver("good.example.org") == ("192.0.2.1",)
    assert "could not be found" in await failure_of(resolver, "other.example.org")


async def test_a_name_in_doubt_is_asked_for_again_beside_its_last_answer(servers: NameServer) -> None:
    """Nobody waits for it, a new answer counts from the next call on, and not too many are asked for at once."""
    servers.answers = {name: ["192.0.2.1"] for name in ("one.example.org", "two.example.org")}
    resolver = Resolver(servers, most_hanging=1)
    for _ in range(2):
        await resolver("one.example.org")
        await resolver("two.example.org")
        servers.answers.clear()
    servers.answers = {name: ["192.0.2.2"] for name in ("one.example.org", "two.example.org")}
    servers.hanging = {"one.example.org"}
    assert await resolver("one.example.org") == ("192.0.2.1",)
    assert await resolver("two.example.org") == ("192.0.2.1",)
    assert (servers.asked.count("one.example.org"), servers.asked.count("two.example.org")) == (3, 2)
    servers.let_go.set()
    await _until_all_ended(resolver)
    assert await resolver("one.example.org") == ("192.0.2.2",)
    assert await resolver("two.example.org") == ("192.0.2.1",)
    await _until_all_ended(resolver)
    assert await resolver("two.example.org") == ("192.0.2.2",)


async def test_answers_are_kept_for_a_while_and_in_a_bounded_number(servers: NameServer) -> None:
    servers.answers = {f"{n}.example.org": [f"192.0.2.{n}"] for n in range(1, 4)}
    few, short = Resolver(servers, most_kept=2), Resolver(servers, kept_for=0.0)
    for number in (1, 2, 1, 3):
        await few(f"{number}.example.org")
        await short(f"{number}.example.org")
    servers.answers.clear()
    # The one that was asked for longest ago has made room.
    assert "could not be found" in await failure_of(few, "2.example.org")
    assert await few("1.example.org") == ("192.0.2.1",)
    assert await few("3.example.org") == ("192.0.2.3",)
    assert "could not be found" in await failure_of(short, "3.example.org")


async def test_a_kept_answer_is_checked_like_any_other(servers: NameServer) -> None:
    """G04 must not open what F059 guards: an address is judged each time it is about to be called."""
    servers.answers = {"hooks.example.org": ["10.0.0.1"]}
    resolver = Resolver(servers)
    async with client(allow=(), resolve=resolver) as http:
        for _ in range(2):
            with pytest.raises(Refused, match="private or reserved network") as caught:
                await http.post("http://hooks.example.org/", body=b"", headers={})
            assert caught.value.patience is Patience.LONG
            servers.answers.clear()


async def test_a_call_goes_to_the_kept_address(servers: NameServer) -> None:
    servers.answers = {"hooks.example.org": ["127.0.0.1"]}
    close = say("HTTP/1.1 200 OK\nContent-Length: 0\nConnection: close", close=True)
    async with serving(close) as server, client(resolve=Resolver(servers, within=IN_TIME)) as http:
        url = f"http://hooks.example.org:{server.port}/"
        assert (await http.get(url)).status == 200
        servers.hanging = {"hooks.example.org"}
        assert (await http.get(url)).status == 200
        assert (server.connections, len(servers.asked)) == (2, 2)


async def test_the_machine_is_asked_as_before() -> None:
    """/etc/hosts counts, and what is no name at all is told as a name that was not found."""
    resolver = Resolver()
    assert set(await resolver("localhost")) & {"127.0.0.1", "::1"}
    assert "could not be found" in await failure_of(resolver, "a..b")


async def test_a_machine_without_threads_is_a_passing_failure(
    servers: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert "was not looked up" in await failure_of(Resolver(servers), "good.example.org")


async def _until_all_ended(*resolvers: Resolver) -> None:
    for resolver in resolvers:
        while resolver._under_way:
            await asyncio.wait([look_up.answer for look_up in resolver._under_way.values()])


@contextmanager
def silent_name_server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(PATIENCE)
        yield silent


def _ask_only(port: int, host: str) -> Sequence[str]:
    """Ask the machine, whose only name server is now at this port: glibc has one such list for each thread."""
    libc = ctypes.CDLL(None)
    libc.__res_init()
    libc.__res_state.restype = ctypes.c_void_p
    state = libc.__res_state()
    # resolv.h: retrans, retry, options, nscount and then the addresses.
    ctypes.memmove(state + 16, struct.pack("i", 1), 4)
    address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton("127.0.0.1") + bytes(8)
    ctypes.memmove(state + 20, address, len(address))
    return ask_the_machine(host)


@pytest.mark.needs("glibc")
async def test_a_real_name_server_that_never_answers_holds_up_no_other_name() -> None:
    """The system's own look-up hangs on a real socket, in more threads than an event loop has."""
    with silent_name_server() as silent:
        port = silent.getsockname()[1]

        def ask(host: str) -> Sequence[str]:
            return _ask_only(port, host) if host.startswith("dead") else ask_the_machine(host)

        resolver = Resolver(ask, within=60)
        dead = [asyncio.create_task(resolver(f"dead{n}.example.org")) for n in range(40)]
        await asyncio.sleep(0)
        assert set(await resolver("localhost")) & {"127.0.0.1", "::1"}
        assert not any(task.done() for task in dead)
        assert b"dead" in silent.recv(512)
        for task in dead:
            task.cancel()
        await asyncio.gather(*dead, return_exceptions=True)
