"""The faults: what is changed in a module's syntax tree, one place at a time. No I/O."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
# What is said to operators and not to people, what only checks types, and what a session does by itself before it asks.
_UNTESTED = ("log.", "super().", "assert_never", "await tx.flush()", "await tx.session.flush()")


@dataclass(frozen=True, slots=True)
class Change:
    """One fault: the number of its place in the module, the lines of its statement, and what it does there.

    Is the statement in no function, it is run once, when the module is imported.
    """

    number: int
    first: int
    last: int
    what: str
    is_once: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    node: ast.AST
    what: str
    apply: Callable[[], None]


def changes(source: str) -> list[Change]:
    """List what can be changed in a module."""
    found: list[Change] = []
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inner = {id(node) for function in functions for part in function.body for node in ast.walk(part)}
    for number, (statement, place) in enumerate(_places(tree)):
        body = getattr(statement, "body", None)
        # Of a compound statement only its head: the tests that go through its body need not decide anything there.
        last = body[0].lineno - 1 if body else statement.end_lineno or statement.lineno
        if place.what.startswith("guard"):
            last = statement.lineno
        found.append(
            Change(number, statement.lineno, max(statement.lineno, last), place.what, id(statement) not in inner)
        )
    return found


def changed(source: str, number: int) -> ast.Module:
    """Return the module with one of its places changed."""
    tree = ast.parse(source)
    for at, (_, place) in enumerate(_places(tree)):
        if at == number:
            place.apply()
            return ast.fix_missing_locations(tree)
    raise LookupError(f"There is no place {number}.")


def _places(tree: ast.Module) -> Iterator[tuple[ast.stmt, _Place]]:
    for statement in _statements(tree.body):
        for place in _of_statement(statement):
            yield statement, place
        for node in _expressions(statement):
            for place in _of_expression(node):
                yield statement, place


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """All statements in the order of the text, but those for the type checker only."""
    for statement in body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            continue
        if isinstance(statement, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in statement.bases):
            continue
        yield statement
        for name in ("body", "orelse", "finalbody"):
            inner: list[ast.stmt] = getattr(statement, name, [])
            yield from _statements(inner)
        for part in [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
            yield from _statements(part.body)


def _expressions(statement: ast.stmt) -> Iterator[ast.AST]:
    """The expressions of a statement itself: not those of the statements in it, nor its annotations and decorators."""
    left_out = {"body", "orelse", "finalbody", "handlers", "cases", "annotation", "returns", "decorator_list", "bases"}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop(0)
        if node is not statement:
            yield node
        for name, value in ast.iter_fields(node):
            # A lambda's body and a conditional's branches are expressions and stay in.
            if name in left_out and isinstance(node, ast.stmt | ast.arg):
                continue
            waiting += [part for part in (value if isinstance(value, list) else [value]) if isinstance(part, ast.AST)]


def _of_statement(statement: ast.stmt) -> Iterator[_Place]:
    match statement:
        case ast.If(body=[*_, ast.Raise() | ast.Return() | ast.Continue() | ast.Break()], orelse=[]):
            yield _Place(
                statement, f"guard removed: if {_short(statement.test)}", lambda: _put(statement, "test", False)
            )
        # Of a constant the expression itself is changed.
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield _Place(statement, f"return None, not {_short(value)}", lambda: _put(statement, "value", None))
        case ast.Expr(value=ast.Call() | ast.Await() as value) if not _short(value, 500).startswith(_UNTESTED):
            yield _Place(statement, f"removed: {_short(value)}", lambda: _put(statement, "value", None))
        case ast.AugAssign(op=ast.Add() | ast.Sub()):
            other = ast.Sub() if isinstance(statement.op, ast.Add) else ast.Add()
            if not isinstance(statement.value, ast.List | ast.ListComp | ast.JoinedStr):
                yield _Place(statement, f"other sign: {_short(statement)}", lambda: setattr(statement, "op", other))
        case _:
            return


def _of_expression(node: ast.AST) -> Iterator[_Place]:
    match node:
        case ast.Compare():
            for at, operator in enumerate(node.ops):
                other = _COMPARISONS[type(operator)]()
                flipped = ast.Compare(node.left, [*node.ops[:at], other, *node.ops[at + 1 :]], node.comparators)
                yield _Place(
                    node,
                    f"{_short(node)} → {_short(flipped)}",
                    lambda at=at, other=other: node.ops.__setitem__(at, other),
                )
        case ast.UnaryOp(op=ast.Not()):
            # `not not x` is `x`.
            yield _Place(
                node,
                f"{_short(node)} → {_short(node.operand)}",
                lambda: setattr(node, "operand", ast.UnaryOp(ast.Not(), node.operand)),
            )
        case ast.BoolOp():
            other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield _Place(node, f"{_short(node)}: {type(other).__name__.lower()}", lambda: setattr(node, "op", other))
        case ast.IfExp():
            yield _Place(node, f"{_short(node)}: always", lambda: _put(node, "test", True))
            yield _Place(node, f"{_short(node)}: never", lambda: _put(node, "test", False))
        case ast.Constant(value=bool() as value):
            yield _Place(node, f"{value} → {not value}", lambda: setattr(node, "value", not value))
        case ast.Constant(value=int() as value):
            yield _Place(node, f"{value} → {value + 1}", lambda: setattr(node, "value", value + 1))
            if value > 1:
                yield _Place(node, f"{value} → {value - 1}", lambda: setattr(node, "value", value - 1))
        case _:
            return


def _put(node: ast.AST, name: str, value: bool | None) -> None:
    setattr(node, name, ast.Constant(value))


def _short(node: ast.AST, most: int = 70) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= most else text[: most - 1] + "…"
