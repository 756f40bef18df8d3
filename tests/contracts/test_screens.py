"""What templates take is what their screens have: no name is missing, none is left over, and none is misspelt."""

from __future__ import annotations

import sys
import types
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from functools import cache
from importlib import import_module
from pkgutil import walk_packages
from typing import Any, ClassVar, Union, get_args, get_origin, get_type_hints

from jinja2 import DictLoader, Environment, meta, nodes
from sqlalchemy.orm import Mapped

from tocsin import web
from tocsin.web.base import pages
from tocsin.web.base.screens import Bare, DialogScreen, Screen, Shell, ShellScreen

Scope = dict[str, Any]
_ENVIRONMENT = pages._environment("", "base.html")


def _screens() -> list[type[Screen]]:
    """Find every class of a screen that there is."""
    for module in walk_packages(web.__path__, f"{web.__name__}."):
        import_module(module.name)

    def below(of: type[Screen]) -> Iterator[type[Screen]]:
        for each in of.__subclasses__():
            # What has slots is made twice; the first one is known to nobody.
            if getattr(sys.modules[each.__module__], each.__name__, None) is each:
                yield each
            yield from below(each)

    ours = {each for each in below(Screen) if each.__module__.startswith(web.__name__)} - {ShellScreen, DialogScreen}
    return sorted(ours, key=lambda each: each.__name__)


@cache
def _hints(of: type) -> Mapping[str, Any]:
    return get_type_hints(of)


def _fields(screen: type[Screen]) -> Scope:
    return {name: _hints(screen)[name] for name in screen.__dataclass_fields__}


@cache
def _parse(templates: Environment, name: str) -> nodes.Template:
    assert templates.loader is not None
    return templates.parse(templates.loader.get_source(templates, name)[0])


def _stored(tree: nodes.Node) -> set[str]:
    """Return every name that a template gives a value to, however it does."""
    found = {name.name for name in tree.find_all(nodes.Name) if name.ctx != "load"}
    found |= {macro.name for macro in tree.find_all(nodes.Macro)}
    found |= {each.target for each in tree.find_all(nodes.Import)}
    for each in tree.find_all(nodes.FromImport):
        found |= {name if isinstance(name, str) else name[1] for name in each.names}
    return found


@cache
def _takes(templates: Environment, name: str) -> frozenset[str]:
    """Return the names that a template, and whatever it extends, includes and imports, takes from outside."""
    tree = _parse(templates, name)
    others: set[str] = set()
    for other in meta.find_referenced_templates(tree):
        assert other is not None, f"{name} includes a template whose name is not written in it"
        others |= _takes(templates, other)
    return frozenset(meta.find_undeclared_variables(tree) | others) - _stored(tree) - set(templates.globals)


def _reached(templates: Environment, name: str) -> set[str]:
    others = meta.find_referenced_templates(_parse(templates, name))
    return {name}.union(*(_reached(templates, other) for other in others if other is not None))


def _names_that_differ(templates: Environment, screens: Collection[type[Screen]]) -> list[str]:
    found: list[str] = []
    for screen in screens:
        takes, has = _takes(templates, screen.template), set(_fields(screen))
        found += [f"{screen.__name__} lacks {name}" for name in sorted(takes - has)]
        # What every screen has is used where it is wanted.
        found += [f"{screen.__name__}.{name} is not used" for name in sorted(has - takes - set(_fields(Screen)))]
    return found


def _templates_without_a_screen(templates: Environment, screens: Collection[type[Screen]]) -> list[str]:
    known = set(templates.list_templates()) - {"base.html", "bare.html", "by_link.html"}
    return sorted(known.difference(*(_reached(templates, screen.template) for screen in screens)))


def _screens_without_a_template(templates: Environment, screens: Collection[type[Screen]]) -> list[str]:
    known = templates.list_templates()
    named = [getattr(screen, "template", "") for screen in screens]
    return [s.__name__ for s, name in zip(screens, named, strict=True) if name not in known or named.count(name) > 1]


