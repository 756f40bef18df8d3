"""`Idempotency-Key`: whenever a process is killed, the repetition finds nothing done, or the answer."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from tests.surfaces.conftest import Api
from tests.world import World
from tocsin import api as surface
from tocsin.alerts.intake import Intake
from tocsin.api.base import idempotency
from tocsin.identity import service as identity
from tocsin.incidents import service as incidents
from tocsin.kit.errors import Unavailable
from tocsin.oncall.model import EscalationRun

KEY = {"Idempotency-Key": "once"}
ABANDONED = timedelta(seconds=61)


class Killed(BaseException):
    """The process is gone: nothing after this line runs, and the store undoes what is not committed."""


def _killed_before(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    async def killed(*_: Any, **__: Any) -> Any:
        raise Killed

    monkeypatch.setattr(owner, name, killed)


def _killed_after(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    whole: Callable[..., Awaitable[Any]] = getattr(owner, name)

    async def killed(*args: Any, **more: Any) -> Any:
        await whole(*args, **more)
        raise Killed

    monkeypatch.setattr(owner, name, killed)


async def _count(client: httpx.AsyncClient) -> int:
    return len((await client.get("/incidents")).json()["data"])


async def _declare(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/incidents", json={"title": "Checkout is down"}, headers=KEY)


BEFORE_THE_COMMIT: list[Callable[[pytest.MonkeyPatch], None]] = [
    lambda m: _killed_before(m, incidents, "declare"),
    lambda m: _killed_after(m, incidents, "declare"),
    lambda m: _killed_before(m, identity, "complete_idempotency"),
    lambda m: _killed_after(m, identity, "complete_idempotency"),
]


@pytest.mark.parametrize(
    "kill",
    BEFORE_THE_COMMIT,
    ids=["before the use case", "after the use case", "before the answer is kept", "before the commit"],
)
async def test_killed_before_the_commit_nothing_was_done(
    api: Api, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, kill: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """F001, F120."""
    with monkeypatch.context() as patch:
        kill(patch)
        with pytest.raises(Killed):
            await _declare(admin)
    assert await _count(admin) == 0
    waiting = await _declare(admin)
    assert (waiting.status_code, waiting.json()["code"]) == (409, "idempotency.in_progress")
    assert waiting.json()["retryable"] is True
    await api.world.pass_time(ABANDONED)
    first, again = await _declare(admin), await _declare(admin)
    assert (first.status_code, again.content) == (201, first.content)
    assert await _count(admin) == 1


async def test_killed_after_the_commit_the_answer_is_there(
    api: Api, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F001, F120."""
    with monkeypatch.context() as patch:
        # The last thing that happens between the commit and the first byte to the caller.
        sent: list[str] = []

        async def killed(*_: Any) -> Any:
            sent.append("answer")
            raise Killed

        whole = idempotency.Idempotency.__call__
        patch.setattr(
            idempotency.Idempotency, "__call__", lambda self, scope, receive, send: whole(self, scope, receive, killed)
        )
        with pytest.raises(Killed):
            await _declare(admin)
        assert sent
    assert await _count(admin) == 1
    for _ in range(2):
        answer = await _declare(admin)
        assert (answer.status_code, answer.json()["number"]) == (201, "INC-1")
        assert answer.headers["idempotent-replayed"] == "true"
        assert answer.headers["etag"]
        await api.world.pass_time(ABANDONED)
    assert await _count(admin) == 1


