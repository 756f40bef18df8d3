"""Fetch the browser assets named in vendor.toml, check their hashes and lay them out: for the web server, or for tests.

Uses the npm client, so the registry is whatever that client is set up for. Nothing here runs when Tocsin runs.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TARGET = HERE.parent / "src" / "tocsin" / "web" / "static" / "vendor"


def main() -> int:
    """Fetch everything or change nothing: all hashes are checked before the first file is written."""
    packages: list[dict[str, Any]] = tomllib.loads((HERE / "vendor.toml").read_text())["package"]
    with tempfile.TemporaryDirectory() as scratch:
        tarballs = [fetch(package, Path(scratch)) for package in packages]
        wrong = [said for package, path in zip(packages, tarballs, strict=True) if (said := check(package, path))]
        if wrong:
            print("\n".join(wrong), file=sys.stderr)
            return 1
        for package, path in zip(packages, tarballs, strict=True):
            lay_out(package, path)
    return 0


def fetch(package: dict[str, Any], scratch: Path) -> Path:
    folder = scratch / re.sub(r"\W", "_", package["name"])
    folder.mkdir()
    wanted = f"{package['name']}@{package['version']}"
    subprocess.run(
        ["npm", "pack", "--silent", "--pack-destination", str(folder), wanted], check=True, stdout=sys.stderr
    )
    return next(folder.glob("*.tgz"))


def check(package: dict[str, Any], tarball: Path) -> str:
    """Return what is wrong with the tarball, or nothing."""
    found = hashlib.sha512(tarball.read_bytes()).hexdigest()
    if found == package["sha512"]:
        return ""
    return f'{package["name"]} {package["version"]}: vendor.toml pins another hash than sha512 = "{found}"'


def lay_out(package: dict[str, Any], tarball: Path) -> None:
    target = HERE.parent / package["into"] if "into" in package else TARGET
    with tarfile.open(tarball) as archive:
        for inside, outside in package["files"].items():
            write(target / outside, without_source_map(outside, read(archive, inside)))
        for notice in package.get("notices", ["LICENSE"]):
            name = package["name"].lstrip("@").replace("/", "-")
            write(target / "licences" / f"{name}.{notice}.txt", read(archive, notice))
        if "icons" in package:
            write(TARGET / "icons.svg", sprite(archive, sorted(package["icons"])))


def read(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(f"package/{name}")
    if member is None:
        raise FileNotFoundError(name)
    return member.read()


def without_source_map(name: str, content: bytes) -> bytes:
    """Drop the pointer to a source map that we do not ship, so that browsers do not ask for it."""
    if not name.endswith((".js", ".css")):
        return content
    return re.sub(rb"\n?(//[#@]|/\*#) sourceMappingURL=[^\n]*\n?", b"\n", content)


def sprite(archive: tarfile.TarFile, names: list[str]) -> bytes:
    """Put each icon's shapes into one <symbol>; stroke and fill come from the page's style sheet."""
    symbols: list[str] = []
    for name in names:
        drawing = read(archive, f"icons/{name}.svg").decode()
        shapes = re.search(r"<svg[^>]*>(.*)</svg>", drawing, re.DOTALL)
        if shapes is None:
            raise ValueError(f"{name} is not a drawing")
        inner = re.sub(r">\s+<", "><", shapes[1].strip())
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{inner}</symbol>')
    return ('<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n").encode()


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())
