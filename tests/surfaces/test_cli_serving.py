"""What commands beside a running server know of it: its address, and the settings that it was started with."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.processes import address, data_directory, served, tocsin
from tests.world import World
from tocsin.cli import serving
from tocsin.db.engine import Database
from tocsin.settings import load

ADA = ("user", "create", "--email=ada@example.org", "--name=Ada Park", "--role=admin")
LINK = ("user", "link", "--email=ada@example.org")
ELSEWHERE = "http://127.0.0.1:8700"


async def test_a_link_has_the_address_of_the_running_server() -> None:
    """G09: with several processes on the embedded PostgreSQL; a server that was killed has no address any more."""
    with data_directory() as root:
        async with served("--workers", "2", data_dir=str(root)) as (process, greeting):
            base = address(greeting)
            assert base != ELSEWHERE
            assert (await tocsin(*ADA, data_dir=str(root)))[0] == 0
            assert len(list(root.glob("serving-*"))) == 1
            _, link, err = await tocsin(*LINK, data_dir=str(root))
            assert link.startswith(f"{base}/link/"), err
            _, link, err = await tocsin(*LINK, data_dir=str(root), port="8701")
            assert link.startswith(f"{base}/link/"), err
            _, link, err = await tocsin(*LINK, data_dir=str(root), base_url="https://t.example")
            assert link.startswith("https://t.example/link/"), err
            process.kill()
            await process.wait()
        assert len(list(root.glob("serving-*"))) == 1
        _, link, err = await tocsin(*LINK, data_dir=str(root))
        assert link.startswith(f"{ELSEWHERE}/link/"), err
        assert list(root.glob("serving-*")) == []


async def test_a_server_of_another_database_lends_its_address_to_nobody(dsn: str, db: Database, tmp_path: Path) -> None:
    """G09: two installations with external databases may share a directory; an orderly stop leaves no file."""
    assert (await tocsin(*ADA, database_url=dsn))[0] == 0
    other = load({"TOCSIN_DATABASE_URL": "postgresql://tocsin:hush@db/other", "TOCSIN_DATA_DIR": str(tmp_path)})
    with serving.announced(other):
        (file,) = tmp_path.iterdir()
        assert "hush" not in file.read_text() and file.stat().st_mode & 0o777 == 0o600
        _, link, _ = await tocsin(*LINK, database_url=dsn, data_dir=str(tmp_path))
        assert link.startswith(f"{ELSEWHERE}/link/")
        async with served("--no-worker", database_url=dsn, data_dir=str(tmp_path)) as (process, greeting):
            _, link, _ = await tocsin(*LINK, database_url=dsn, data_dir=str(tmp_path))
            assert link.startswith(f"{address(greeting)}/link/")
            process.send_signal(signal.SIGTERM)
            await process.wait()
    assert list(tmp_path.iterdir()) == []


async def test_the_doctor_goes_by_the_settings_of_the_running_server(world: World, dsn: str, tmp_path: Path) -> None:
    """G09: what the server was started with and the shell does not have is neither wrong nor hidden."""

    where = {"database_url": dsn, "data_dir": str(tmp_path)}

    async def examine(**settings: str) -> dict[str, tuple[str, str]]:
        _, out, _ = await tocsin("doctor", "--json", stdin="", **where, **settings)
        return {each["check"]: (each["verdict"], each["words"]) for each in json.loads(out)}

    ada = await world.person("ada")
    kinds = "UPDATE contact_method SET kind = 'console' WHERE user_id = $1"
    await world.person("bob")
    await world.db.pool.execute(kinds, ada.id)
    alone = await examine()
    assert alone["console"][0] == "warn" and alone["e-mail"][0] == "FAIL" and "running server" not in alone

    theirs = {"smtp_host": "mail.example", "console_pages": "on", "smtp_password": "hush"}
    async with served("--no-worker", err=None, **where, **theirs) as (_, greeting):
        beside = await examine()
        assert address(greeting) in beside["settings"][1]
        assert beside["e-mail"] == ("ok", "Mail goes out through mail.example port 587.")
        assert "console" not in beside
        assert beside["running server"] == (
            "ok",
            "This report goes by the settings that it was started with. "
            "Not set here: TOCSIN_PORT, TOCSIN_SMTP_HOST, TOCSIN_CONSOLE_PAGES.",
        )
        verdict, words = (await examine(smtp_host="new.example"))["running server"]
        assert verdict == "warn"
        assert words.endswith(" Set to something else here: TOCSIN_SMTP_HOST; start it again, if that is right.")


def test_what_nobody_can_read_is_as_good_as_not_there(tmp_path: Path) -> None:
    """G09"""
    settings = load({"TOCSIN_DATA_DIR": str(tmp_path)})
    networks = load({"TOCSIN_DATA_DIR": str(tmp_path), "TOCSIN_OUTBOUND_ALLOW": "10.0.0.0/8", "TOCSIN_PG_BIN": "/pg"})
    assert serving.find(settings) is None
    with serving.announced(networks):
        (tmp_path / "serving-x.json").write_text("{")
        found = serving.find(settings)
        assert found is not None and found.settings == networks
        assert found.unknown_here == ("TOCSIN_PG_BIN", "TOCSIN_OUTBOUND_ALLOW")
    with serving.announced(load({"TOCSIN_DATA_DIR": str(tmp_path / "missing")})):
        assert serving.find(settings) is None
    assert list(tmp_path.iterdir()) == []
