"""Commands as processes of their own that need not import anything: each is a fork of one that has imported it all.

A command has its own environment, directory, files, signals and exit status, as from a shell; what it saves is the 1.5
seconds of processor that the imports take. Servers are started the long way (`tests/processes.py`).
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any, NoReturn

_MOST = 1 << 20


@cache
def _forker() -> socket.socket:
    """Start the process that forks; it ends when this one does. Returns the line to it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MOST)
    command = [sys.executable, "-m", "tests.commands", str(theirs.fileno())]
    forker = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=Path(__file__).parent.parent)
    theirs.close()

    @atexit.register
    def end() -> None:
        ours.close()
        forker.wait()

    return ours


async def run(
    words: Sequence[str], *, environment: Mapping[str, str], stdin: bytes, within: float
) -> tuple[int, bytes, bytes]:
    """Run `tocsin` with these words to its end: exit code, standard output, standard error."""
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
        files[0].write(stdin)
        files[0].seek(0)
        told, tells = os.pipe()
        line = stack.enter_context(os.fdopen(told, "rb"))
        asked = json.dumps({"words": list(words), "environment": dict(environment), "directory": str(Path.cwd())})
        socket.send_fds(_forker(), [asked.encode()], [*(file.fileno() for file in files), tells])
        os.close(tells)
        pid = int(await asyncio.to_thread(line.readline))
        try:
            async with asyncio.timeout(within):
                code = await asyncio.to_thread(line.readline)
        except (TimeoutError, asyncio.CancelledError):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            raise
        out, err = (_all_of(file) for file in files[1:])
        return int(code), out, err


def _all_of(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _serve(line: socket.socket) -> None:
    """Fork for whoever asks, until nobody can ask any more."""
    import tocsin.cli  # noqa: F401

    while True:
        asked, files, _, _ = socket.recv_fds(line, _MOST, 4)
        if not asked:
            return
        if os.fork() == 0:
            line.close()
            _look_after(json.loads(asked), files)
        for file in files:
            os.close(file)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _look_after(asked: dict[str, Any], files: list[int]) -> NoReturn:
    """Fork the command, tell its number and then how it ended."""
    *standard, tells = files
    child = os.fork()
    if child == 0:
        os.close(tells)
        for number, file in enumerate(standard):
            os.dup2(file, number)
            os.close(file)
        _command(asked)
    for file in standard:
        os.close(file)
    os.write(tells, b"%d\n" % child)
    _, status = os.waitpid(child, 0)
    os.write(tells, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _command(asked: dict[str, Any]) -> NoReturn:
    """Become `python -m tocsin.cli …`."""
    os.chdir(asked["directory"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode) for number, mode in enumerate("rww"))
    sys.argv = ["tocsin", *asked["words"]]
    try:
        runpy.run_module("tocsin.cli", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 (nothing may go on in a copy of the one that forks)
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
