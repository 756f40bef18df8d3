"""`python -m tocsin.drill.deaf …`: the program on a machine whose name servers are dead.

Every look-up of a name hangs as it does there; addresses in figures need no look-up and stay as they are.
"""

from __future__ import annotations

import runpy
import socket
import time
from ipaddress import ip_address
from typing import Any

_HANGS_FOR = 20.0
_look_up = socket.getaddrinfo


def _hang(host: Any, *words: Any, **named: Any) -> Any:
    try:
        ip_address(host)
    except ValueError:
        if host != "localhost":
            time.sleep(_HANGS_FOR)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution") from None
    return _look_up(host, *words, **named)


if __name__ == "__main__":
    socket.getaddrinfo = _hang
    runpy.run_module("tocsin.cli", run_name="__main__")
