"""What a running `tocsin serve` tells the commands beside it: the address people reach it at, and its settings.

A small file in the data directory, `serving-<random>.json`, for the embedded and for an external PostgreSQL. The
server holds a lock on it, which ends with the process however that ends; a file that nobody holds is a killed
server's and is cleared away. Several servers on one external database have a file each. Secrets are not in it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import secrets
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from tocsin import settings as settings_module
from tocsin.kit.text import sha256_hex
from tocsin.settings import SETTINGS, Settings

_FILES = "serving-*.json"
_OPEN = tuple(each for each in SETTINGS if not each.secret and each.name != "data_dir")


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs now, as a command with settings of its own sees it."""

    # This command's settings with the server's in their place; the secrets are this command's.
    settings: Settings
    # Variables that are set here, and to something else than the server has.
    contradicted: tuple[str, ...]
    # Variables that the server has and that are not set here.
    unknown_here: tuple[str, ...]


@contextlib.contextmanager
def announced(settings: Settings) -> Generator[None]:
    """Let commands find this server for as long as the block lasts. A server without a data directory goes unseen."""
    fd, path = None, settings.data_dir / _FILES.replace("*", secrets.token_hex(4))
    unfinished = path.with_suffix(".unfinished")
    with contextlib.suppress(OSError):
        fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        # Locked before it has its name, so that nobody takes it for a dead server's.
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.write(fd, json.dumps(_written(settings), indent=2).encode())
        unfinished.rename(path)
    try:
        yield
    finally:
        if fd is not None:
            for left in (path, unfinished):
                with contextlib.suppress(OSError):
                    left.unlink(missing_ok=True)
            os.close(fd)


def find(settings: Settings) -> Running | None:
    """Return the newest server that runs on this data directory and this database, if one does."""
    found: list[tuple[float, Running]] = []
    for path in settings.data_dir.glob(_FILES):
        # What another account or another version wrote and nobody here can read is as good as not there.
        with contextlib.suppress(OSError, ValueError, KeyError):
            said = _read(path)
            if said is not None and said["database"] == _database(settings):
                found.append((path.stat().st_mtime, _compare(settings, said["settings"])))
    return max(found, key=lambda each: each[0])[1] if found else None


def base_url(settings: Settings) -> str:
    """Return the address to write into links: the one that is set here, else that of the running server."""
    if _names_address(settings):
        return settings.base_url
    running = find(settings)
    return running.settings.base_url if running else settings.base_url


def _read(path: Path) -> dict[str, Any] | None:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return json.load(file)
    path.unlink(missing_ok=True)
    return None


def _written(settings: Settings) -> dict[str, object]:
    return {"database": _database(settings), "settings": {each.name: _plain(settings, each.name) for each in _OPEN}}


def _database(settings: Settings) -> str:
    """Tell databases apart without a word of how to get into them."""
    if settings.database_url is None:
        return "embedded"
    parts = urlsplit(settings.database_url)
    where = [(name, value) for name, value in parse_qsl(parts.query) if name in {"host", "port", "dbname"}]
    return sha256_hex(f"{parts.netloc.rpartition('@')[2]}{parts.path}?{sorted(where)}")


def _plain(settings: Settings, name: str) -> object:
    """Return a value as JSON holds it and as `Setting.parse` reads it."""
    value: object = getattr(settings, name)
    if isinstance(value, Path):
        return value.as_posix()
    return [str(each) for each in cast("tuple[object, ...]", value)] if isinstance(value, tuple) else value


def _compare(settings: Settings, theirs: Mapping[str, object]) -> Running:
    values: dict[str, Any] = {}
    contradicted: list[str] = []
    unknown: list[str] = []
    for each in _OPEN:
        raw, ours = theirs.get(each.name), _plain(settings, each.name)
        values[each.name] = each.default if raw is None else each.parse(raw)
        if raw == ours:
            continue
        is_address = each.name == "base_url"
        if _names_address(settings) if is_address else getattr(settings, each.name) != each.default:
            contradicted.append(each.variable)
        elif not is_address:  # It follows from host and port, or is told anyway.
            unknown.append(each.variable)
    return Running(dataclasses.replace(settings, **values), tuple(contradicted), tuple(unknown))


def _names_address(settings: Settings) -> bool:
    """Say whether an address is set here: one that is not follows the port."""
    elsewhere = settings_module.load(os.environ, {"port": settings.port ^ 1})
    return elsewhere.base_url == settings.base_url
