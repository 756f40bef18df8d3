"""Templates that people write: Jinja, of which only so much is possible that every rendering ends soon.

What a template may consist of is decided by its syntax tree before it is compiled: fields, labels, conditions, one
loop over the labels, and the filters of its language. There is no call, no arithmetic, no assignment, no macro and no
include, so that the work is at most the length of the template times the number of labels; filters and output have a
budget. Below that, Jinja's own immutable sandbox. https://jinja.palletsprojects.com/en/stable/sandbox/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from jinja2 import Template, TemplateError, nodes, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

LONGEST = 8_000
_MOST_FILTERED = 500_000
_LONGEST_FILTERED = 20_000
_MOST_FILTERS = 200
_DEEPEST = 40

LABELS = "labels"
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


def shown(value: object) -> str:
    """Return a value as a text filter takes it: nothing for what is not known."""
    return "" if value is None else str(value)


def on_text(write: Callable[[str], str]) -> Callable[[object], str]:
    """Return a filter of what it does with a text."""
    return lambda value: write(shown(value))


def _replaced(value: object, old: object, new: object) -> str:
    found, sought, put = shown(value), shown(old), shown(new)
    if not sought or len(put) > 100:
        raise BadTemplate("“replace” needs something to look for, and at most 100 characters to put in its place.")
    return found.replace(sought, put)


def _defaulted(value: object, other: object = "") -> str:
    return shown(value) or shown(other)


# What every language has.
PLAIN_FILTERS: Mapping[str, Callable[..., str]] = {
    "upper": on_text(str.upper),
    "lower": on_text(str.lower),
    "trim": on_text(str.strip),
    "oneline": on_text(lambda text: " ".join(text.split())),
    "replace": _replaced,
    "default": _defaulted,
}


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


def _environment(text_filters: Mapping[str, Callable[..., str]]) -> _Environment:
    # Not optimised: what stands fixed in a template must not be worked out while it is compiled.
    made = _Environment(autoescape=False, optimized=False, finalize=_finished, keep_trailing_newline=True)
    made.globals.clear()
    made.tests = {name: made.tests[name] for name in ("defined", "none")}
    made.filters.clear()
    made.filters.update({name: _within_budget(write) for name, write in text_filters.items()})
    made.filters.update({"length": _length, "dictsort": _sorted})
    return made


def _finished(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value


def _length(value: object) -> int:
    return len(cast("str | dict[str, str]", value)) if isinstance(value, str | dict) else 0


def _sorted(value: object) -> list[tuple[str, str]]:
    return sorted(cast("dict[str, str]", value).items()) if isinstance(value, dict) else []


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


class Language:
    """What templates of one use can say: its filters, how long the result may be, and what that is called.

    Values are texts, numbers, yes or no, `labels`, and groups of such (`{"alert": {"title": …}}`): a name of a group
    stands behind a dot. Of labels any name may be asked for; one that is not there is empty.
    """

    def __init__(self, text_filters: Mapping[str, Callable[..., str]], *, most_output: int, called: str) -> None:
        self.filters = (*text_filters, "length", "dictsort")
        self._jinja = _environment(text_filters)
        self._most_output = most_output
        self.called = called
        self._compiled = lru_cache(maxsize=256)(self._compile)

    def check(self, template: str, values: Mapping[str, Any]) -> None:
        """Raise `BadTemplate` for what is not possible, with its line; the names of `values` are those it may use."""
        self._compiled(template, _names_of(values))

    def render(self, template: str, values: Mapping[str, Any]) -> str:
        """Write the text. Raises `BadTemplate`, and nothing else."""
        made = self._compiled(template, _names_of(values))
        parts: list[str] = []
        size = 0
        try:
            for part in made.generate({**values, _BUDGET: _Budget()}):
                size += len(part)
                if size > self._most_output:
                    raise BadTemplate(f"The {self.called} became longer than {self._most_output:,} characters.")
                parts.append(part)
        except BadTemplate:
            raise
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise BadTemplate(f"The template failed: {type(error).__name__}.") from None
        return "".join(parts)

    def _compile(self, template: str, names: frozenset[str]) -> Template:
        if len(template) > LONGEST:
            raise BadTemplate(f"A template has at most {LONGEST:,} characters.")
        try:
            tree = self._jinja.parse(template)
        except TemplateError as error:
            line = getattr(error, "lineno", None)
            raise BadTemplate(f"Line {line}: {_said(error)}" if line else _said(error)) from None
        except (RecursionError, ValueError, MemoryError):
            raise BadTemplate("The template is nested too deeply, or has a number that is too large.") from None
        _Checked(self, names, self._jinja.tests).walk(tree)
        try:
            return self._jinja.from_string(tree)
        except (TemplateError, SyntaxError, RecursionError, MemoryError):
            raise BadTemplate("The template is nested too deeply.") from None


def _names_of(values: Mapping[str, Any]) -> frozenset[str]:
    """Return the names that have a value, those of a group with the group's name in front."""
    found: set[str] = set()
    for name, value in values.items():
        if name != LABELS and isinstance(value, Mapping):
            found |= {f"{name}.{part}" for part in cast("Mapping[str, Any]", value)}
        else:
            found.add(name)
    return frozenset(found)


