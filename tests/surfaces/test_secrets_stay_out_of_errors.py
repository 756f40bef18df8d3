"""When PostgreSQL refuses a write that holds a secret, neither log nor answer nor `last_error` nor doctor shows it."""

from __future__ import annotations

import io
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest
import structlog
from sqlalchemy import text

from tests.processes import tocsin
from tests.surfaces.conftest import Api
from tests.surfaces.test_web_sign_in import PASSWORD, with_password
from tests.surfaces.web_client import FORM
from tocsin.alerts.model import SOURCE_ID
from tocsin.cli import logs
from tocsin.db.engine import Database
from tocsin.db.errors import hide_values
from tocsin.identity import service as identity
from tocsin.identity.model import USER_ID
from tocsin.jobs import queue
from tocsin.jobs.kinds import JobKind, Nothing, by_hand
from tocsin.jobs.queue import Job, NewJob
from tocsin.jobs.worker import Worker
from tocsin.kit import crypto
from tocsin.kit.crypto import digest

SECRET = "s3cretvalue" * 4
HOOK = "http://127.0.0.1:9/hooks/a-hidden-path"
# A full disk, whose trigger quotes the row as PostgreSQL does; and a refused row, which PostgreSQL itself quotes.
REFUSALS = {
    "53100": """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
    RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100', DETAIL = NEW::text;
END$$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse();
""",
    "23514": "ALTER TABLE {table} ADD CONSTRAINT refused CHECK (false) NOT VALID",
}


def is_hidden(text: str) -> bool:
    seen = (SECRET, SECRET[:16], digest(SECRET).hex(), repr(digest(SECRET))[2:-1], "argon2", PASSWORD, "a-hidden-path")
    return not any(word in text for word in seen)


async def act_source(api: Api, admin: httpx.AsyncClient) -> httpx.Response:
    return await admin.post("/alert_sources", json={"name": "Prometheus", "kind": "generic"})


async def act_user(api: Api, admin: httpx.AsyncClient) -> httpx.Response:
    person = {"email": "eve@example.org", "name": "Eve", "role": "responder", "password": PASSWORD}
    return await admin.post("/users", json=person)


async def act_password(api: Api, admin: httpx.AsyncClient) -> httpx.Response:
    ada = USER_ID.write(await api.world.db.pool.fetchval("SELECT id FROM user_account WHERE name = 'Ada'"))
    return await admin.post(f"/users/{ada}/actions/set_password", json={"password": f"{PASSWORD} two"})


async def act_token(api: Api, admin: httpx.AsyncClient) -> httpx.Response:
    return await admin.post("/api_tokens", json={"name": "ci"}, headers={"Idempotency-Key": "once"})


async def act_method(api: Api, admin: httpx.AsyncClient) -> httpx.Response:
    ada = USER_ID.write(await api.world.db.pool.fetchval("SELECT id FROM user_account WHERE name = 'Ada'"))
    return await admin.post(f"/users/{ada}/contact_methods", json={"kind": "webhook", "address": HOOK, "name": "x"})


async def act_sign_in(api: Api, admin: httpx.AsyncClient) -> httpx.Response:
    sent = {"email": "ada@example.org", "password": PASSWORD}
    return await api.client().post("http://tocsin.example/sign-in", data=sent, headers=FORM)


async def act_rotated(api: Api, admin: httpx.AsyncClient) -> httpx.Response:
    source = SOURCE_ID.write(await api.world.db.pool.fetchval("SELECT id FROM alert_source"))
    return await admin.post(f"/alert_sources/{source}/actions/rotate_key")


async def act_kept_answer(api: Api, admin: httpx.AsyncClient) -> httpx.Response:
    """The answer with the token in it is kept for repeats."""
    return await admin.post("/api_tokens", json={"name": "ci"}, headers={"Idempotency-Key": "kept"})


async def act_template(api: Api, admin: httpx.AsyncClient) -> httpx.Response:
    ada = USER_ID.write(await api.world.db.pool.fetchval("SELECT id FROM user_account WHERE name = 'Ada'"))
    hook = {"kind": "webhook", "address": "https://192.0.2.1/x", "name": "x", "format": "template"}
    template = f'{{"key": "{SECRET}", "text": {{{{ title|json }}}}}}'
    return await admin.post(f"/users/{ada}/contact_methods", json=hook | {"template": template})


async def act_link(api: Api, admin: httpx.AsyncClient) -> httpx.Response:
    async with api.world.db.begin() as tx:
        ada = await tx.session.execute(text("SELECT id FROM user_account WHERE name = 'Ada'"))
        await identity.make_sign_in_link(tx, api.world.root, ada.scalar_one(), timedelta(hours=1))
    raise AssertionError("it was written")


