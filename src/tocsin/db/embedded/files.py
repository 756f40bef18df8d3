"""What lies in the data directory beside the cluster: the lock, the socket's directory, the log; and `running_dsn`."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tocsin.db.embedded.account import Account
from tocsin.db.embedded.config import PLACE, PORT, ROLE
from tocsin.db.embedded.errors import EmbeddedError
from tocsin.db.embedded.passage import Passage

CLUSTER = "postgres"
# The kernel keeps 108 bytes for a socket's path on Linux, 104 elsewhere, the closing zero included.
_LONGEST_SOCKET = 103
_LOG_BYTES = 10 * 1024 * 1024
_LOGS_KEPT = 3


def name_of(data_dir: Path) -> str:
    """Return the short, stable name of this data directory's server, as `ps` and /tmp show it."""
    return f"tocsin-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]}"


def make_data_dir(data_dir: Path) -> None:
    """Make the data directory. As root it can be passed through, because another account runs PostgreSQL."""
    if data_dir.is_dir():
        return
    data_dir.mkdir(parents=True)
    data_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)


def own_directory(path: Path, account: Account) -> None:
    """Make the directory if it is missing, and private to the account in any case. Follows no symbolic link."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if account.is_other:
            os.fchown(fd, account.uid, account.gid)
        os.fchmod(fd, 0o700)
    finally:
        os.close(fd)


class Lock:
    """The claim of one process on the data directory, held until `release` or the process's end."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "tocsin.lock"
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock, or say who has it."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(fd, 200, 0).decode(errors="replace").strip() or "that has not said its id yet"
            os.close(fd)
            raise EmbeddedError(
                f"The data directory {self._path.parent} is in use by process {owner}. "
                "Stop that process, or give this one another directory (TOCSIN_DATA_DIR)."
            ) from None
        if os.geteuid() == 0:
            # A command that root ran once must not keep the owner of the directory out for ever.
            owner_of_dir = self._path.parent.stat()
            os.fchown(fd, owner_of_dir.st_uid, owner_of_dir.st_gid)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Let the lock go. The file stays: removing it would let two processes lock two files of one name."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None


def socket_dir(data_dir: Path, passage: Passage) -> Path:
    """Return the directory of the socket, made and private: `run`, or one below /tmp when that cannot be used."""
    usual, account = data_dir / "run", passage.account
    if not passage.is_barred and not _unfit(usual):
        own_directory(usual, account)
        return usual
    # Not XDG_RUNTIME_DIR: it goes away when the user logs out, and the server stays.
    short = Path("/tmp") / f"{name_of(data_dir)}-{account.uid}"  # noqa: S108 (owner and kind are checked below)
    with contextlib.suppress(FileExistsError):
        short.mkdir(mode=0o700)
        if account.is_other:
            os.chown(short, account.uid, account.gid, follow_symlinks=False)
    found = short.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid or found.st_mode & 0o077:
        raise EmbeddedError(
            f"The socket of PostgreSQL belongs into {short}, because a path below {data_dir} is too long, has a comma "
            f"or colon, or is out of reach for {account.name}, but {short} is not a private directory of that account. "
            "Look at who made it and remove it."
        )
    return short


def _unfit(directory: Path) -> bool:
    # A comma separates hosts in a connection address, a colon the host from the port.
    path = os.fsencode(directory / f".s.PGSQL.{PORT}")
    return len(path) > _LONGEST_SOCKET or b"," in path or b":" in path


def dsn_of(directory: Path, database: str = "tocsin") -> str:
    """Return the address of a database behind the socket in that directory."""
    return f"postgresql://{ROLE}@/{database}?host={quote(str(directory))}&port={PORT}"


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What a server wrote about itself into `postmaster.pid`."""

    pid: int
    socket_dir: Path | None


def read_postmaster(cluster: Path) -> Postmaster | None:
    """Return what `postmaster.pid` says, or nothing when there is none or it is not complete."""
    try:
        lines = (cluster / "postmaster.pid").read_text(errors="replace").splitlines()
        pid = int(lines[0])
    except (FileNotFoundError, NotADirectoryError, IndexError, ValueError):
        return None
    except PermissionError:
        raise EmbeddedError(f"{cluster} cannot be read. Run this as the account that owns it, or as root.") from None
    where = lines[4].strip() if len(lines) > 4 else ""
    return Postmaster(pid, Path(where) if where.startswith("/") else None)


def is_alive(pid: int) -> bool:
    """Say whether the process runs. One that ended and was not collected by its parent does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] not in ("Z", "X")
    except (OSError, IndexError):
        return not Path("/proc/self/stat").exists() or Path(f"/proc/{pid}").exists()