def _said(error: TemplateError) -> str:
    text = (error.message or "it cannot be read").rstrip(".")
    return f"{text[:200]}."


class _Checked:
    """Walks a syntax tree and refuses everything that is not known to be harmless."""

    def __init__(self, language: Language, names: frozenset[str], tests: Mapping[str, Any]) -> None:
        self._language = language
        self._fields = names
        self._groups = {name.partition(".")[0] for name in names if "." in name}
        self._tests = tests
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
                if node.name not in self._tests or node.args or node.kwargs:
                    raise _at(node, f"There is no test “{node.name}”. There are: {', '.join(self._tests)}.")
            case _:
                if type(node) not in _PLAIN_NODES:
                    raise _at(node, _why_not(node, self._language.called))
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
        if len(inner) != len(targets) or inner & (self._fields | self._groups | {"loop", _BUDGET}):
            raise _at(node, "Give the loop names of its own, such as “name, value”.")
        for child in (*node.body, *node.else_, *([node.test] if node.test else [])):
            self.walk(child, frozenset(inner | {"loop"}), depth + 1)

    def _check_name(self, node: nodes.Name, names: frozenset[str]) -> None:
        if node.ctx != "load" or node.name not in self._fields | names:
            raise self._no_field(node, node.name)

    def _check_part(self, node: nodes.Getattr | nodes.Getitem, names: frozenset[str]) -> None:
        owner = node.node.name if isinstance(node.node, nodes.Name) else ""
        key = node.attr if isinstance(node, nodes.Getattr) else getattr(node.arg, "value", None)
        if owner == LABELS and LABELS in self._fields and isinstance(key, str):
            return
        if owner == "loop" and owner in names and key in LOOP:
            return
        if owner in self._groups and owner not in names:
            if isinstance(key, str) and f"{owner}.{key}" in self._fields:
                return
            raise self._no_field(node, f"{owner}.{key}")
        raise _at(node, "Only labels have parts, such as labels.team or labels['team'], and a loop: loop.last.")

    def _no_field(self, node: nodes.Node, name: str) -> BadTemplate:
        return _at(node, f"There is no field “{name[:60]}”. There are: {', '.join(sorted(self._fields))}.")

    def _check_filter(self, node: nodes.Filter) -> None:
        self._filters += 1
        if node.name not in self._language.filters:
            raise _at(node, f"There is no filter “{node.name[:60]}”. There are: {', '.join(self._language.filters)}.")
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


def _why_not(node: nodes.Node, called: str) -> str:
    known = (why for kind, why in _IMPOSSIBLE.items() if isinstance(node, kind))
    return next(known, f"“{type(node).__name__.lower()}” is not possible in a template of a {called}.")


def _at(node: nodes.Node, why: str) -> BadTemplate:
    return BadTemplate(f"Line {node.lineno}: {why}")
