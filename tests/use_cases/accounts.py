"""What tests of accounts have in common: making people, finding out who somebody is, moving the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from tocsin.db.engine import Database, Tx, decode_json
from tocsin.identity import service as identity
from tocsin.identity.access import Role
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import Actor, User
from tocsin.identity.service import Stored

CLI = Actor.system("cli")
PASSWORD = "correct horse battery"
IP = "192.0.2.7"
BROWSER = "Firefox"
T = TypeVar("T")


async def make(db: Database, name: str, role: Role = Role.RESPONDER, password: str | None = None) -> User:
    async with db.begin() as tx:
        return await identity.create_user(
            tx, CLI, email=f"{name}@example.org", name=name.title(), role=role, password=password
        )


async def in_tx(db: Database, work: Callable[[Tx], Awaitable[T]]) -> T:
    async with db.begin() as tx:
        return await work(tx)


async def race(*work: Awaitable[Any]) -> tuple[list[Any], list[BaseException]]:
    """Run at once; returns what came out and what was raised."""
    results = await asyncio.gather(*work, return_exceptions=True)
    return [r for r in results if not isinstance(r, BaseException)], [
        r for r in results if isinstance(r, BaseException)
    ]


async def pass_time(db: Database, by: timedelta) -> None:
    """Move the database's clock, which is the only one that counts."""
    await db.pool.execute(
        "CREATE OR REPLACE FUNCTION tocsin_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
        f"'SELECT clock_timestamp() + interval ''{by.total_seconds()} seconds'''"
    )


async def record(db: Database) -> list[str]:
    return [row["name"] for row in await db.pool.fetch("SELECT name FROM event ORDER BY position")]


async def last_event(db: Database) -> tuple[str, dict[str, Any]]:
    row = await db.pool.fetchrow("SELECT actor_name, data FROM event ORDER BY position DESC LIMIT 1")
    assert row is not None
    return row["actor_name"], decode_json(row["data"])


async def actor_of(db: Database, cookie: str) -> Actor | None:
    return await in_tx(db, lambda tx: identity.authenticate_session(tx, cookie, days=14))


async def actor_of_token(db: Database, secret: str) -> Actor | None:
    return await in_tx(db, lambda tx: identity.authenticate_token(tx, secret))


async def change(db: Database, who: Actor, user: User, changes: UserChanges, if_version: int | None = None) -> User:
    async with db.begin() as tx:
        return await identity.update_user(tx, who, user.id, changes, if_version=if_version)


async def by_link(db: Database, token: str) -> tuple[User, str]:
    async with db.begin() as tx:
        return await identity.sign_in_with_link(tx, token, IP, BROWSER, days=14)


async def claim(db: Database, caller: UUID, digest: bytes = b"one") -> Stored | None:
    async with db.begin() as tx:
        return await identity.claim_idempotency(tx, caller, "key", digest)
