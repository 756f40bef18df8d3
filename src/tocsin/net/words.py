"""What another side said, as one line that may be stored and shown: never a word of what was sent to it.

Serves F060. A receiver that answers with an error often repeats the request, and the request carries secrets: the
address itself, and the link by which the recipient answers.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Mapping
from html import unescape
from itertools import groupby
from urllib.parse import unquote

from tocsin.kit.text import one_line, storable

LONGEST = 200
_CUT = "…"
# More than this is never looked at. The words of an HTML page may stand behind long styles.
_READ = 8_000
_LINE = 2_000
# From this length on a piece of ours is no coincidence.
_ECHO = 12
_TEXT = re.compile(r"text/[a-z0-9.+-]+|application/([a-z0-9.-]+\+)?(json|xml)", re.IGNORECASE)
_END_OF_HIDDEN = re.compile(r"</(script|style)", re.IGNORECASE)
_LATIN = re.compile(r"charset=[\"']?(iso-8859-1|windows-1252|latin-?1)", re.IGNORECASE)


def of_body(headers: Mapping[str, str], body: bytes, *, path: str, sent: str) -> str:
    """Return the first words of an answer's body, nothing when it is no text.

    `path` is the path and query that were called, `sent` everything else that the other side must not have repeated.
    """
    kind = headers.get("content-type", "")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        return ""
    if not _TEXT.match(kind.strip()) and (kind or b"\0" in body):
        return ""
    text = _head(body.decode("latin-1" if _LATIN.search(kind) else "utf-8", "replace"), _READ)
    if "html" in kind.lower() or text.lstrip()[:1] == "<":
        text = _without_tags(text)
    return of_text(text, secrets=_pieces(path), sent=sent)


def of_text(text: str, *, secrets: Iterable[str] = (), sent: str = "") -> str:
    """Return the text as one clean line, with all that was sent cut out of it."""
    line = _head(one_line(storable(text), _READ), _LINE)
    ours = bytearray(len(line))
    if pieces := sorted({piece for piece in secrets if piece}, key=len, reverse=True):
        for found in re.finditer("|".join(map(re.escape, pieces)), line, re.IGNORECASE):
            ours[found.start() : found.end()] = b"\1" * len(found[0])
    _mark_echo(line, one_line(sent, len(sent)), ours)
    runs = groupby(range(len(line)), key=lambda at: ours[at])
    return one_line("".join(_shown(line, list(run), is_ours=bool(mark)) for mark, run in runs), LONGEST)


def _shown(line: str, run: list[int], *, is_ours: bool) -> str:
    piece = line[run[0] : run[-1] + 1]
    return f"{' ' * piece.startswith(' ')}{_CUT}{' ' * piece.endswith(' ')}" if is_ours else piece


def of_certificate(*errors: BaseException | None) -> str | None:
    """Say in the words of OpenSSL why the first certificate among the errors is not good; None when there is none."""
    for error in errors:
        if isinstance(error, ssl.SSLCertVerificationError):
            return of_text(error.verify_message).rstrip(".")
    return None


def sentence(said: str, words: str) -> str:
    """Put what happened and the other side's words for it, if any, into one sentence."""
    if not words:
        return f"{said}."
    return f"{said}: {words}" if words.endswith((".", "!", "?", "…")) else f"{said}: {words}."


def _head(text: str, limit: int) -> str:
    """Cut at the end of a word: half of a secret would not be known for one."""
    if len(text) <= limit:
        return text
    words = text[:limit].rsplit(None, 1)
    return words[0] if len(words) > 1 else ""


def _pieces(path: str) -> set[str]:
    """Split the path and the query into what may be a secret, in both spellings, and the path as a whole."""
    way, _, query = path.partition("?")
    found = {path, way} - {"/"}
    for piece in [*way.split("/"), *re.split(r"[&;=]", query)]:
        # A short word such as “hook” is none, and receivers speak of hooks.
        if len(piece) >= 6 or (len(piece) >= 4 and re.search(r"[0-9]", piece)):
            found.add(piece)
    return found | {unquote(piece) for piece in found}


def _mark_echo(line: str, sent: str, ours: bytearray) -> None:
    at = 0
    while (end := at + _ECHO) <= len(line):
        if line[at:end] not in sent:
            at += 1
            continue
        while end < len(line) and line[at : end + 1] in sent:
            end += 1
        ours[at:end] = b"\1" * (end - at)
        at = end


def _without_tags(text: str) -> str:
    """Leave what a browser would show. Looks at each character once, whatever nonsense it is."""
    shown: list[str] = []
    at = 0
    while (start := text.find("<", at)) >= 0:
        shown.append(text[at:start])
        name = text[start + 1 : start + 8].lower()
        if name.startswith(("script", "style")):
            closing = _END_OF_HIDDEN.search(text, start)
            start = closing.start() if closing else len(text)
        end = text.find(">", start)
        if end < 0:
            return unescape(" ".join(shown))
        at = end + 1
    return unescape(" ".join([*shown, text[at:]]))