async def test_one_who_was_slow_does_nothing_when_another_has_taken_over(
    api: Api, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F001, F120."""
    is_slow, may_go_on = asyncio.Event(), asyncio.Event()
    whole = incidents.declare

    async def slow(*args: Any, **more: Any) -> Any:
        if not is_slow.is_set():
            is_slow.set()
            await may_go_on.wait()
        return await whole(*args, **more)

    monkeypatch.setattr(incidents, "declare", slow)
    first = asyncio.create_task(_declare(admin))
    await is_slow.wait()
    await api.world.pass_time(ABANDONED)
    second = await _declare(admin)
    may_go_on.set()
    late = await first
    assert second.status_code == 201
    assert (late.status_code, late.json()["code"]) == (409, "idempotency.in_progress")
    assert (await _declare(admin)).content == second.content
    assert await _count(admin) == 1


async def test_what_is_refused_changes_nothing_and_is_refused_again(admin: httpx.AsyncClient) -> None:
    """F120."""
    for _ in range(2):
        answer = await admin.post("/incidents", json={"title": ""}, headers=KEY)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/title")
    assert await _count(admin) == 0


async def test_what_breaks_after_its_work_is_undone_and_may_be_tried_again(
    admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F120."""

    async def broken(*_: Any, **__: Any) -> Any:
        raise Unavailable("The store cannot be reached. Try again.")

    for where in (surface.incidents, identity):
        with monkeypatch.context() as patch:
            patch.setattr(where, "shape" if where is surface.incidents else "complete_idempotency", broken)
            answer = await _declare(admin)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert await _count(admin) == 0
    assert (await _declare(admin)).status_code == 201


async def test_alerts_that_are_changed_together_stay_or_go_together(
    api: Api, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F067, F120."""
    world = api.world
    policy = await world.policy([await world.person("ada"), await world.person("bob")], wait=timedelta(minutes=30))
    await world.route(policy)
    for title in ("One", "Two", "Three"):
        await world.alert(title)
    ids = [alert["id"] for alert in (await admin.get("/alerts")).json()["data"]]
    await admin.post(f"/alerts/{ids[1]}/actions/resolve")
    body = {"action": "escalate", "ids": ids}
    with monkeypatch.context() as patch:
        _killed_before(patch, identity, "complete_idempotency")
        with pytest.raises(Killed):
            await admin.post("/alerts/actions/bulk", json=body, headers=KEY)
    before = await _steps(world)
    await world.pass_time(ABANDONED)
    first = await admin.post("/alerts/actions/bulk", json=body, headers=KEY)
    again = await admin.post("/alerts/actions/bulk", json=body, headers=KEY)
    # The one that cannot be done stops neither the others nor the answer.
    assert [failure["id"] for failure in first.json()["failed"]] == [ids[1]]
    assert {alert["id"] for alert in first.json()["data"]} == {ids[0], ids[2]}
    assert again.content == first.content
    assert sum(await _steps(world)) == sum(before) + 2


async def _steps(world: World) -> list[int]:
    async with world.db.begin() as tx:
        rows = await tx.session.scalars(select(EscalationRun.step))
        return list(rows.all())


async def test_a_key_for_what_commits_elsewhere_is_spent_at_once(
    api: Api, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F064, F120: nobody can say any more whether the signal was stored."""
    source = (await admin.post("/alert_sources", json={"name": "Any", "kind": "generic"})).json()
    path = f"/alert_sources/{source['id']}/actions/test"
    whole = await admin.post(path, headers=KEY)
    assert (await admin.post(path, headers=KEY)).content == whole.content
    for kill in (_killed_before, _killed_after):
        with monkeypatch.context() as patch:
            kill(patch, Intake, "submit")
            with pytest.raises(Killed):
                await admin.post(path, headers={"Idempotency-Key": kill.__name__})
        await api.world.pass_time(ABANDONED)
        answer = await admin.post(path, headers={"Idempotency-Key": kill.__name__})
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency.no_answer")
    assert len((await admin.get(f"/alert_sources/{source['id']}/signals")).json()["data"]) == 2


async def test_what_commits_elsewhere_and_fails_may_be_tried_again(
    api: Api, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F064, F120: the queue was full, so nothing was stored, and the answer says to try again."""
    source = (await admin.post("/alert_sources", json={"name": "Any", "kind": "generic"})).json()
    path = f"/alert_sources/{source['id']}/actions/test"
    with monkeypatch.context() as patch:
        patch.setattr(api.world.app.intake, "_limit", 0)
        for _ in range(2):
            full = await admin.post(path, headers=KEY)
            assert (full.status_code, full.json()["retryable"]) == (503, True)
    done, again = await admin.post(path, headers=KEY), await admin.post(path, headers=KEY)
    assert (done.status_code, again.content) == (200, done.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert len((await admin.get(f"/alert_sources/{source['id']}/signals")).json()["data"]) == 1

    await admin.patch(f"/alert_sources/{source['id']}", json={"is_enabled": False})
    for _ in range(2):
        refused = await admin.post(path, headers={"Idempotency-Key": "off"})
        assert (refused.status_code, refused.json()["code"]) == (409, "source.disabled")


async def test_an_answer_that_could_not_be_kept_leaves_the_key_of_what_commits_elsewhere_spent(
    api: Api, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F064, F120: it was done, so it is not done again."""
    source = (await admin.post("/alert_sources", json={"name": "Any", "kind": "generic"})).json()
    path = f"/alert_sources/{source['id']}/actions/test"
    whole = Intake.submit

    async def away(*_: Any, **__: Any) -> Any:
        raise Unavailable("The store cannot be reached. Try again.")

    with monkeypatch.context() as patch:

        async def submit(*args: Any, **more: Any) -> None:
            await whole(*args, **more)
            patch.setattr(identity, "complete_idempotency", away)

        patch.setattr(Intake, "submit", submit)
        assert (await admin.post(path, headers=KEY)).status_code == 503
    answer = await admin.post(path, headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency.no_answer")
    assert len((await admin.get(f"/alert_sources/{source['id']}/signals")).json()["data"]) == 1


async def test_no_transaction_is_open_while_something_is_committed_elsewhere(
    api: Api, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F064: a store that is slow to take a signal costs no connection that lies idle."""
    source = (await admin.post("/alert_sources", json={"name": "Any", "kind": "generic"})).json()
    idle = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in %' AND datname = current_database()"
    whole = Intake.submit
    seen: list[int] = []

    async def watched(*args: Any, **more: Any) -> None:
        seen.append(await api.world.db.pool.fetchval(idle))
        await whole(*args, **more)

    monkeypatch.setattr(Intake, "submit", watched)
    for headers in ({}, KEY):
        answer = await admin.post(f"/alert_sources/{source['id']}/actions/test", headers=headers)
        assert answer.status_code == 200
    assert seen == [0, 0]


@pytest.mark.parametrize("part", [b'{"title": "Chec', b'{"title": "Checkout is down"}', b""])
async def test_a_request_that_breaks_off_is_none(api: Api, admin: httpx.AsyncClient, part: bytes) -> None:
    """F120: what came of its body is not taken for the whole, and its key is free."""
    coming: Iterator[dict[str, Any]] = iter(
        [{"type": "http.request", "body": part, "more_body": True}, {"type": "http.disconnect"}]
    )
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return next(coming)

    async def send(message: Any) -> None:
        sent.append(message)

    given = {"authorization": admin.headers["authorization"], "content-type": "application/json", **KEY}
    scope: Any = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/api/v1/incidents",
        "raw_path": b"/api/v1/incidents",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await api.world.app.asgi()(scope, receive, send)
    assert not sent
    assert await _count(admin) == 0
    answer = await _declare(admin)
    assert answer.status_code == 201
    assert "idempotent-replayed" not in answer.headers


# What may open a transaction of its own, or use a connection: it holds the request together. Setting a password counts
# attempts that no roll-back may take back, and says that it commits elsewhere. A stream is a GET, and only reads.
HOLDS_TOGETHER = {"idempotency.Idempotency", "idempotency._Claim", "people.set_user_password", "stream._told"}


def _past_the_transaction(name: str, text: str) -> set[str]:
    """Name what reaches for the database past `Context.begin`, except handlers of GET: those take no key."""
    wrong: set[str] = set()
    for part in ast.parse(text).body:
        called = [each.func for each in getattr(part, "decorator_list", ()) if isinstance(each, ast.Call)]
        if any(isinstance(each, ast.Name) and each.id == "get" for each in called):
            continue
        if any(isinstance(node, ast.Attribute) and node.attr == "db" for node in ast.walk(part)):
            wrong.add(f"{name}.{getattr(part, 'name', '')}")
    return wrong


def test_every_handler_opens_its_transaction_where_a_request_can_be_held_together() -> None:
    """F120: otherwise its effect would not commit together with its answer."""
    folder = Path(surface.__file__).parent
    found = [_past_the_transaction(path.stem, path.read_text()) for path in folder.rglob("*.py")]
    assert set().union(*found) == HOLDS_TOGETHER


@pytest.mark.parametrize(
    ("text", "is_wrong"),
    [
        ("@post('/')\nasync def it(context):\n    async with context.db.begin() as tx: ...", True),
        ("@post('/')\nasync def it(context):\n    async with context.db.look() as tx: ...", True),
        ("@patch('/')\nasync def it(context):\n    await context.db.pool.fetch('')", True),
        ("async def it(context):\n    db = context.db", True),
        ("@post('/')\nasync def it(context):\n    async with context.begin() as tx: ...", False),
        ("@get('/')\nasync def it(context):\n    async with context.db.look() as tx: ...", False),
        ("from tocsin.db.engine import Tx", False),
    ],
)
def test_a_handler_that_goes_past_its_transaction_is_found(text: str, is_wrong: bool) -> None:
    """F120."""
    assert _past_the_transaction("module", text) == ({"module.it"} if is_wrong else set())
