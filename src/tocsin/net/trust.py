"""Whom this process trusts on the other side of a TLS connection, unless it is told otherwise."""

from __future__ import annotations

import functools
import ssl


@functools.cache
def of_this_machine() -> ssl.SSLContext:
    """Return what the machine's certificate authorities vouch for.

    Read once: it takes tens of milliseconds, and a process that runs keeps what it was started with in any case.
    Everybody shares it, so nobody changes it.
    """
    return ssl.create_default_context()