@dataclass
class Reader:
    """Reads a template as its screen has it, and notes what is read of a value that has no such attribute.

    It follows what a screen declares through attributes, loops, `set` and includes, and knows what macros are imported.
    Of arguments, calls and filters it knows nothing: what is read of those is taken to be there.
    """

    templates: Environment
    found: set[str] = field(default_factory=set)
    done: set[tuple[object, ...]] = field(default_factory=set)

    def read(self, name: str, scope: Scope) -> None:
        key = (name, *((each, scope.get(each), each in scope) for each in sorted(_takes(self.templates, name))))
        if key in self.done:
            return
        self.done.add(key)
        tree = _parse(self.templates, name)
        # Blocks see what stands beside them, wherever that is.
        scope |= {each: scope.get(each) for each in _beside(tree)}
        for node in tree.body:
            self._read(name, node, scope)

    def _read(self, at: str, node: nodes.Node, scope: Scope) -> None:
        match node:
            case nodes.Extends(template=nodes.Const(value=other)) | nodes.Include(template=nodes.Const(value=other)):
                self.read(other, dict(scope))
                return
            case nodes.Import(template=nodes.Const(value=other)) | nodes.FromImport(template=nodes.Const(value=other)):
                self.read(other, dict(scope) if node.with_context else {})
                if isinstance(node, nodes.Import):
                    scope[node.target] = frozenset(_beside(_parse(self.templates, other)))
                return
            case nodes.For():
                self._read(at, node.iter, scope)
                inner = {**scope, "loop": None}
                self._bind(node.target, _each(self._type(node.iter, scope)), inner)
                self._all(at, [*node.body, *([node.test] if node.test else [])], inner)
                self._all(at, node.else_, dict(scope))
                return
            case nodes.Macro() | nodes.CallBlock():
                names = {each.name: None for each in node.args} | {"caller": None}
                self._all(at, [*node.defaults, *([node.call] if isinstance(node, nodes.CallBlock) else [])], scope)
                self._all(at, node.body, scope | names)
                return
            case nodes.Assign():
                self._read(at, node.node, scope)
                self._bind(node.target, self._type(node.node, scope), scope)
                return
            case nodes.AssignBlock(target=nodes.Name(name=name)):
                scope[name] = None
            case nodes.Block():
                scope = dict(scope)
            case nodes.Name(ctx="load", name=name) if name not in scope and name not in self.templates.globals:
                self.found.add(f"{at}: {name}")
            case nodes.Getattr():
                self._attribute(at, node, scope)
            case _:
                pass
        self._all(at, node.iter_child_nodes(), scope)

    def _all(self, at: str, inside: Sequence[nodes.Node] | Iterator[nodes.Node], scope: Scope) -> None:
        for node in inside:
            self._read(at, node, scope)

    def _attribute(self, at: str, node: nodes.Getattr, scope: Scope) -> None:
        of = self._type(node.node, scope)
        if isinstance(of, frozenset) and isinstance(node.node, nodes.Name) and node.attr not in of:
            self.found.add(f"{at}: {node.node.name}.{node.attr}")
        for kind in _kinds(of):
            if not _has(kind, node.attr):
                self.found.add(f"{at}: {kind.__name__}.{node.attr}")

    def _type(self, node: nodes.Node, scope: Scope) -> Any:
        match node:
            case nodes.Name(name=name):
                return scope.get(name)
            case nodes.Getattr(node=of, attr=attr):
                known = [_attribute_of(kind, attr) for kind in _kinds(self._type(of, scope))]
                return known[0] if len(known) == 1 else None
            case nodes.Getitem(node=of, arg=nodes.Const() | nodes.Name()):
                return _item(self._type(of, scope))
            case nodes.Getitem(node=of, arg=nodes.Slice()):
                return self._type(of, scope)
            case _:
                return None

    def _bind(self, target: nodes.Node, kind: Any, scope: Scope) -> None:
        match target:
            case nodes.Name(name=name):
                scope[name] = kind
            case nodes.Tuple(items=items):
                parts = get_args(kind) if get_origin(kind) is tuple and len(get_args(kind)) == len(items) else ()
                for at, item in enumerate(items):
                    self._bind(item, parts[at] if parts else None, scope)
            case _:
                pass


