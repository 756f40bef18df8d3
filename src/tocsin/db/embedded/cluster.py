"""The cluster's directory: making it so that a kill in the middle leaves nothing behind, and writing its files.

As root these functions write into a directory of another account, so they follow no symbolic link there.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path

from tocsin.db.embedded import config
from tocsin.db.embedded.account import Account
from tocsin.db.embedded.binaries import Binaries
from tocsin.db.embedded.errors import EmbeddedError
from tocsin.db.embedded.files import CLUSTER, own_directory
from tocsin.db.embedded.passage import Passage

_UNFINISHED = f"{CLUSTER}.unfinished-"
_FIRST_WITH_BUILTIN_LOCALES = 17


def is_missing(cluster: Path) -> bool:
    """Say whether a cluster has to be made; raise when something else is in its place."""
    if not cluster.exists():
        return True
    if (cluster / "PG_VERSION").exists():
        return False
    if not cluster.is_dir() or any(cluster.iterdir()):
        raise EmbeddedError(
            f"{cluster} is not empty and is not a PostgreSQL database. Nothing was changed. "
            "Move it away, restore a backup there, or give Tocsin another directory (TOCSIN_DATA_DIR)."
        )
    return True


def make(data_dir: Path, binaries: Binaries, passage: Passage) -> None:
    """Make the cluster beside its place and rename it when it is complete, as one step."""
    for left in data_dir.glob(f"{_UNFINISHED}*"):
        # An initdb that outlived its Tocsin may still write there; what it keeps goes at the next start.
        shutil.rmtree(left, ignore_errors=True)
    unfinished = data_dir / f"{_UNFINISHED}{secrets.token_hex(4)}"
    own_directory(unfinished, passage.account)
    with passage.to(unfinished) as (place, options):
        made = subprocess.run(
            [
                binaries.directory / "initdb",
                f"--pgdata={place}",
                f"--username={config.ROLE}",
                "--encoding=UTF8",
                *_locale(binaries),
                "--auth=peer",
                "--data-checksums",
                "--no-instructions",
            ],
            capture_output=True,
            check=False,
            text=True,
            errors="replace",
            **options,
        )
    if made.returncode != 0:
        shutil.rmtree(unfinished, ignore_errors=True)
        said = " ".join(line for line in made.stderr.splitlines() if line.strip())
        raise EmbeddedError(f"PostgreSQL could not make its database in {data_dir}: {said}")
    unfinished.rename(data_dir / CLUSTER)
    _sync(data_dir)


def _locale(binaries: Binaries) -> list[str]:
    if binaries.major >= _FIRST_WITH_BUILTIN_LOCALES:
        return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--locale=C"]


def texts(socket_dir: Path, binaries: Binaries, account: Account, cluster_name: str) -> dict[str, str]:
    """Return the files that Tocsin writes at every start, by name."""
    return {
        "tocsin.conf": config.settings_text(socket_dir, binaries, cluster_name),
        "pg_hba.conf": config.access_text(),
        "pg_ident.conf": config.people_text(account),
    }


def is_configured(cluster: Path, wanted: dict[str, str]) -> bool:
    """Say whether the files already are what a start would write."""
    return all(_read(cluster / name) == text for name, text in wanted.items())


def configure(cluster: Path, wanted: dict[str, str], account: Account) -> None:
    """Write the files, and make `postgresql.conf` include ours last."""
    for name, text in wanted.items():
        if _read(cluster / name) == text:
            continue
        _write(cluster / name, text, account)
    main = _read(cluster / "postgresql.conf") or ""
    if config.INCLUDE not in main.splitlines():
        _write(cluster / "postgresql.conf", f"{main.rstrip()}\n\n{config.INCLUDE}\n", account)


def _read(path: Path) -> str | None:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _write(path: Path, text: str, account: Account) -> None:
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
        if account.is_other:
            os.fchown(fd, account.uid, account.gid)
        file.write(text)
        file.flush()
        os.fsync(fd)
    fresh.replace(path)


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
