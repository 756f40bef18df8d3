"""How PostgreSQL's account gets into a cluster that it may not walk to, such as one below /root.

Nothing on the way is opened for it. It inherits the cluster's directory itself as a descriptor, which `/proc/self/fd`
names; PostgreSQL works in that directory by relative paths.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from tocsin.db.embedded.account import Account, SpawnOptions, may_walk


@dataclass(frozen=True, slots=True)
class Passage:
    """The way of an account to its cluster. `is_barred` says that it cannot be walked."""

    account: Account
    is_barred: bool

    @contextlib.contextmanager
    def to(self, cluster: Path) -> Generator[tuple[str, SpawnOptions]]:
        """Yield what a program of the account calls the cluster, and the arguments to start the program with."""
        if not self.is_barred:
            yield str(cluster), self.account.spawn()
            return
        fd = os.open(cluster, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            yield f"/proc/self/fd/{fd}", {**self.account.spawn(), "pass_fds": (fd,)}
        finally:
            os.close(fd)


def find(account: Account, data_dir: Path) -> Passage:
    """Find out whether the account may walk to the data directory; if not, close the way up from the cluster too."""
    if may_walk(account, data_dir):
        return Passage(account, is_barred=False)
    # From a directory that was handed to it the account could climb to what stands beside the data.
    data_dir.chmod(data_dir.stat().st_mode & 0o700)
    return Passage(account, is_barred=True)