def _beside(tree: nodes.Template) -> set[str]:
    """Return what is named at the top of a template, or in the middle of it and not in a block, a macro or a loop."""
    inner = (nodes.Block, nodes.Macro, nodes.For, nodes.CallBlock)
    outer = nodes.Template([node for node in tree.body if not isinstance(node, inner)])
    return _stored(outer) | {macro.name for macro in tree.body if isinstance(macro, nodes.Macro)}


def _kinds(kind: Any) -> list[Any]:
    """Return the classes of a type that are looked into; None, and what is in a mapping, have no attributes."""
    if get_origin(kind) in (Union, types.UnionType):
        return [each for part in get_args(kind) for each in _kinds(part)]
    kind = get_origin(kind) or kind
    is_open = not isinstance(kind, type) or kind is types.NoneType or issubclass(kind, Mapping)
    return [] if is_open else [kind]


def _has(kind: type, name: str) -> bool:
    return hasattr(kind, name) or (is_dataclass(kind) and name in kind.__dataclass_fields__)


def _attribute_of(kind: type, name: str) -> Any:
    found = getattr(kind, name, None)
    if isinstance(found, property):
        return get_type_hints(found.fget).get("return")
    known = _hints(kind).get(name)
    return get_args(known)[0] if get_origin(known) is Mapped else known


def _each(kind: Any) -> Any:
    """Return what a loop over it yields."""
    origin, parts = get_origin(kind), get_args(kind)
    is_row = isinstance(origin, type) and issubclass(origin, Collection) and (origin is not tuple or parts[-1] is ...)
    return parts[0] if is_row and parts else None


def _item(kind: Any) -> Any:
    origin = get_origin(kind)
    return get_args(kind)[1] if isinstance(origin, type) and issubclass(origin, Mapping) else _each(kind)


def _misread(templates: Environment, screens: Collection[type[Screen]]) -> list[str]:
    reader = Reader(templates)
    for screen in screens:
        reader.read(screen.template, _fields(screen))
    return sorted(reader.found)


def test_a_screen_has_what_its_template_takes_and_nothing_else() -> None:
    """Whatever a template extends, includes and imports belongs to it."""
    assert _names_that_differ(_ENVIRONMENT, _screens()) == [], (
        "Give the screen a field for each name that its template, or what that includes, takes, and no other."
    )


def test_each_template_has_a_screen_or_is_a_part_of_one_that_has() -> None:
    """What nobody renders and nobody includes is dead."""
    assert _templates_without_a_screen(_ENVIRONMENT, _screens()) == [], "Name it in a screen, include it, or remove it."


def test_each_screen_has_a_template_of_its_own() -> None:
    """Two for one template would each be compared with half of what it takes."""
    assert len(_screens()) > 25
    assert _screens_without_a_template(_ENVIRONMENT, _screens()) == []


def test_each_template_says_which_screen_it_is_given() -> None:
    """Whoever reads it finds there what the names are."""
    said = {
        each.template: f"Context: `{each.__name__}` in {each.__module__.replace('.', '/')}.py." for each in _screens()
    }
    silent = [name for name, words in said.items() if words.replace("in tocsin/", "in ") not in _source(name)]
    assert silent == [], "Say “Context: `TeamScreen` in web/teams.py.” in the comment at the head, of its own screen."


def test_what_templates_read_of_a_value_is_there() -> None:
    """A name that is written wrongly fails here, and not on the way through the page that no test takes."""
    assert _misread(_ENVIRONMENT, _screens()) == [], "The type of what a screen gives has no such name."


