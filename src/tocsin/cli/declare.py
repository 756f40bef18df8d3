"""`tocsin declare`: an incident from a shell or a cron script, by the API of a server that may be anywhere."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NoReturn, cast
from urllib.parse import quote
from uuid import uuid4

import click

from tocsin.cli import runtime
from tocsin.kit.errors import Refused, Transient
from tocsin.net.http import Method, OutboundHttp, Reply

# Whoever runs the command says where it goes, also within their own network.
_ANYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))
_TRIES = 3
_NOT_REACHED = 3
_NUMBER = re.compile(rb'"number":"([^"]+)"')


class _Api:
    """The API of one server, asked as the owner of a token."""

    def __init__(self, http: OutboundHttp, server: str, token: str) -> None:
        self._http = http
        self._base = server.rstrip("/")
        self._token = token

    def page(self, reference: str) -> str:
        return f"{self._base}/incidents/{reference}"

    async def ask(self, method: Method, path: str, body: object = None, key: str = "") -> Reply:
        """Ask, and once more where nothing came back: with the same key that does nothing twice."""
        headers = {"authorization": f"Bearer {self._token}", "accept": "application/json"}
        headers |= {"content-type": "application/json"} if body is not None else {}
        headers |= {"idempotency-key": key} if key else {}
        content = json.dumps(body).encode() if body is not None else b""
        for left in reversed(range(_TRIES)):
            try:
                reply = await self._http.request(method, f"{self._base}/api/v1{path}", body=content, headers=headers)
            except Transient as failure:
                if not left:
                    _end(str(failure), _NOT_REACHED)
            except Refused as failure:
                _end(str(failure), 1)
            else:
                if reply.status < 500 and reply.status != 429:
                    return reply
                if not left:
                    _end(f"The server answered {reply.status}. {_said(reply)[0]}".strip(), _NOT_REACHED)
            await asyncio.sleep(0.5)
        raise AssertionError("The last try returns or ends the command.")


def _end(sentence: str, status: int, more: Sequence[str] = ()) -> NoReturn:
    runtime.say(sentence)
    for line in more:
        click.echo(f"  {line}", err=True)
    sys.exit(status)


def _said(reply: Reply) -> tuple[str, list[str]]:
    """Return the sentence of a refusal, and what is wrong with which field."""
    try:
        problem = json.loads(reply.body)
    except ValueError:
        return "", []
    if not isinstance(problem, dict):
        return "", []
    told = cast("dict[str, Any]", problem)
    wrong = cast("list[dict[str, str]]", told.get("errors") or [])
    named = [f"{each.get('pointer', '').removeprefix('#/')}: {each.get('detail', '')}" for each in wrong]
    return str(told.get("detail") or told.get("title") or ""), named


def _read_fields(said: Sequence[str]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for each in said:
        key, sign, value = each.partition("=")
        if not sign or not key.strip(":"):
            raise click.BadParameter(f"Write key=value, or key:=value in JSON, and not “{each}”.", param_hint="--field")
        if not key.endswith(":"):
            fields[key] = value
            continue
        try:
            fields[key[:-1]] = json.loads(value)
        except ValueError:
            raise click.BadParameter(f"What stands behind {key}= is no JSON.", param_hint="--field") from None
    return fields


def _read_token(token_file: str) -> str:
    path = token_file or os.environ.get("TOCSIN_TOKEN_FILE", "")
    try:
        token = Path(path).read_text().strip() if path else os.environ.get("TOCSIN_TOKEN", "").strip()
    except (OSError, UnicodeDecodeError) as error:
        runtime.fail(f"The token cannot be read from {path}: {error}.")
    if not token:
        runtime.fail(
            "Set TOCSIN_TOKEN or TOCSIN_TOKEN_FILE, or give --token-file. `tocsin token create` makes a token."
        )
    if not (token.isascii() and token.isprintable()):
        runtime.fail("What was given as the token is none.")
    return token


async def _team_id(api: _Api, called: str) -> str:
    """Return the id of a team that is called by its id or its name."""
    if called.startswith("tem_"):
        return called
    reply = await api.ask("GET", f"/teams?limit=100&q={quote(called, safe='')}")
    if reply.status != 200:
        _end(f"The team {called} cannot be looked up. {_said(reply)[0]}".strip(), 1)
    try:
        found = cast("list[dict[str, str]]", json.loads(reply.body)["data"])
    except (ValueError, KeyError, TypeError):
        found = []
    ids = [each["id"] for each in found if each["name"].casefold() == called.casefold()]
    if not ids:
        _end(f"There is no team {called} that this token sees.", 1)
    return ids[0]


@click.command(short_help="Declare an incident on a server, by its API.")
@click.argument("title", required=False, default="")
@click.option("--server", envvar="TOCSIN_SERVER", required=True, help="Address of the server. [env: TOCSIN_SERVER]")
@click.option("--token-file", default="", help="File with the API token; else TOCSIN_TOKEN or TOCSIN_TOKEN_FILE.")
@click.option("--type", "kind", default="", help="Short id of an incident type.")
@click.option("--severity", default="", help="1 (critical) to 5 (info), or SEV1 to SEV5.")
@click.option("--summary", default="", help="What is known, in Markdown; - reads it from standard input.")
@click.option("--template", default="", help="Short id of a text template, which fills in what is left out.")
@click.option("--team", "teams", multiple=True, help="Name or id of a team that owns it; may be repeated.")
@click.option("--tag", "tags", multiple=True, help="A word to find it by; may be repeated.")
@click.option("--field", "fields", multiple=True, help="key=value of a custom field, key:=value in JSON; repeatable.")
@click.option("--drill", is_flag=True, help="It is an exercise.")
@click.option("--idempotency-key", default="", help="With the same key again, nothing is declared again.")
@click.option("--json", "as_json", is_flag=True, help="Print the incident as JSON.")
def declare(
    title: str,
    server: str,
    token_file: str,
    kind: str,
    severity: str,
    summary: str,
    template: str,
    teams: Sequence[str],
    tags: Sequence[str],
    fields: Sequence[str],
    drill: bool,
    idempotency_key: str,
    as_json: bool,
) -> None:
    """Declare an incident on a server, and print its number and address.

    The owner of the token reports it. The token is never an argument, so that it is in no list of processes.

    Status 0: declared. 1: the server refuses, and a sentence says why. 2: the command was not written correctly.
    3: the server was not reached, or could not do it just now; try again, with the same --idempotency-key.
    """
    body: dict[str, object] = {
        "title": title,
        "type": kind,
        "severity": int(severity) if severity.isdecimal() else severity,
        "summary": sys.stdin.read() if summary == "-" else summary,
        "template": template,
        "tags": list(tags),
        "fields": _read_fields(fields),
        "is_drill": drill,
    }
    said = {name: value for name, value in body.items() if value or (value == 0 and name == "severity")}
    asyncio.run(_declare(server, _read_token(token_file), said, teams, idempotency_key or str(uuid4()), as_json))


async def _declare(
    server: str, token: str, body: Mapping[str, object], teams: Sequence[str], key: str, as_json: bool
) -> None:
    http = OutboundHttp(_ANYWHERE)
    try:
        api = _Api(http, server, token)
        owners = {"team_ids": [await _team_id(api, each) for each in teams]} if teams else {}
        reply = await api.ask("POST", "/incidents", {**body, **owners}, key)
        if reply.status != 201:
            sentence, wrong = _said(reply)
            _end(sentence or f"The server answered {reply.status}.", 1, wrong)
        _print(api, reply, as_json=as_json)
    finally:
        await http.aclose()


def _print(api: _Api, reply: Reply, *, as_json: bool) -> None:
    # A long answer is cut off, but its number stands near its beginning.
    found = _NUMBER.search(reply.body)
    number = found[1].decode() if found is not None else ""
    if not number:
        _end("What answered is no Tocsin server.", 1)
    if not as_json:
        click.echo(f"{number} {api.page(number)}")
        return
    try:
        whole = json.loads(reply.body)
    except ValueError:
        whole = {"number": number, "url": api.page(number)}
    click.echo(json.dumps(whole, ensure_ascii=False))
