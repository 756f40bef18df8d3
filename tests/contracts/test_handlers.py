"""A handler reads what was sent, opens the transaction, calls one use case and shows what came of it.

So what is done stands in one place, whoever asks for it, by a page or by the API. The calls are counted in the source:
on the way through a handler that has the most of them, what it calls in `web` and `api` and what it hands on included.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from textwrap import dedent

import pytest

import tocsin

ROOT = Path(tocsin.__file__).parent
_READING, _CHANGING = {"get", "route"}, {"post", "put", "patch", "delete"}
# Use cases that stand beside a `service`.
_SERVICES = ("tocsin.notifications.arriving", "tocsin.notifications.telling")
# What all handlers are made with: forms that were sent twice, keys of idempotency, what stands around a page.
_MACHINERY = ("tocsin.web.base", "tocsin.api.base")

# They change nothing: what a page shows, and what a form is checked against.
_LOOKS: Mapping[str, frozenset[str]] = {
    "tocsin.alerts.service": frozenset({"coming_back", "known_labels", "try_condition", "uses_of_policy"}),
    "tocsin.identity.service": frozenset({"needs_set_up"}),
    "tocsin.incidents.service": frozenset(
        {
            *(
                "as_seen",
                "explain_alert",
                "list_grants",
                "needs_of",
                "prefill",
                "read_comment",
                "read_link",
                "read_page",
            ),
            *("read_revisions", "read_sharing", "what_it_opens"),
        }
    ),
    "tocsin.incidents.service.notes": frozenset({"read_note", "read_note_revisions"}),
    "tocsin.oncall.service": frozenset({"describe_fallback", "foretell", "going", "what_follow", "what_follows"}),
}

# How many use cases a handler may call that is not as all others are, and why.
_EXCEPTIONS: Mapping[str, tuple[int, str]] = {
    "tocsin.api.contact_methods.preview_webhook_body": (0, "shows what would be sent, and saves nothing"),
    "tocsin.web.settings.pages.set_appearance": (0, "is kept by the browser, and nowhere else"),
    "tocsin.web.inbox.pages.open_news": (1, "a link, as every row has one; what it leads to is read by being opened"),
    "tocsin.api.alert_routes.test_condition": (0, "shows what a condition would have taken, and saves nothing"),
}

# Statements of a handler that changes something, its branches included.
_LONGEST = 11

Count = int


@dataclass
class Module:
    """One module of a surface: its functions, and what the names in it lead to."""

    name: str
    functions: dict[str, ast.AsyncFunctionDef | ast.FunctionDef] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    names: dict[str, tuple[str, str]] = field(default_factory=dict)
    # What tables and declarations make handlers of: its name here, what it calls, and whether it changes something.
    made: list[tuple[str, ast.expr, bool]] = field(default_factory=list)


@cache
def _surfaces() -> dict[str, Module]:
    found: dict[str, Module] = {}
    for path in sorted([*(ROOT / "web").rglob("*.py"), *(ROOT / "api").rglob("*.py")]):
        name = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
        found[name] = _read(name, path.read_text())
    return found


def _read(name: str, source: str) -> Module:
    module, tree = Module(name), ast.parse(source)
    module.made = list(_made(tree))
    for node in tree.body:
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
            module.functions[node.name] = node
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tocsin."):
            for each in node.names:
                alias, whole = each.asname or each.name, f"{node.module}.{each.name}"
                if _is_module(whole):
                    module.modules[alias] = whole
                else:
                    module.names[alias] = (str(node.module), each.name)
    return module


# Where the parts of a `Resource` take what they call, and whether they change something.
_PARTS = {
    "list": (0, False),
    "list_of": (1, False),
    "get": (0, False),
    "create": (1, True),
    "edit": (2, True),
    "replace": (2, True),
    "delete": (0, True),
    "action": (1, True),
}


def _made(tree: ast.Module) -> Iterator[tuple[str, ast.expr, bool]]:
    """Find the rows of tables of actions (`web.base.actions`) and the parts of resources (`api.base.resource`)."""
    resources: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id="Resource"))):
                resources.add(name)
            case ast.Call(func=ast.Name(id="Action"), args=[verb, run, *_]):
                yield f"Action({ast.unparse(verb)})", run, True
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=part), args=args) if (
                name in resources and part in _PARTS
            ):
                at, is_changing = _PARTS[part]
                yield f"{name}.{part}({ast.unparse(args[at])})", args[at], is_changing
            case _:
                pass


@cache
def _is_module(name: str) -> bool:
    path = ROOT.parent.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def _is_service(module: str) -> bool:
    return "service" in module.split(".") or module in _SERVICES


class Counter:
    """Counts the use cases on the longest way through a function."""

    def __init__(self, surfaces: Mapping[str, Module]) -> None:
        self._surfaces = surfaces
        self._known: dict[tuple[str, str], Count] = {}
        self.seen: set[tuple[str, str]] = set()

    def of(self, module: str, function: str) -> Count:
        key = (module, function)
        if key not in self._known:
            # What calls itself counts once.
            self._known[key] = 0
            body = self._surfaces[module].functions[function].body
            self._known[key] = self._block(self._surfaces[module], body)
        return self._known[key]

    def inside(self, module: str, node: ast.expr) -> Count:
        return self._inside(self._surfaces[module], node)

    def _named(self, module: str, function: str) -> Count:
        if module.startswith(_MACHINERY):
            return 0
        if module in self._surfaces and function in self._surfaces[module].functions:
            return self.of(module, function)
        if not _is_service(module):
            return 0
        self.seen.add((module, function))
        is_look = any(module.startswith(of) and function in looks for of, looks in _LOOKS.items())
        return int(inspect.iscoroutinefunction(getattr(importlib.import_module(module), function)) and not is_look)

    def _block(self, module: Module, body: Sequence[ast.stmt]) -> Count:
        found = 0
        for at, statement in enumerate(body):
            if isinstance(statement, ast.If | ast.Match):
                rest = self._block(module, body[at + 1 :])
                return found + self._fork(module, statement, rest)
            found += self._statement(module, statement)
            if _ends([statement]):
                break
        return found

    def _fork(self, module: Module, statement: ast.If | ast.Match, rest: Count) -> Count:
        if isinstance(statement, ast.If):
            asked, ways = statement.test, [statement.body, statement.orelse]
        else:
            asked, ways = statement.subject, [*(case.body for case in statement.cases), []]
        return self._inside(module, asked) + max(self._block(module, way) + (0 if _ends(way) else rest) for way in ways)

    def _statement(self, module: Module, statement: ast.stmt) -> Count:
        match statement:
            case ast.Try():
                done = self._block(module, [*statement.body, *statement.orelse])
                # What failed has changed nothing.
                mended = max((self._block(module, each.body) for each in statement.handlers), default=0)
                return max(done, mended) + self._block(module, statement.finalbody)
            case ast.With() | ast.AsyncWith():
                opened = sum(self._inside(module, item.context_expr) for item in statement.items)
                return opened + self._block(module, statement.body)
            case ast.For() | ast.AsyncFor():
                return self._inside(module, statement.iter) + 2 * self._block(module, statement.body)
            case ast.While():
                return 2 * (self._inside(module, statement.test) + self._block(module, statement.body))
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                return self._block(module, statement.body)
            case _:
                return self._inside(module, statement)

    def _inside(self, module: Module, node: ast.AST) -> Count:
        match node:
            case ast.IfExp():
                ways = (self._inside(module, node.body), self._inside(module, node.orelse))
                return self._inside(module, node.test) + max(ways)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                return 2 * self._children(module, node)
            case ast.Name(id=name) if name in module.functions:
                return self.of(module.name, name)
            case ast.Name(id=name) if name in module.names:
                return self._named(*module.names[name])
            case ast.Attribute(value=ast.Name(id=alias), attr=name) if alias in module.modules:
                return self._named(module.modules[alias], name)
            case _:
                return self._children(module, node)

    def _children(self, module: Module, node: ast.AST) -> Count:
        return sum(self._inside(module, child) for child in ast.iter_child_nodes(node))


def _ends(body: Sequence[ast.stmt]) -> bool:
    """Say whether nothing behind this is reached."""
    if not body:
        return False
    match body[-1]:
        case ast.Return() | ast.Raise():
            return True
        case ast.With() | ast.AsyncWith():
            return _ends(body[-1].body)
        case ast.If():
            return _ends(body[-1].body) and _ends(body[-1].orelse)
        case _:
            return False


def _handlers(surfaces: Mapping[str, Module]) -> Iterator[tuple[str, str, bool]]:
    """Every handler: its module, its name, and whether it changes something."""
    for module in surfaces.values():
        for name, function in module.functions.items():
            for decorator in function.decorator_list:
                called = decorator.func if isinstance(decorator, ast.Call) else decorator
                verb = called.id if isinstance(called, ast.Name) else ""
                if verb in _READING | _CHANGING:
                    yield module.name, name, verb in _CHANGING


def _counted(counter: Counter, surfaces: Mapping[str, Module]) -> dict[str, tuple[Count, bool]]:
    """Count for every handler, written by hand or made of a table; with whether it changes something."""
    found = {
        f"{module}.{name}": (counter.of(module, name), is_changing) for module, name, is_changing in _handlers(surfaces)
    }
    for module in surfaces.values():
        for name, called, is_changing in module.made:
            found[f"{module.name}.{name}"] = counter.inside(module.name, called), is_changing
    return found


def test_a_handler_calls_one_use_case() -> None:
    """C2: what changes something calls one, on every way through it; what only shows something calls none."""
    surfaces = _surfaces()
    counted = _counted(Counter(surfaces), surfaces)
    wrong = {
        name: found
        for name, (found, is_changing) in counted.items()
        if found != _EXCEPTIONS.get(name, (int(is_changing), ""))[0]
    }
    assert wrong == {}, (
        "Handlers by how many use cases they call: what changes something calls one, what shows something calls none. "
        "Make one use case of two, or one that checks who may; what is right otherwise stands in `_EXCEPTIONS`."
    )
    assert sum(is_changing for _, is_changing in counted.values()) > 100


def test_a_handler_that_changes_something_is_read_at_a_glance() -> None:
    """C2: what is long in it belongs into the use case."""
    surfaces = _surfaces()
    long = {
        f"{module}.{name}": number
        for module, name, is_changing in _handlers(surfaces)
        if is_changing and (number := _statements(surfaces[module].functions[name])) > _LONGEST
    }
    assert long == {}, f"More than {_LONGEST} statements: move what decides into the use case."


def _statements(function: ast.AST) -> int:
    # Neither the function itself nor its docstring.
    return sum(isinstance(node, ast.stmt) for node in ast.walk(function)) - 2


def test_no_exception_is_left_that_nobody_needs() -> None:
    """The lists above can only shrink; what is said to change nothing writes nothing itself."""
    surfaces = _surfaces()
    counter = Counter(surfaces)
    counted = _counted(counter, surfaces)
    assert {each for each in _EXCEPTIONS if counted[each][0] == int(counted[each][1])} == set()
    used = {name for _, name in counter.seen}
    assert {name for names in _LOOKS.values() for name in names} - used == set()
    writing = ("emit(", "lock_", ".add(", ".flush(", "enqueue", "insert(", "update(", "delete(")
    for module, names in _LOOKS.items():
        for name in names:
            source = inspect.getsource(getattr(importlib.import_module(module), name))
            assert not [word for word in writing if word in source], name


def test_a_surface_locks_and_writes_nothing_itself() -> None:
    """C2: a row is locked, and a session asked for, by use cases and queries alone."""
    found: list[str] = []
    for name, module in _surfaces().items():
        if name.startswith(_MACHINERY) or name.endswith(".queries"):
            continue
        for function in module.functions.values():
            for node in ast.walk(function):
                match node:
                    case ast.Attribute(value=ast.Name(id="tx"), attr="session" | "raw" as what):
                        found.append(f"{name}.{function.name}: tx.{what}")
                    case ast.Attribute(value=ast.Name(id=alias), attr=what) if (
                        alias in module.modules and what.startswith("lock")
                    ):
                        found.append(f"{name}.{function.name}: {alias}.{what}")
                    case _:
                        pass
    assert found == []


@pytest.mark.parametrize(
    ("body", "number"),
    [
        ("await incidents.join(tx, who, ref)", 1),
        ("await incidents.join(tx, who, ref)\nawait incidents.leave(tx, who, ref)", 2),
        ("for ref in refs:\n    await incidents.join(tx, who, ref)", 2),
        ("[await incidents.join(tx, who, ref) for ref in refs]", 2),
        ("if x:\n    await incidents.join(tx, who, ref)\nelse:\n    await incidents.leave(tx, who, ref)", 1),
        ("if x:\n    return await incidents.join(tx, who, ref)\nawait incidents.leave(tx, who, ref)", 1),
        ("if x:\n    await incidents.join(tx, who, ref)\nawait incidents.leave(tx, who, ref)", 2),
        ("match x:\n    case 1:\n        await incidents.join(tx)\n    case _:\n        await incidents.leave(tx)", 1),
        ("try:\n    await incidents.join(tx)\nexcept Conflict:\n    await incidents.leave(tx)", 1),
        ("await attempt(partial(again, who))", 1),
        ("await again(tx)\nawait again(tx)", 2),
        ("await incidents.explain_alert(tx, who, id)", 0),
        ("async with begin() as tx:\n    await incidents.join(tx)\nawait incidents.leave(tx)", 2),
    ],
)
def test_the_longest_way_counts(body: str, number: int) -> None:
    source = dedent("""
        from tocsin.incidents import service as incidents

        async def again(who, tx):
            await incidents.acknowledge(tx, who)

        async def handler():
        """) + "".join(f"    {line}\n" for line in body.splitlines())
    module = _read("made.up", source)
    assert Counter({"made.up": module}).of("made.up", "handler") == number