def test_what_stands_around_pages_is_used() -> None:
    """The shell has nothing that no template reads: `root` is for addresses in it, `in_sheet` for how it is made."""
    everything = "".join(_source(name) for name in _ENVIRONMENT.list_templates())
    assert [name for name in _fields(Shell) if f"shell.{name}" not in everything] == ["root", "in_sheet"]  # type: ignore[arg-type]


def _source(name: str) -> str:
    assert _ENVIRONMENT.loader is not None
    return _ENVIRONMENT.loader.get_source(_ENVIRONMENT, name)[0]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a sample."""

    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Screen):
    """A screen that is no part of the product."""

    template: ClassVar = "sample.html"
    line: Line
    lines: list[Line]
    pairs: list[tuple[str, Line | None]]


def _sample(**templates: str) -> Environment:
    return Environment(loader=DictLoader({f"{name}.html": text for name, text in templates.items()}))


_GOOD = """{% import "part.html" as part with context %}{% set first = lines[0] %}{{ line.words }}{{ first.words }}
{%- for one in lines %}{{ loop.index }}{% include "row.html" %}{% endfor %}
{%- for name, two in pairs if two %}{{ name }}{{ two.words }}{% endfor %}{% block b %}{{ first.words }}{% endblock %}"""
_PART = "{% macro say(what) %}{{ what.anything }}{{ shell.path }}{% endmacro %}"
_ROW = "{{ one.words }}"


def test_a_good_sample_has_no_fault() -> None:
    templates = _sample(sample=_GOOD, part=_PART, row=_ROW)
    assert _names_that_differ(templates, [Sample]) == []
    assert _misread(templates, [Sample]) == []
    assert _templates_without_a_screen(templates, [Sample]) == []
    assert _screens_without_a_template(templates, [Sample]) == []


def test_each_kind_of_fault_is_found() -> None:
    """The tests above are of use only if they can fail."""
    lacking = _sample(sample=_GOOD + "{{ nowhere }}", part=_PART + "{{ lost }}", row=_ROW)
    assert _names_that_differ(lacking, [Sample]) == ["Sample lacks lost", "Sample lacks nowhere"]
    unused = _sample(sample=_GOOD.replace("{{ line.words }}", ""), part=_PART, row=_ROW)
    assert _names_that_differ(unused, [Sample]) == ["Sample.line is not used"]
    assert _templates_without_a_screen(_sample(sample="", more=""), [Sample]) == ["more.html"]
    assert _screens_without_a_template(_sample(other=""), [Sample]) == ["Sample"]
    assert _screens_without_a_template(_sample(sample=""), [Sample, Sample]) == ["Sample", "Sample"]
    for right, wrong in (
        ("{{ line.words", "{{ line.wrods"),
        ("{{ first.words }}\n", "{{ first.wrods }}\n"),
        ("{{ two.words", "{{ two.wrods"),
        ("b %}{{ first.words", "b %}{{ first.wrods"),
    ):
        assert right in _GOOD
        assert _misread(_sample(sample=_GOOD.replace(right, wrong), part=_PART, row=_ROW), [Sample]) == [
            "sample.html: Line.wrods"
        ]
    assert _misread(_sample(sample=_GOOD, part=_PART, row="{{ one.wrods }}"), [Sample]) == ["row.html: Line.wrods"]
    assert _misread(_sample(sample=_GOOD, part=_PART + "{{ shell.path.x }}", row=_ROW), [Sample]) == [
        "part.html: str.x"
    ]
    macro = _sample(sample=_GOOD + "{{ part.sya(line) }}", part=_PART, row=_ROW)
    assert _misread(macro, [Sample]) == ["sample.html: part.sya"]
    after = _sample(sample=_GOOD + "{{ one.words }}", part=_PART, row=_ROW)
    assert _misread(after, [Sample]) == ["sample.html: one"]
    assert _hints(Bare)["path"] is str
