"""What PostgreSQL reads for every list: a page of it, or what is open, and never all that there is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from bench.filling import FILLED, Known, fill
from bench.growth import api_paths, look_deep, page_paths
from sqlalchemy import event

from tests.world import World
from tocsin.db.engine import Database
from tocsin.identity import service as identity

ROWS = 20_000
# As the planner sees it, each table has fifty times as many rows, so that it decides as for a large one.
GROWN = 50
# The record lies in the first of its parts.
STORED = tuple("event_past" if table == "event" else table for table in FILLED)
# A page, the open ones, or the first 1,000 for a short search, and as much again to look them up.
MOST_READ = 3_500
PAGE = 100

Sent = list[tuple[str, Any]]
Node = dict[str, Any]


@dataclass
class Filled:
    """A filled installation, and a reader of its pages and its API."""

    world: World
    known: Known
    client: httpx.AsyncClient
    token: str
    cookie: str
    paths: dict[str, str]

    async def get(self, path: str) -> httpx.Response:
        """Ask for a page or something of the API, which takes no cookie and the other no token."""
        as_whom = {"Authorization": f"Bearer {self.token}"} if path.startswith("/api/") else {"Cookie": self.cookie}
        return await self.client.get(path, headers=as_whom)


@pytest.fixture
async def filled(world: World) -> AsyncIterator[Filled]:
    root = await world.person("root", role="admin")
    async with world.db.pool.acquire() as connection:
        raw: Any = connection
        known = await fill(raw, alerts=ROWS, incidents=ROWS)
        deep = await look_deep(raw, known)
        for table in STORED:
            # Nobody counts them anew meanwhile.
            await raw.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
    await grow(world.db, *STORED)
    async with world.db.begin() as tx:
        _, token = await identity.create_token(tx, world.root, user_id=root.id, name="t", scopes=())
        cookie = await identity.open_session(tx, root, ip="127.0.0.1", user_agent="test", how="test")
    transport = httpx.ASGITransport(app=world.app.asgi())  # pyright: ignore
    paths = {**page_paths(known, deep), **api_paths(known, deep)}
    async with httpx.AsyncClient(transport=transport, base_url="http://tocsin.example") as client:
        yield Filled(world, known, client, token, f"tocsin_session={cookie}", paths)


async def grow(db: Database, *tables: str) -> None:
    for table in tables:
        number = await db.pool.fetchval(f"SELECT count(*) FROM {table}")
        await db.pool.execute(
            "UPDATE pg_class SET reltuples = $1 WHERE oid = $2::regclass", float(number * GROWN), table
        )


@contextmanager
def noting(db: Database) -> Iterator[Sent]:
    """Note every statement that is sent meanwhile."""
    sent: Sent = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        sent.append((statement, parameters))

    event.listen(db.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(db.engine.sync_engine, "before_cursor_execute", note)


def nodes(plan: Node) -> Iterator[Node]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def read_by(node: Node) -> int:
    """How many rows of a large table this node looked at, whether it kept them or not."""
    if node.get("Relation Name") not in STORED:
        return 0
    dropped = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + dropped) * node["Actual Loops"])


def too_much(plan: Node) -> list[str]:
    """What reads or sorts more than a page needs."""
    found: list[str] = []
    for node in nodes(plan):
        if (read := read_by(node)) > MOST_READ:
            found.append(f"{node['Node Type']} reads {read} rows of {node['Relation Name']}")
        if "Sort" in node["Node Type"] and sum(below["Actual Rows"] for below in node["Plans"]) > MOST_READ:
            found.append(f"{node['Node Type']} of {node['Plans'][0]['Actual Rows']} rows")
        if node["Node Type"] == "Seq Scan" and read_by(node) > PAGE:
            found.append(f"Seq Scan of {node['Relation Name']}")
    return found


async def explained(db: Database, statement: str, parameters: Any) -> Node:
    async with db.engine.connect() as connection:
        rows = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}", parameters)
        found: Any = rows.scalar_one()
        await connection.rollback()
    return (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]


async def what_is_read_too_much(filled: Filled, names: dict[str, str]) -> dict[str, list[str]]:
    """Ask for each of these, and look at the plan of each statement that it sent."""
    wrong: dict[str, list[str]] = {}
    seen: set[str] = set()
    for name, path in names.items():
        with noting(filled.world.db) as sent:
            answer = await filled.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:300]}"
        for statement, parameters in sent:
            asked = f"{statement} {parameters}"
            if asked in seen or not statement.lstrip().startswith(("SELECT", "WITH")):
                continue
            seen.add(asked)
            if found := too_much(await explained(filled.world.db, statement, parameters)):
                wrong.setdefault(name, []).extend([*found, statement[:3000]])
    return wrong


@pytest.mark.own_database
async def test_no_list_reads_or_sorts_all_that_there_is(filled: Filled) -> None:
    """F067, F113, F114: by every filter and search, with many hits, those of long ago, and none; also far down."""
    wrong = await what_is_read_too_much(filled, filled.paths)
    assert not wrong, "\n\n".join(f"{name}:\n" + "\n".join(found) for name, found in wrong.items())
    # And it notices: without its index a list reads everything.
    pool = filled.world.db.pool
    for index, name in (
        ("alert_over_labels_idx", "API alerts, label, no hit"),
        ("alert_over_source_idx", "API alerts, source of old"),
        ("alert_over_severity_idx", "API alerts, severity of old"),
        ("event_name_idx", "API events of a name that is rare"),
        ("incident_severity_idx", "API incidents, sort=severity, far down"),
        ("action_item_kind_idx", "action items, a kind of old"),
        ("action_item_unassigned_idx", "action items, of nobody"),
        ("inbox_entry_unread_of_idx", "inbox, unread"),
        ("incident_lead_id_idx", "API incidents, lead of none"),
    ):
        await pool.execute(f"DROP INDEX {index}")
        assert await what_is_read_too_much(filled, {name: filled.paths[name]}), f"{name} without {index}"


@pytest.mark.own_database
async def test_a_short_search_says_that_it_looked_at_the_beginning_alone(filled: Filled) -> None:
    """F067, F114: on the page and in the API, and only where there is more than was looked at."""
    for kind in ("alerts", "incidents"):
        tab = "?tab=all&q="
        assert "Only the first 1,000" in (await filled.get(f"/{kind}{tab}zq")).text
        page = await filled.get(f"/{kind}{tab}zebra")
        assert "Only the first 1,000" not in page.text
        few = await filled.get(f"/{kind}?q=zq")
        assert "Only the first 1,000" not in few.text, "all of the open ones are looked at"
        short = (await filled.get(f"/api/v1/{kind}?q=zq")).json()
        assert short["notice"].startswith("Only the first 1,000 of this list were searched.")
        assert "notice" not in (await filled.get(f"/api/v1/{kind}?q=zebra")).json()
    # A number is found however old it is.
    numbered = (await filled.get("/api/v1/incidents?q=%231001")).json()
    assert [each["number"] for each in numbered["data"]] == ["INC-1001"]