def serves(pid: int, cluster: Path) -> bool | None:
    """Say whether the living process is the server of this cluster; nothing when this system does not tell.

    The command line is compared, not the working directory: a container's root may not see the latter.
    """
    words = command_line(pid)
    if words is None:
        return None
    if not Path(words[0]).name.startswith("post"):
        return False
    # A server started by hand may have its directory from elsewhere, so silence is no answer.
    return True if str(cluster) in words or f"{PLACE}={cluster}" in words else None


def clear_stale_locks(cluster: Path, directory: Path) -> None:
    """Remove the server's own lock files where the process they name is not a server, for the owner of `Lock` only.

    PostgreSQL sees itself that nobody has an old process id. It does not see that somebody else has it, or that the
    process ended uncollected; in a container, where ids start from 1 again, that would keep it out for ever.
    """
    for path in (cluster / "postmaster.pid", directory / f".s.PGSQL.{PORT}.lock"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError, IndexError, ValueError):
            pid = int(path.read_text(errors="replace").splitlines()[0])
            os.kill(pid, 0)
            if not is_alive(pid) or serves(pid, cluster) is False:
                path.unlink()


def command_line(pid: int) -> list[str] | None:
    """Return the words of the process's command line, or nothing when this system does not tell."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    return [os.fsdecode(word) for word in raw.split(b"\0")]


def orphans(data_dir: Path, uid: int) -> list[int]:
    """Return the server processes of this data directory that are not the server itself, by their titles."""
    title = f"postgres: {name_of(data_dir)}: "
    found: list[int] = []
    for each in Path("/proc").glob("[0-9]*"):
        words = command_line(int(each.name))
        with contextlib.suppress(OSError):
            if words and words[0].startswith(title) and each.stat().st_uid == uid:
                found.append(int(each.name))
    return found


def running_dsn(data_dir: Path) -> str | None:
    """Return the address of the embedded server that runs on this data directory, or nothing when none does.

    For commands beside a running `tocsin serve`. Blocks for a moment at most. Raises `EmbeddedError` when the
    directory may not be read by this account.
    """
    cluster = data_dir.resolve() / CLUSTER
    found = read_postmaster(cluster)
    if found is None or found.socket_dir is None or not is_alive(found.pid) or serves(found.pid, cluster) is False:
        return None
    with socket.socket(socket.AF_UNIX) as knock:
        knock.settimeout(2)
        try:
            knock.connect(str(found.socket_dir / f".s.PGSQL.{PORT}"))
        except PermissionError:
            raise EmbeddedError(
                f"A server runs on {data_dir}, but this account may not use it. Run this as its owner or as root."
            ) from None
        except OSError:
            return None
    return dsn_of(found.socket_dir)


class Log:
    """The server's own log: what it writes to stderr, kept in a few files of 10 MB."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "log" / "postgres.log"
        self._seen = 0

    def open(self) -> int:
        """Return a descriptor to append to, and remember this place for `last_words`. The caller closes it."""
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        self._seen = os.fstat(fd).st_size
        return fd

    def rotate(self) -> None:
        """Start the file anew when it is long. The writer keeps its descriptor, so the content is copied away."""
        try:
            if self.path.stat().st_size < _LOG_BYTES:
                return
        except FileNotFoundError:
            return
        for number in range(_LOGS_KEPT - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                self.path.with_suffix(f".log.{number}").replace(self.path.with_suffix(f".log.{number + 1}"))
        shutil.copyfile(self.path, self.path.with_suffix(".log.1"))
        self.path.with_suffix(".log.1").chmod(0o600)
        os.truncate(self.path, 0)
        self._seen = 0

    def last_words(self, *, only_grave: bool = False) -> str:
        """Return the last grave lines since `open`, else the last ones of any kind; empty when there are none."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(min(self._seen, size), size - 65536))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError as error:
            return "" if error.errno == errno.ENOENT else str(error)
        grave = [line for line in lines if "FATAL:" in line or "PANIC:" in line or "HINT:" in line]
        return " ".join(line.strip() for line in (grave if grave or only_grave else lines)[-3:])