Act = Callable[[Api, httpx.AsyncClient], Awaitable[httpx.Response]]
WRITES: dict[str, tuple[str, Act]] = {
    "the token of a source": ("alert_source", act_source),
    "a first password": ("user_account", act_user),
    "another password": ("user_account", act_password),
    "an API token": ("api_token", act_token),
    "another token of a source": ("alert_source", act_rotated),
    "the answer with a token that is kept for repeats": ("idempotency_key", act_kept_answer),
    "the address of a webhook": ("contact_method", act_method),
    "the template of a webhook": ("contact_method", act_template),
    "a session": ("session", act_sign_in),
}


def formatted(error: BaseException) -> str:
    """What the log of a server shows of it, through the real formatter."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.formatter(as_json=True))
    record = logging.LogRecord("uvicorn.error", logging.ERROR, __file__, 1, "broken", (), None)
    record.exc_info = (type(error), error, error.__traceback__)
    handler.handle(record)
    return stream.getvalue()


def written(lines: Iterable[MutableMapping[str, Any]]) -> str:
    """What the log of a server shows of these lines."""
    return "\n".join(
        repr({name: value for name, value in line.items() if name != "exc_info"})
        + (formatted(line["exc_info"]) if "exc_info" in line else "")
        for line in lines
    )


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("write", WRITES)
async def test_a_refused_write_shows_no_secret(
    api: Api,
    admin: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    write: str,
    refusal: str,
) -> None:
    """F118: a full disk and a refused row; the log names the trouble and nothing else."""
    await with_password(api.world)
    await api.world.source()
    table, act = WRITES[write]
    await api.world.db.pool.execute(REFUSALS[refusal].format(table=table))
    monkeypatch.setattr(crypto.secrets, "token_urlsafe", lambda _: SECRET)
    monkeypatch.setattr(crypto.secrets, "token_hex", lambda _: SECRET[:32])
    with structlog.testing.capture_logs() as lines:
        answer = await act(api, admin)
    logged = written(lines)
    assert answer.status_code == {"53100": 503, "23514": 409}[refusal], answer.text
    assert {"53100": "request.store_unreachable", "23514": "request.refused_by_store"}[refusal] in logged
    assert "Traceback" in logged and table in logged
    assert is_hidden(logged) and is_hidden(answer.text)


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_link_that_is_refused_shows_no_secret_in_a_log_of_its_own(
    api: Api, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    """F118: what libraries and commands log goes through the same formatter."""
    await with_password(api.world)
    await api.world.db.pool.execute(REFUSALS[refusal].format(table="one_time_link"))
    monkeypatch.setattr(crypto.secrets, "token_urlsafe", lambda _: SECRET)
    with pytest.raises(Exception, match="one_time_link") as caught:
        await act_link(api, admin)
    logged = formatted(caught.value)
    assert "Traceback" in logged and "one_time_link" in logged and is_hidden(logged)


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("hot", [False, True], ids=["through a session", "through the driver"])
async def test_a_job_that_is_refused_keeps_no_secret(api: Api, dsn: str, refusal: str, hot: bool) -> None:
    """F118: `last_error` is shown by `tocsin doctor`."""
    db: Database = api.world.db
    await db.pool.execute("CREATE TABLE things (secret text)")
    await db.pool.execute(REFUSALS[refusal].format(table="things"))

    async def write(_: Job, __: Nothing) -> None:
        if hot:
            await db.pool.execute("INSERT INTO things VALUES ($1)", SECRET)
        else:
            async with db.begin() as tx:
                await tx.session.execute(text("INSERT INTO things VALUES (:secret)"), {"secret": SECRET})

    worker = Worker(db, [by_hand(JobKind("test.write", Nothing), write)])
    async with db.begin() as tx:
        await queue.enqueue(tx, NewJob("test.write", Nothing(), max_attempts=1))
    with structlog.testing.capture_logs() as lines:
        await worker.run_due()
    kept = await db.pool.fetchval("SELECT last_error FROM job_dead")
    assert kept and is_hidden(kept) and ("could not extend" in kept or "violates check" in kept)
    assert "job.failed" in written(lines) and is_hidden(written(lines))
    _, out, _ = await tocsin("doctor", database_url=dsn)
    assert "test.write" in out and is_hidden(out)


async def test_what_the_driver_says_of_an_argument_is_hidden(db: Database) -> None:
    """F118: it quotes the value that it could not write."""
    with pytest.raises(asyncpg.DataError) as caught:
        await db.pool.execute("INSERT INTO secret (name, value) VALUES ($1, $2)", "x", SECRET)
    assert SECRET[:8] in str(caught.value)
    hide_values(caught.value)
    assert is_hidden(str(caught.value)) and "query argument $2" in str(caught.value)


def test_an_ordinary_error_keeps_its_words() -> None:
    """G18: hiding values does not hide what went wrong."""
    error: Any = ValueError("DETAIL: a word of ours")
    hide_values(error)
    assert str(error) == "DETAIL: a word of ours"
