"""Text as it may be stored and shown: cleaning, shortening, hashing, and Markdown. Knows no Tocsin word."""

from __future__ import annotations

import hashlib
import html
import math
import re
import unicodedata
from collections.abc import Sequence
from datetime import timedelta
from typing import cast

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block.table import table
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

REPLACEMENT = "\ufffd"
MAX_DEPTH = 100
TOO_DEEP = "(nested too deeply)"

# Rendering is quadratic for some hostile texts; 20,000 characters keep the worst known one under a second.
MAX_MARKDOWN = 20_000
# A row that is cut short is filled up to the width of its table, so 2 KB make 65,000 cells and hold everybody for a
# second. Wider tables than these are not what people write.
MAX_CELLS = 5_000

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
# Format characters that are seen, or that scripts and emoji are spelt with. All others, such as the marks that turn the
# direction of text around, can make one line read as another, or two look alike.
_SPELT = frozenset("\u200c\u200d\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
# Drawn as nothing although they count as letters, marks or symbols.
_EMPTY = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_ASCII_BLANK = "".join(map(chr, range(33))) + "\x7f"


def storable(text: str) -> str:
    """Replace what a PostgreSQL text cannot hold, NUL and lone surrogates, with U+FFFD."""
    if "\0" not in text:
        if text.isascii():
            return text
        try:
            text.encode()
        except UnicodeEncodeError:
            pass
        else:
            return text
    return _UNSTORABLE.sub(REPLACEMENT, text)


def storable_json(value: object) -> object:
    """Copy a decoded JSON value so that `jsonb` can hold it.

    Texts and keys are made storable, NaN and the infinities become texts, and whatever lies deeper than
    `MAX_DEPTH` becomes a text that says so. Does not recurse, so no input can exhaust the stack.
    """
    todo: list[tuple[object, dict[str, object] | list[object], int]] = []

    def copy(child: object, depth: int) -> object:
        if isinstance(child, str):
            return storable(child)
        if isinstance(child, float) and not math.isfinite(child):
            return str(child)
        if not isinstance(child, dict | list | tuple):
            return child
        if depth >= MAX_DEPTH:
            return TOO_DEEP
        empty: dict[str, object] | list[object] = {} if isinstance(child, dict) else []
        todo.append((cast("object", child), empty, depth + 1))
        return empty

    result = copy(value, 0)
    while todo:
        source, target, depth = todo.pop()
        if isinstance(target, dict):
            for name, child in cast("dict[object, object]", source).items():
                target[storable(str(name))] = copy(child, depth)
        else:
            for child in cast("Sequence[object]", source):
                target.append(copy(child, depth))
    return result


def finite(digits: str) -> float:
    """Read a number of JSON; raises `ValueError` for one that is too large.

    For `msgspec.json.Decoder(float_hook=…)`, whose own way takes 40 µs for 1.1e308: 5 s for a body full of them.
    """
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("Number out of range")
    return number


def truncate(text: str, limit: int) -> str:
    """Shorten to at most `limit` characters, the last of them an ellipsis when something was cut off."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + "…"[:limit]


def one_line(text: str, limit: int = 200) -> str:
    """Make text from outside safe for a header, a terminal or a log: one line, nothing in it that is not seen."""
    return truncate(" ".join(clean(text).split()), limit)


def spoken(time: timedelta) -> str:
    """Say how long something took, as `40 s`, `12 min` or `3 h 5 min`."""
    seconds = max(0, int(time.total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h {seconds % 3600 // 60} min"


def clean(text: str) -> str:
    """Drop what is not seen, but keep line breaks and tabs: what stays reads as it looks, in the order it has."""
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    dropped = {ord(c): " " if _breaks(c) else "" for c in set(text) if _breaks(c) or _is_unseen(c)}
    return text.translate(dropped) if dropped else text


def revealed(text: str) -> str:
    """Write out what `clean` would drop, as `<U+202E>`: for whoever looks for it."""
    hidden = {ord(c): f"<U+{ord(c):04X}>" for c in set(text) if c != "\r" and (_breaks(c) or _is_unseen(c))}
    return text.translate(hidden) if hidden else text


def is_blank(text: str) -> bool:
    """Say whether there is nothing to see in it: blanks, line breaks, controls and characters without a picture."""
    if text.isascii():
        return not text.strip(_ASCII_BLANK)
    return not any(unicodedata.category(c)[0] not in "ZC" and c not in _EMPTY and not _varies(c) for c in text)


def _varies(c: str) -> bool:
    return "\ufe00" <= c <= "\ufe0f" or "\U000e0100" <= c <= "\U000e01ef"


def _breaks(c: str) -> bool:
    return unicodedata.category(c) in ("Zl", "Zp")


def _is_unseen(c: str) -> bool:
    if c in "\n\t":
        return False
    return c in _EMPTY or (unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in _SPELT)


def sha256_hex(data: str | bytes) -> str:
    """Return the SHA-256 of bytes, or of a text's UTF-8, as 64 hex digits. Accepts lone surrogates."""
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogatepass")
    return hashlib.sha256(data).hexdigest()


def markdown(text: str, *, images: bool = True) -> Markup:
    """Render CommonMark with tables, strikethrough and bare addresses as HTML that is safe to show.

    HTML in the text is shown as text. Links go to http, https, mailto or this site, and tell nobody where they
    were followed. What is not seen is left out, see `clean`. An image of another site becomes a link to it, so that no
    reader's browser is made to call there; without `images` every one does. A text longer than `MAX_MARKDOWN`
    characters is shown unformatted.
    """
    text = clean(storable(text))
    if len(text) > MAX_MARKDOWN:
        return Markup(f'<pre tabindex="0">{html.escape(text)}</pre>')  # noqa: S704 - escaped in this line
    return Markup(_CLEANER.clean(_RENDERER.render(text, {"images": images})))  # noqa: S704 - cleaned in this line


def _is_local(url: str) -> bool:
    # Browsers read both `//host` and `/\host` as an address on another site.
    return url.startswith("/") and url[1:2] not in ("/", "\\") and not _CONTROL.search(url)


_CONTROL = re.compile(r"[\x00-\x20]")


def _image(renderer: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
    token = tokens[at]
    source = str(token.attrGet("src") or "")
    described = renderer.renderInlineAsText(token.children, options, env) or source
    if _is_local(source) and env.get("images", True):
        return f'<img src="{html.escape(source)}" alt="{html.escape(described)}">'
    return f'<a href="{html.escape(source)}">{html.escape(described)}</a>'


def _only_local_images(tag: str, attribute: str, value: str) -> str | None:
    return None if (tag, attribute) == ("img", "src") and not _is_local(value) else value


def _table_of_bearable_size(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """Make a table, or leave the lines as they are from where the tables of this text have too many cells."""
    cells = cast("int", state.env.get("cells", 0))
    if cells > MAX_CELLS or not table(state, start_line, end_line, True):
        return False
    if silent:
        return True
    columns = state.src.count("|", state.bMarks[start_line + 1], state.eMarks[start_line + 1]) + 1
    row = start_line
    while row < end_line and not state.isEmpty(row) and cells <= MAX_CELLS:
        row += 1
        cells += columns
    state.env["cells"] = cells
    return cells <= MAX_CELLS and table(state, start_line, end_line, False)


_SCHEME = re.compile(r"(?:^|[^a-z0-9.+-])(https?)$", re.IGNORECASE)
_ADDRESS = re.compile(r"://(?:[^\W_]|\[)[^\s<>\"`]*")
_OPENING = {")": "(", "]": "[", "}": "{"}


def _bare_address(state: StateInline, silent: bool) -> bool:
    """Make a link of an http address. The parser stops at its colon; what stands before it is pending text."""
    scheme = _SCHEME.search(state.pending[-6:])
    rest = _ADDRESS.match(state.src, state.pos, state.posMax)
    if scheme is None or rest is None or state.linkLevel > 0:
        return False
    found = _without_punctuation(rest[0])
    address = scheme[1] + found
    href = state.md.normalizeLink(address)
    if not state.md.validateLink(href):
        return False
    if not silent:
        state.pending = state.pending[: -len(scheme[1])]
        state.push("link_open", "a", 1).attrs = {"href": href}
        state.push("text", "", 0).content = address
        state.push("link_close", "a", -1)
    state.pos += len(found)
    return True


def _without_punctuation(address: str) -> str:
    """Leave off what ends a sentence or an emphasis, and brackets that were opened before the address."""
    counts = {bracket: address.count(bracket) for bracket in "()[]{}"}
    end = len(address)
    while end > 0:
        last = address[end - 1]
        if last in _OPENING and counts[last] > counts[_OPENING[last]]:
            counts[last] -= 1
        elif last not in "?!.,:;*_~'":
            break
        end -= 1
    return address[:end]


_RENDERER = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
_RENDERER.block.ruler.at("table", _table_of_bearable_size, {"alt": ["paragraph", "reference"]})
_RENDERER.add_render_rule("image", _image)
_RENDERER.inline.ruler.after("text", "bare_address", _bare_address)

_CLEANER = nh3.Cleaner(
    tags={
        *("a", "blockquote", "br", "code", "del", "em", "hr", "img", "li", "ol", "p", "pre", "s", "strong", "ul"),
        *("h1", "h2", "h3", "h4", "h5", "h6", "table", "tbody", "td", "th", "thead", "tr"),
    },
    attributes={"a": {"href", "title"}, "img": {"src", "alt"}, "ol": {"start"}},
    attribute_filter=_only_local_images,
    url_schemes={"http", "https", "mailto"},
    link_rel="nofollow noreferrer noopener",
    # Code that is too wide is scrolled, with the keyboard too.
    set_tag_attribute_values={"pre": {"tabindex": "0"}},
)
