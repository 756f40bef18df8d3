"""Body templates that people write: Jinja, of which only so much is possible that every rendering ends soon.

What a template may consist of is decided by its syntax tree before it is compiled: fields, labels, conditions, one
loop over the labels, and the filters below. There is no call, no arithmetic, no assignment, no macro and no include,
so that the work is at most the length of the template times the number of labels; filters and output have a budget.
Below that, Jinja's own immutable sandbox. https://jinja.palletsprojects.com/en/stable/sandbox/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast
from urllib.parse import quote

import msgspec
from jinja2 import Template, TemplateError, nodes, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import escape

from tocsin.notifications.channels.webhook import escaping

LONGEST = 8_000
MOST_OUTPUT = 32_768
_MOST_FILTERED = 500_000
_LONGEST_FILTERED = 20_000
_MOST_FILTERS = 200
_DEEPEST = 40

LOOP = frozenset({"first", "last", "index"})
_BUDGET = "_budget"


class BadTemplate(Exception):
    """The template cannot be used, or this rendering of it. The message is a sentence and quotes no value."""


@dataclass(slots=True)
class _Budget:
    left: int = _MOST_FILTERED

    def spend(self, text: str) -> str:
        self.left -= len(text) + 50
        if self.left < 0 or len(text) > _LONGEST_FILTERED:
            raise BadTemplate(f"A filter made more than {_LONGEST_FILTERED:,} characters, or all of them too many.")
        return text


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _truncated(value: object, length: object = 200) -> str:
    limit = length if isinstance(length, int) else 200
    return escaping.fit(_text(value), max(limit, 1), escaping.as_is)


def _replaced(value: object, old: object, new: object) -> str:
    found, sought, put = _text(value), _text(old), _text(new)
    if not sought or len(put) > 100:
        raise BadTemplate("“replace” needs something to look for, and at most 100 characters to put in its place.")
    return found.replace(sought, put)


def _defaulted(value: object, other: object = "") -> str:
    return _text(value) or _text(other)


def _on_text(write: Callable[[str], str]) -> Callable[[object], str]:
    return lambda value: write(_text(value))


_TEXT_FILTERS: Mapping[str, Callable[..., str]] = {
    "json": _json,
    "tojson": _json,
    "slack": _on_text(lambda text: escaping.all_of(text, escaping.slack)),
    "markdown": _on_text(lambda text: escaping.all_of(text, escaping.mattermost)),
    "xml": _on_text(lambda text: str(escape(text))),
    "urlencode": _on_text(lambda text: quote(text, safe="")),
    "upper": _on_text(str.upper),
    "lower": _on_text(str.lower),
    "trim": _on_text(str.strip),
    "oneline": _on_text(lambda text: " ".join(text.split())),
    "truncate": _truncated,
    "replace": _replaced,
    "default": _defaulted,
}
FILTERS = (*_TEXT_FILTERS, "length", "dictsort")


def _within_budget(write: Callable[..., str]) -> Callable[..., str]:
    @pass_context
    def filtered(context: Context, *given: Any) -> str:
        budget: _Budget = context[_BUDGET]
        return budget.spend(write(*given))

    return filtered


class _Environment(ImmutableSandboxedEnvironment):
    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return a label; a label called `items` is no method."""
        return self.getitem(obj, attribute) if isinstance(obj, dict) else super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return a label; one that the alert does not have is empty."""
        if isinstance(obj, dict):
            labels = cast("dict[str, str]", obj)
            return labels.get(argument, "")
        return super().getitem(obj, argument)


def _environment() -> _Environment:
    # Not optimised: what stands fixed in a template must not be worked out while it is compiled.
    made = _Environment(autoescape=False, optimized=False, finalize=_shown, keep_trailing_newline=True)
    made.globals.clear()
    made.tests = {name: made.tests[name] for name in ("defined", "none")}
    made.filters.clear()
    made.filters.update({name: _within_budget(write) for name, write in _TEXT_FILTERS.items()})
    made.filters.update({"length": _length, "dictsort": _sorted})
    return made


def _shown(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value


def _length(value: object) -> int:
    return len(cast("str | dict[str, str]", value)) if isinstance(value, str | dict) else 0


def _sorted(value: object) -> list[tuple[str, str]]:
    return sorted(cast("dict[str, str]", value).items()) if isinstance(value, dict) else []


_jinja = _environment()

_PLAIN_NODES = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.If,
    nodes.Const,
    nodes.CondExpr,
    nodes.Concat,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Tuple,
    nodes.List,
)


def check(template: str, fields: frozenset[str]) -> None:
    """Raise `BadTemplate` for what is not possible, with its line; `fields` are the names that have a value."""
    _compiled(template, fields)


def render(template: str, values: Mapping[str, Any]) -> str:
    """Write the body. Raises `BadTemplate`, and nothing else."""
    made = _compiled(template, frozenset(values))
    parts: list[str] = []
    size = 0
    try:
        for part in made.generate({**values, _BUDGET: _Budget()}):
            size += len(part)
            if size > MOST_OUTPUT:
                raise BadTemplate(f"The body became longer than {MOST_OUTPUT:,} characters.")
            parts.append(part)
    except BadTemplate:
        raise
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise BadTemplate(f"The template failed: {type(error).__name__}.") from None
    return "".join(parts)


@lru_cache(maxsize=256)
def _compiled(template: str, fields: frozenset[str]) -> Template:
    if len(template) > LONGEST:
        raise BadTemplate(f"A template has at most {LONGEST:,} characters.")
    try:
        tree = _jinja.parse(template)
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        raise BadTemplate(f"Line {line}: {_said(error)}" if line else _said(error)) from None
    except (RecursionError, ValueError, MemoryError):
        raise BadTemplate("The template is nested too deeply, or has a number that is too large.") from None
    _Checked(fields).walk(tree)
    try:
        return _jinja.from_string(tree)
    except (TemplateError, SyntaxError, RecursionError, MemoryError):
        raise BadTemplate("The template is nested too deeply.") from None


def _said(error: TemplateError) -> str:
    text = (error.message or "it cannot be read").rstrip(".")
    return f"{text[:200]}."


class _Checked:
    """Walks a syntax tree and refuses everything that is not known to be harmless."""

    def __init__(self, fields: frozenset[str]) -> None:
        self._fields = fields
        self._filters = 0

    def walk(self, node: nodes.Node, names: frozenset[str] = frozenset(), depth: int = 0) -> None:
        """Check a node and what is below it; `names` are those of the loop around it."""
        if depth > _DEEPEST:
            raise _at(node, "It is nested too deeply.")
        match node:
            case nodes.For():
                self._walk_loop(node, names, depth)
                return
            case nodes.Name():
                self._check_name(node, names)
            case nodes.Getattr() | nodes.Getitem():
                self._check_part(node, names)
                return
            case nodes.Filter():
                self._check_filter(node)
            case nodes.Test():
                if node.name not in _jinja.tests or node.args or node.kwargs:
                    raise _at(node, f"There is no test “{node.name}”. There are: {', '.join(_jinja.tests)}.")
            case _:
                if type(node) not in _PLAIN_NODES:
                    raise _at(node, _why_not(node))
        for child in _children(node):
            self.walk(child, names, depth + 1)

    def _walk_loop(self, node: nodes.For, names: frozenset[str], depth: int) -> None:
        if names or node.recursive:
            raise _at(node, "A loop cannot stand within another.")
        source = node.iter
        if isinstance(source, nodes.Filter) and source.name == "dictsort" and not source.args and source.node:
            source = source.node
        if not isinstance(source, nodes.Name) or source.name != "labels":
            raise _at(node, "A loop goes over “labels|dictsort”, and over nothing else.")
        targets = [node.target] if isinstance(node.target, nodes.Name) else list(_children(node.target))
        inner = {target.name for target in targets if isinstance(target, nodes.Name)}
        if len(inner) != len(targets) or inner & (self._fields | {"loop", _BUDGET}):
            raise _at(node, "Give the loop names of its own, such as “name, value”.")
        for child in (*node.body, *node.else_, *([node.test] if node.test else [])):
            self.walk(child, frozenset(inner | {"loop"}), depth + 1)

    def _check_name(self, node: nodes.Name, names: frozenset[str]) -> None:
        if node.ctx != "load" or node.name not in self._fields | names:
            raise _at(node, f"There is no field “{node.name[:60]}”. There are: {', '.join(sorted(self._fields))}.")

    def _check_part(self, node: nodes.Getattr | nodes.Getitem, names: frozenset[str]) -> None:
        owner = node.node.name if isinstance(node.node, nodes.Name) else ""
        key = node.attr if isinstance(node, nodes.Getattr) else getattr(node.arg, "value", None)
        if owner == "labels" and isinstance(key, str):
            return
        if owner == "loop" and owner in names and key in LOOP:
            return
        raise _at(node, "Only labels have parts, such as labels.team or labels['team'], and a loop: loop.last.")

    def _check_filter(self, node: nodes.Filter) -> None:
        self._filters += 1
        if node.name not in FILTERS:
            raise _at(node, f"There is no filter “{node.name[:60]}”. There are: {', '.join(FILTERS)}.")
        if node.kwargs or node.dyn_args or node.dyn_kwargs or not all(isinstance(a, nodes.Const) for a in node.args):
            raise _at(node, f"The filter “{node.name}” takes fixed values only.")
        if self._filters > _MOST_FILTERS:
            raise _at(node, f"A template uses at most {_MOST_FILTERS} filters.")


def _children(node: nodes.Node) -> Iterator[nodes.Node]:
    yield from node.iter_child_nodes()


_IMPOSSIBLE: Mapping[type[nodes.Node], str] = {
    nodes.Call: "Nothing can be called, such as range(…) or labels.items().",
    nodes.Assign: "Nothing can be set.",
    nodes.BinExpr: "There is no arithmetic; texts are joined with ~.",
    nodes.UnaryExpr: "There is no arithmetic.",
}


def _why_not(node: nodes.Node) -> str:
    known = (why for kind, why in _IMPOSSIBLE.items() if isinstance(node, kind))
    return next(known, f"“{type(node).__name__.lower()}” is not possible in a template of a body.")


def _at(node: nodes.Node, why: str) -> BadTemplate:
    return BadTemplate(f"Line {node.lineno}: {why}")
