"""A note in the data directory of the newest backup, by which `tocsin upgrade-check` knows whether there is one."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from tocsin.kit import clock
from tocsin.settings import Settings

_NAME = "last-backup.json"


@dataclass(frozen=True, slots=True)
class BackupNote:
    """When a backup was written, and where to."""

    at: datetime
    file: Path


def note_backup(settings: Settings, file: Path) -> None:
    """Note that this backup has just been written. Without a data directory, or a right to write there, nothing is."""
    written = msgspec.json.encode({"at": clock.utc_now(), "file": str(file.absolute())})
    with contextlib.suppress(OSError):
        (settings.data_dir / _NAME).write_bytes(written)


def last_backup(settings: Settings) -> BackupNote | None:
    """Return the newest backup that was noted, None when none was."""
    try:
        read = msgspec.json.decode((settings.data_dir / _NAME).read_bytes(), type=dict[str, str])
        return BackupNote(datetime.fromisoformat(read["at"]), Path(read["file"]))
    except (OSError, ValueError, KeyError):
        return None
