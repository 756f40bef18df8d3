"""`tocsin declare` against a real server: what is declared, what is printed, and with which status it ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import address, served, tocsin


@dataclass(frozen=True)
class Shell:
    """A shell in which server and token are known."""

    server: str
    token: str

    async def declare(self, *words: str, stdin: str = "") -> tuple[int, str, str]:
        return await tocsin("declare", *words, stdin=stdin, server=self.server, token=self.token)


@pytest.fixture
async def shell(dsn: str) -> AsyncIterator[Shell]:
    await tocsin("user", "create", "--email=ada@example.org", "--name=Ada", "--role=admin", database_url=dsn)
    made = await tocsin("token", "create", "--email=ada@example.org", "--name=cron", database_url=dsn)
    async with served(database_url=dsn) as (_, greeting):
        yield Shell(address(greeting), made[1].strip())


async def test_a_script_declares_an_incident_and_is_told_its_number_and_address(shell: Shell) -> None:
    """F010: all that the API takes; the same key declares nothing twice, and a template fills in what is left out."""
    said = ["Nightly export failed", "--severity=SEV4", "--summary=-", "--type=data_quality", "--tag=etl", "--drill"]
    said += ["--field", "dataset=orders", "--field", "rows_affected:=12", "--idempotency-key=night-1", "--json"]
    code, out, err = await shell.declare(*said, stdin="Exit 3.\n")
    assert (code, err) == (0, "")
    made = json.loads(out)
    assert (made["number"], made["title"], made["severity"]) == ("INC-1", "Nightly export failed", 4)
    assert (made["summary"], made["tags"], made["is_drill"]) == ("Exit 3.", ["etl"], True)
    assert (made["type"]["short_id"], made["fields"]) == ("data_quality", {"dataset": "orders", "rows_affected": 12})
    assert made["reporter"]["name"] == "Ada"
    again = await shell.declare(*said, stdin="Exit 3.\n")
    assert json.loads(again[1])["number"] == "INC-1"
    code, out, err = await shell.declare("--template=service_down")
    assert (code, out, err) == (0, f"INC-2 {shell.server}/incidents/INC-2\n", "")


async def test_what_is_wrong_is_said_and_seen_by_the_status(shell: Shell, tmp_path: Path) -> None:
    """F010: 1 where the server refuses, 2 for a command that is not written correctly, 3 where nothing answers."""
    code, out, err = await shell.declare("x" * 201, "--severity=1")
    assert (code, out) == (1, "") and "  title: Write at most 200 characters." in err and "Traceback" not in err
    code, out, err = await shell.declare("Slow", "--team=Nobody")
    assert (code, out, err) == (1, "", "tocsin: There is no team Nobody that this token sees.\n")
    code, _, err = await shell.declare("Slow", "--field=nothing")
    assert code == 2 and "Write key=value" in err
    code, _, err = await tocsin("declare", "Slow", server=shell.server)
    assert code == 1 and err.startswith("tocsin: Set TOCSIN_TOKEN or TOCSIN_TOKEN_FILE")
    wrong = await tocsin("declare", "Slow", server=shell.server, token="tok_wrong")
    assert wrong[0] == 1 and "tok_wrong" not in wrong[2]
    code, out, err = await tocsin("declare", "Slow", server="http://127.0.0.1:9", token=shell.token)
    assert (code, out) == (3, "") and err.startswith("tocsin: ") and shell.token not in err
    kept = tmp_path / "token"
    kept.write_text(f"{shell.token}\n")
    assert (await tocsin("declare", "Slow", "--token-file", str(kept), server=shell.server))[0] == 0


async def test_a_server_starts_where_scripts_have_their_token_in_the_environment(dsn: str) -> None:
    """F010: what `tocsin declare` reads is no unknown setting of the server."""
    code, _, err = await tocsin(
        "user", "list", database_url=dsn, token="x", server="http://127.0.0.1:1", token_file="y"
    )
    assert code == 0, err
