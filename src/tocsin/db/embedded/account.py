"""Which operating system account runs PostgreSQL, and what that account can reach.

PostgreSQL refuses to run as root, so a Tocsin that runs as root (a container, mostly) starts it as somebody else.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from tocsin.db.embedded.errors import EmbeddedError

# What the server's processes get of our environment. Settings and secrets of Tocsin stay out of it, and so does
# every PG* variable: the server's configuration is its files.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")


class SpawnOptions(TypedDict, total=False):
    """The part of Popen's arguments that makes a process run as the account and out of our terminal's reach."""

    stdin: int
    cwd: str
    env: dict[str, str]
    umask: int
    start_new_session: bool
    pass_fds: Sequence[int]
    user: int
    group: int
    extra_groups: Sequence[int]


@dataclass(frozen=True, slots=True)
class Account:
    """The account that owns the cluster. `is_other` says that it is not the one Tocsin runs as."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    is_other: bool

    def spawn(self) -> SpawnOptions:
        """Return the arguments for a child of this account: own session, `/` as directory, bare environment."""
        options: SpawnOptions = {
            "stdin": subprocess.DEVNULL,
            "cwd": "/",
            "env": {"LC_ALL": "C"} | {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            "umask": 0o077,
            # A Ctrl-C in the terminal must reach Tocsin only: the order of the shutdown is ours.
            "start_new_session": True,
        }
        if self.is_other:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": self.groups}
        return options


def choose(wanted: str | None, cluster: Path) -> Account:
    """Return the account for the cluster: the current one, or an unprivileged one when that is root.

    As root: the wanted one, else the owner of a cluster that is already there, else `postgres`, else `nobody`.
    """
    me = _entry(os.geteuid())
    owner = _owner(cluster)
    if me.pw_uid != 0:
        if wanted not in (None, me.pw_name):
            raise EmbeddedError(
                f"PostgreSQL shall run as {wanted} (TOCSIN_PG_USER), but only root can start it as another account "
                f"and this process runs as {me.pw_name}. Leave TOCSIN_PG_USER unset or start Tocsin as {wanted}."
            )
        _must_own(me, owner, cluster)
        return Account(me.pw_name, me.pw_uid, me.pw_gid, tuple(os.getgroups()), is_other=False)

    chosen = _wanted(wanted) if wanted else _entry(owner) if owner else _unprivileged()
    if chosen.pw_uid == 0:
        raise EmbeddedError("PostgreSQL refuses to run as root. Set TOCSIN_PG_USER to an unprivileged account.")
    _must_own(chosen, owner, cluster)
    groups = tuple(os.getgrouplist(chosen.pw_name, chosen.pw_gid))
    return Account(chosen.pw_name, chosen.pw_uid, chosen.pw_gid, groups, is_other=True)


def _owner(cluster: Path) -> int | None:
    """Return who owns the cluster. An empty directory is nobody's when root can give it away."""
    if not cluster.is_dir() or (os.geteuid() == 0 and not any(cluster.iterdir())):
        return None
    return cluster.stat().st_uid


def _entry(uid: int) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        raise EmbeddedError(
            f"User id {uid} has no entry in /etc/passwd, and PostgreSQL refuses to run without one. "
            "Run Tocsin as an account that has a name, or set TOCSIN_DATABASE_URL to an external PostgreSQL."
        ) from None


def _wanted(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise EmbeddedError(f"There is no account {name} on this machine (TOCSIN_PG_USER).") from None


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedError(
        "Tocsin runs as root and PostgreSQL refuses to. There is neither an account postgres nor nobody: "
        "create one and name it in TOCSIN_PG_USER."
    )


def _must_own(account: pwd.struct_passwd, owner: int | None, cluster: Path) -> None:
    if owner in (None, account.pw_uid):
        return
    raise EmbeddedError(
        f"The database in {cluster} belongs to user id {owner}, but PostgreSQL would run as {account.pw_name}. "
        f"Start Tocsin as the owner, or give the database away once: chown -R {account.pw_name} {cluster}"
    )


def may_walk(account: Account, directory: Path) -> bool:
    """Say whether the account gets to the directory, and into it, by its path."""
    if not account.is_other:
        return True
    # A shell of the account asks the kernel, so access control lists and capabilities count too. initdb needs
    # /bin/sh anyway.
    asked = subprocess.run(
        ["/bin/sh", "-c", '[ -d "$1" ] && [ -x "$1" ]', "sh", str(directory)],
        capture_output=True,
        check=False,
        **account.spawn(),
    )
    return asked.returncode == 0
