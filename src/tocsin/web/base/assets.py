"""Style sheets, scripts, fonts and pictures, served from memory under addresses that name their content."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import rcssmin
import rjsmin
from litestar import Response, get
from litestar.params import FromPath

from tocsin.edge.context import AppRequest
from tocsin.edge.packing import pack, takes_gzip
from tocsin.edge.rights import Right
from tocsin.kit.errors import NotFound
from tocsin.kit.text import sha256_hex

FOLDER = Path(__file__).parents[1] / "static"
# The style sheet that pages name. It is put together from the files of `static/css`, a folder for each layer; what
# stands in a later layer wins over an earlier one, however exact its selector is.
SHEET = "tocsin.css"
LAYERS = ("base", "ui", "areas", "adapt")
# The script of every page with what it imports, which is asked for at once and not one after the other.
SCRIPT = "js/main.js"
_IMPORT = re.compile(r"""(?P<before>^import [^;]*?")(?P<place>\.{1,2}/[^"]+)(?=";)""", re.MULTILINE)
_minified: Callable[[str], str] = rcssmin.cssmin  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
_without_comments: Callable[[str], str] = rjsmin.jsmin  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
# Scripts of others that they publish as they were written.
_WRITTEN_OUT = frozenset({"vendor/hotkey.js"})
# Litestar adds the charset, UTF-8, to text.
_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".txt": "text/plain",
}
_FOR_EVER = "public, max-age=31536000, immutable"
# A font that a style sheet names carries no version: it asks again.
_FOR_AN_HOUR = "public, max-age=3600"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file. `version` is the beginning of its SHA-256."""

    body: bytes
    media_type: str
    version: str


def style_sheet(folder: Path) -> str:
    """Join the files of each layer, in the order of their names, and leave out what only people read.

    The layer comes from the folder, so that no file can forget it: rules in no layer would win over all the others.
    """
    parts = [f"@layer {', '.join(LAYERS)};"]
    for layer in LAYERS:
        rules = [path.read_text(encoding="utf-8") for path in sorted((folder / layer).glob("*.css"))]
        parts.append(f"@layer {layer} {{\n{''.join(rules)}}}")
    return _minified("\n".join(parts))


def _read(folder: Path) -> Mapping[str, Asset]:
    styles = folder / "css"
    bodies = {SHEET: style_sheet(styles).encode()}
    for path in sorted(folder.rglob("*")):
        if path.suffix in _TYPES and path.is_file() and not path.is_relative_to(styles):
            bodies[path.relative_to(folder).as_posix()] = path.read_bytes()
    made: dict[str, Asset] = {}
    for name in bodies:
        _make(name, bodies, made, ())
    return made


def _make(name: str, bodies: Mapping[str, bytes], made: dict[str, Asset], importers: tuple[str, ...]) -> Asset:
    """Give a file its version; what a script of ours imports is made before it, and named with its own version.

    So all of them can be kept for ever. Scripts that import each other in a circle raise `ValueError`.
    """
    if name in importers:
        raise ValueError(f"{name} imports itself, by way of {', '.join(importers)}.")
    if name not in made:
        body = bodies[name]
        if name.startswith("js/"):

            def versioned(found: re.Match[str]) -> str:
                imported = posixpath.normpath(posixpath.join(posixpath.dirname(name), found["place"]))
                return f"{found[0]}?v={_make(imported, bodies, made, (*importers, name)).version}"

            body = _IMPORT.sub(versioned, body.decode()).encode()
        if name.startswith("js/") or name in _WRITTEN_OUT:
            body = _without_comments(body.decode()).encode()
        made[name] = Asset(body, _TYPES[Path(name).suffix], sha256_hex(body)[:12])
    return made[name]


_ASSETS = _read(FOLDER)


def url(path: str) -> str:
    """Return the place of a file in `static/`, which changes with its content; raises `KeyError` for a wrong path."""
    return f"/static/{path}?v={_ASSETS[path].version}"


def scripts() -> list[str]:
    """Return what the script of every page imports, for the browser to ask for all of it at once."""
    found: list[str] = []
    waiting = [SCRIPT]
    while waiting:
        name = waiting.pop()
        for place in _IMPORT.finditer(_ASSETS[name].body.decode()):
            imported = posixpath.normpath(posixpath.join(posixpath.dirname(name), place["place"].partition("?")[0]))
            if imported not in found:
                found.append(imported)
                waiting.append(imported)
    return found


@lru_cache(maxsize=64)
def _packed(path: str) -> bytes:
    return pack(_ASSETS[path].body, 9)


@get("/static/{path:path}", sync_to_thread=False, needs=Right.NONE)
def asset(request: AppRequest, path: FromPath[str]) -> Response[bytes]:
    """Serve one file; `?v=` with the version of its content may be kept for ever, other addresses for an hour."""
    name = path.lstrip("/")
    found = _ASSETS.get(name)
    if found is None:
        raise NotFound("There is no such file.")
    is_versioned = request.query_params.get("v") == found.version
    headers = {
        "cache-control": _FOR_EVER if is_versioned else _FOR_AN_HOUR,
        "etag": f'"{found.version}"',
        "vary": "accept-encoding",
    }
    if request.headers.get("if-none-match", "").removeprefix("W/").strip('"') == found.version:
        return Response(b"", status_code=304, headers=headers, media_type=found.media_type)
    body = found.body
    if takes_gzip(request.headers.get("accept-encoding", "")) and not found.media_type.startswith("font/"):
        body = _packed(name)
        headers["content-encoding"] = "gzip"
    return Response(body, media_type=found.media_type, headers=headers)


HANDLERS = [asset]
