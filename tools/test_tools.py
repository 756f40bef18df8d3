"""Make sure that the programs which the tests drive are there: Chromium and the real Alertmanager.

`make test` runs this first. A missing program ends it with one sentence; no test is skipped for want of one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Unpacked programs, for the tests to find; see `alertmanager`.
CACHE = Path(__file__).parent.parent / ".cache" / "tools"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ALERTMANAGERS = ("prometheus-alertmanager", "alertmanager")


def main() -> int:
    """Look for both, fetch what can be fetched, and say everything that is missing."""
    missing = [sentence for sentence in (chromium(), alertmanager()) if sentence]
    for sentence in missing:
        print(f"make test: {sentence}", file=sys.stderr)
    return 1 if missing else 0


def chromium() -> str | None:
    """Find or install Chromium; returns the sentence for whoever has to install it."""
    if on_path(BROWSERS):
        return None
    if shutil.which("apt-get") and os.geteuid() == 0:
        failed = run(["apt-get", "update"]) or run(["apt-get", "install", "--yes", "chromium"])
        if failed is None and on_path(BROWSERS):
            return None
        return f"Chromium could not be installed, but the browser tests need it. {failed or ''}".strip()
    return "the browser tests need Chromium. Install it, for example: sudo apt-get install chromium"


def alertmanager() -> str | None:
    """Find Alertmanager or unpack Debian's, which needs no rights; returns the sentence when that fails."""
    if on_path(ALERTMANAGERS) or unpacked().is_file():
        return None
    wanted = "a test runs the real Alertmanager. Install it (Debian: prometheus-alertmanager) or put it on the PATH."
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return wanted
    with tempfile.TemporaryDirectory() as scratch:
        # apt's own user fetches the file, and cannot reach a directory that is private to us.
        Path(scratch).chmod(0o777)
        failed = run(["apt-get", "download", "prometheus-alertmanager"], cwd=scratch)
        packages = sorted(Path(scratch).glob("prometheus-alertmanager_*.deb"))
        if failed is None and packages:
            CACHE.mkdir(parents=True, exist_ok=True)
            failed = run(["dpkg-deb", "--extract", str(packages[-1]), str(CACHE)])
    return None if unpacked().is_file() else f"{wanted} {failed or ''}".strip()


def unpacked() -> Path:
    """Return where Debian's package puts the program below the cache."""
    return CACHE / "usr" / "bin" / "prometheus-alertmanager"


def on_path(names: tuple[str, ...]) -> bool:
    return any(shutil.which(name) for name in names)


def run(words: list[str], cwd: str | None = None) -> str | None:
    """Run a program; returns its last words when it fails."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    said = [line for line in done.stderr.splitlines() if line.strip()]
    return f"{' '.join(words[:2])} said: {said[-1] if said else f'exit code {done.returncode}'}"


if __name__ == "__main__":
    sys.exit(main())
