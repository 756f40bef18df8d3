"""What the server's configuration files say. Texts only; `cluster` writes them."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from tocsin.db.embedded.account import Account
from tocsin.db.embedded.binaries import Binaries

ROLE = "tocsin"
PORT = 5432
INCLUDE = "include 'tocsin.conf'"

# How a running server tells which cluster it serves where its own name for it does not (see `passage`).
PLACE = "tocsin.cluster"

# Without these a confirmed page may be lost in a power cut, so the server does not run without them.
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")


def settings_text(socket_dir: Path, binaries: Binaries, cluster_name: str) -> str:
    """Return `tocsin.conf`: small by default, the operator's `custom.conf` next, what must hold last."""
    return f"""\
# Written by Tocsin at every start; changes here are lost. Put your own settings into custom.conf beside it.

# Small: this server shares a machine with Tocsin itself.
# Enough for the server's own processes and a few workers beside it.
max_connections = 200
shared_buffers = 64MB
effective_cache_size = 512MB
work_mem = 8MB
maintenance_work_mem = 64MB
huge_pages = off
jit = off
random_page_cost = 1.1
# Parallel queries need /dev/shm, which is 64 MB in most containers.
max_parallel_workers_per_gather = 0
max_parallel_maintenance_workers = 0

wal_level = replica
min_wal_size = 80MB
max_wal_size = 1GB
wal_compression = {"lz4" if binaries.has_lz4 else "pglz"}
checkpoint_timeout = 5min
checkpoint_completion_target = 0.9

# The job tables turn over quickly; waiting for a fifth of them to be dead is too late.
autovacuum_naptime = 15s
autovacuum_max_workers = 2
autovacuum_vacuum_scale_factor = 0.05
autovacuum_analyze_scale_factor = 0.05

timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
log_checkpoints = off
log_startup_progress_interval = 5s

include_if_exists 'custom.conf'

# What must hold.
cluster_name = {_quoted(cluster_name)}
listen_addresses = ''
port = {PORT}
unix_socket_directories = {_quoted('"' + str(socket_dir).replace('"', '""') + '"')}
unix_socket_permissions = 0700
logging_collector = off
log_destination = 'stderr'
autovacuum = on
{"".join(f"{name} = on{chr(10)}" for name in DURABLE)}"""


def access_text() -> str:
    """Return `pg_hba.conf`: only over the socket, and only who the kernel says may be the role."""
    return f"""\
# Written by Tocsin at every start; changes here are lost.
local all         all peer map={ROLE}
local replication all peer map={ROLE}
"""


def people_text(account: Account) -> str:
    """Return `pg_ident.conf`: the server's account, root and whoever runs Tocsin are the role."""
    names = dict.fromkeys([account.name, "root", pwd.getpwuid(os.geteuid()).pw_name])
    lines = "".join(f'{ROLE} "{name}" {ROLE}\n' for name in names)
    return f"# Written by Tocsin at every start; changes here are lost.\n{lines}"


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
