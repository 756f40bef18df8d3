"""Conditions that users write, in CEL (https://cel.dev). Knows no Tocsin word; callers name the fields.

What a condition may cost is bounded before it ever runs, because a running one cannot be stopped:

- at most `MAX_LENGTH` characters; the parser itself refuses deep nesting;
- `all`, `exists`, `exists_one` and `filter` may be nested only as far as the estimated steps stay under
  `MAX_STEPS` (about a tenth of a second); `map`, and `+` inside of them, are refused because they make
  large lists from small ones;
- a regular expression is a literal of at most `MAX_PATTERN` characters, its counted repetitions are bounded,
  and it is compiled when the condition is. The engine has no backtracking.

The estimate takes every list and map of the context for one of at most `MAX_ENTRIES` entries. That, and keeping
texts to some 4,000 characters, is up to the caller: a pattern takes time in proportion to the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import cast

import cel

from tocsin.kit.errors import Invalid
from tocsin.kit.text import storable_json, truncate

MAX_LENGTH = 2_000
MAX_STEPS = 500_000
MAX_ENTRIES = 64
MAX_PATTERN = 200
_MAX_PATTERN_WEIGHT = 1_500

_MACROS = frozenset({"all", "exists", "exists_one", "existsOne", "filter"})
_FUNCTIONS = _MACROS | {
    *("size", "contains", "startsWith", "endsWith", "matches", "has", "type", "dyn"),
    *("string", "int", "uint", "double", "bytes", "timestamp", "duration"),
    *("getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth", "getDate", "getDayOfWeek"),
    *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
}

_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*)
      | (?P<triple>[A-Za-z]{0,2}(?:\"\"\"|'''))
      | (?P<raw>(?:[bB]?[rR]|[rR][bB])(?:"[^"]*"|'[^']*'))
      | (?P<string>[bB]?(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'))
      | (?P<name>[A-Za-z_][A-Za-z_0-9]*)
      | (?P<number>[0-9][0-9A-Za-z.]*)
      | (?P<sign>&&|\|\||[<>=!]=|[^\s])""",
    re.VERBOSE | re.DOTALL,
)
_FAULT = re.compile(r"<input>:(\d+):(\d+): (?:Syntax error: )?([^\n]*)")
_REPEAT = re.compile(r"\{(\d+)?(?:,(\d*))?\}")


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """The fields a condition may name, each with a value of the type it will have.

    With it, a misspelt field, a comparison of unlike types and a condition that is not true or false are
    found when the condition is compiled. Make one per kind of condition, at import: it is compared by identity.
    """

    sample: Mapping[str, object]


class Facts:
    """Values laid out for the engine once, for asking many conditions about them.

    Laying out costs some 20 µs, a condition then less than one; so whoever asks more than one makes these.
    Values are those of JSON and aware datetimes.
    """

    __slots__ = ("_context", "_fault")

    def __init__(self, values: Mapping[str, object]) -> None:
        self._context: cel.Context | None = None
        self._fault = ""
        try:
            self._context = cel.Context({name: _shallow(value) for name, value in values.items()})
        except (ArithmeticError, RuntimeError, TypeError, ValueError) as fault:
            self._fault = _first_sentence(fault)

    def run(self, program: cel.Program) -> object:
        """Evaluate for `Condition`; what cannot be decided comes back as a reason, never as an exception."""
        return _Undecided(self._fault) if self._context is None else _execute(program, self._context)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a condition holds and, when it could not be decided, why not."""

    matched: bool
    reason: str
    is_decided: bool = True


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition. Immutable, safe to share between threads."""

    text: str
    _program: cel.Program = field(repr=False, compare=False)
    _names: tuple[str, ...] = field(repr=False, compare=False)

    @classmethod
    def compile(cls, text: str, vocabulary: Vocabulary | None = None) -> Condition:
        """Read a condition; raises `Invalid("condition", …)` that says what is wrong and where.

        The last 2,048 conditions are kept, so asking again costs next to nothing.
        """
        return _compile(text, vocabulary)

    def explain(self, context: Mapping[str, object] | Facts) -> Outcome:
        """Say whether the condition holds, and why it does not when a value is missing or of a wrong type."""
        value = self._run(context)
        if isinstance(value, _Undecided):
            return Outcome(False, value.reason, is_decided=False)
        if not isinstance(value, bool):
            return Outcome(False, "The condition gives a value that is neither true nor false.", is_decided=False)
        return Outcome(value, "The condition is true." if value else "The condition is false.")

    def _run(self, context: Mapping[str, object] | Facts) -> object:
        if isinstance(context, Facts):
            return context.run(self._program)
        # Converting values costs more than evaluating, so only those the condition names are handed over.
        return _execute(self._program, {name: _shallow(context[name]) for name in self._names if name in context})


def _shallow(value: object) -> object:
    # The engine follows nested values on the C stack: 100,000 levels end the process. Labels are flat.
    if not isinstance(value, dict | list | tuple):
        return value
    each = cast("Iterable[object]", value.values() if isinstance(value, dict) else value)
    return storable_json(cast("object", value)) if any(type(one) is not str for one in each) else cast("object", value)


@dataclass(frozen=True, slots=True)
class _Undecided:
    reason: str
    of_type: bool = False


def _execute(program: cel.Program, context: dict[str, object] | cel.Context) -> object:
    try:
        return program.execute(context)
    except KeyError as fault:
        return _Undecided(f"There is no “{truncate(str(fault.args[0]), 80)}” in it.")
    except TypeError as fault:
        return _Undecided(f"Values of unlike types meet: {_first_sentence(fault)}", of_type=True)
    except (ArithmeticError, LookupError, RuntimeError, ValueError) as fault:
        return _Undecided(_first_sentence(fault))
    except BaseException as fault:
        # A panic of the Rust engine is no `Exception`; it must not end the process for a user's condition.
        if type(fault).__name__ != "PanicException":
            raise
        return _Undecided("The condition made the engine fail.")


def _first_sentence(fault: Exception) -> str:
    first = str(fault).split(". ")[0].replace("\n", " ").strip().rstrip(".")
    return truncate(first, 200) + "."


def _invalid(sentence: str) -> Invalid:
    return Invalid("condition", sentence, code="condition.invalid")


@lru_cache(maxsize=2_048)
def _compile(text: str, vocabulary: Vocabulary | None) -> Condition:
    if not text.strip():
        raise _invalid("Write a condition, for example severity <= 2.")
    if len(text) > MAX_LENGTH:
        raise _invalid(f"The condition is {len(text):,} characters long; at most {MAX_LENGTH:,} are allowed.")
    program = _parse(text)
    tokens = _tokens(text)
    _check_functions(program)
    _check_steps(tokens)
    bound = set(_bound_names(tokens))
    known = frozenset(vocabulary.sample if vocabulary else ())
    names = tuple(name for name in program.variables() if name in known or name not in bound)
    if vocabulary is None:
        if not names:
            _check_value(_execute(program, {}))
        return Condition(text, program, names)
    for name in names:
        if name not in known:
            fields = ", ".join(vocabulary.sample)
            raise _invalid(f"There is no field “{truncate(name, 60)}”. The fields are {fields}.")
    _check_value(_execute(program, {name: vocabulary.sample[name] for name in names}))
    return Condition(text, program, names)


def _parse(text: str) -> cel.Program:
    try:
        return cel.compile(text)
    except UnicodeError:
        raise _invalid("The condition holds a character that is not valid Unicode.") from None
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as fault:
        raise _invalid(_where(text, str(fault))) from None
    except BaseException as fault:
        if type(fault).__name__ != "PanicException":
            raise
        raise _invalid("The condition cannot be read.") from None


def _where(text: str, fault: str) -> str:
    """Turn the parser's complaint into a sentence that names the first place."""
    found = _FAULT.search(fault[len(text) :] if text in fault else fault)
    if not found:
        return "The condition cannot be read: it may be nested too deeply."
    line, column, problem = int(found[1]), int(found[2]), found[3]
    start = f"The condition cannot be read at line {line}, column {column}"
    if "Recursion limit" in problem:
        return f"{start}: it is nested too deeply."
    if "<EOF>'" in problem:
        return f"{start}: it ends too early."
    quoted = re.search(r"'(.*?)'(?: expecting|$)", problem)
    if not quoted:
        return f"{start}: {truncate(problem, 120).rstrip('.')}."
    word = quoted[1].strip()
    hint = {
        "and": " Write && for “and”.",
        "or": " Write || for “or”.",
        "not": " Write ! for “not”.",
        "=": " Write == to compare.",
    }.get(word, "")
    return f"{start}: “{truncate(word, 60)}” is not expected here.{hint}"


def _tokens(text: str) -> list[tuple[str, str]]:
    found = [(m.lastgroup or "", m[0]) for m in _TOKEN.finditer(text) if m.lastgroup != "comment"]
    if any(kind == "triple" for kind, _ in found):
        raise _invalid("Write texts in single or double quotes, not in triple ones.")
    return found


def _check_functions(program: cel.Program) -> None:
    for name in program.functions():
        if name == "map":
            raise _invalid("“map” cannot be used in a condition; use all, exists or filter.")
        if name[0].isalpha() and name not in _FUNCTIONS:
            raise _invalid(f"There is no function “{truncate(name, 60)}”.")


def _bound_names(tokens: list[tuple[str, str]]) -> list[str]:
    """List the names that all, exists and filter bring with them."""
    return [
        tokens[at + 2][1]
        for at, ((_, first), (_, second)) in enumerate(pairwise(tokens))
        if first in _MACROS and second == "(" and at + 2 < len(tokens)
    ]


def _check_steps(tokens: list[tuple[str, str]]) -> None:
    """Refuse a condition whose worst case is too much work.

    Invariant: `times` is how often the token at hand is evaluated at most, the product of the ranges of
    the macros it stands in. A range is a list of the context or one written out with commas.
    """
    entries = max(MAX_ENTRIES, 1 + sum(1 for _, text in tokens if text == ","))
    open_brackets: list[int] = []
    times = 1
    steps = 0
    for at, (kind, text) in enumerate(tokens):
        steps += times
        if kind == "name" and text == "map" and _is_called(tokens, at):
            raise _invalid("“map” cannot be used in a condition; use all, exists or filter.")
        if kind == "name" and text == "matches" and _is_called(tokens, at):
            steps += times * _pattern_weight(tokens, at)
        if kind == "name" and text == "filter" and _is_called(tokens, at):
            # The engine copies the list for every element that it keeps: quadratic.
            steps += times * entries * entries // 8
        if kind != "sign":
            continue
        if text == "(":
            factor = entries if at and tokens[at - 1][1] in _MACROS else 1
            open_brackets.append(factor)
            times *= factor
        elif text == ")" and open_brackets:
            times //= open_brackets.pop()
        elif text == "+" and times > 1:
            raise _invalid("Do not add inside all, exists or filter; compare the parts instead.")
        if steps > MAX_STEPS:
            break
    if steps > MAX_STEPS:
        raise _invalid("The condition may take too long: nest all, exists and filter less deeply.")


def _is_called(tokens: list[tuple[str, str]], at: int) -> bool:
    return at + 1 < len(tokens) and tokens[at + 1][1] == "("


def _pattern_weight(tokens: list[tuple[str, str]], at: int) -> int:
    """Check the pattern of `x.matches("…")` and estimate the steps it takes."""
    inside = tokens[at + 2 : at + 4]
    if len(inside) < 2 or inside[0][0] not in ("string", "raw") or inside[1][1] != ")":
        raise _invalid('Give matches one pattern in quotes, for example title.matches("^disk").')
    literal = inside[0][1]
    if len(literal) > MAX_PATTERN + 4:
        raise _invalid(f"A pattern for matches may have {MAX_PATTERN} characters at most.")
    # Written as an escape, the brace of a repetition would not be seen below.
    if re.search(r"\\[xXuU0-7]", literal):
        raise _invalid("Write the characters of a pattern themselves, not as \\x, \\u or octal numbers.")
    weight = len(literal)
    for least, most in _REPEAT.findall(literal):
        weight *= max(int(least or 0), int(most or 0), 1) if len(least) < 5 and len(most) < 5 else 100_000
    if weight > _MAX_PATTERN_WEIGHT:
        raise _invalid("The pattern for matches repeats too much; use smaller numbers in {…}.")
    trial = _execute(cel.compile(f'"".matches({literal})'), {})
    if isinstance(trial, _Undecided):
        raise _invalid(f"The pattern {truncate(literal, 60)} is not a valid regular expression.")
    # The engine compiles a pattern anew each time. Classes such as \w cover all of Unicode and make large programs:
    # "\w{90}" takes some 30 ms, plain letters take microseconds.
    return 200 + weight * (200 if re.search(r"[\\{?]", literal) else 5)


def _check_value(value: object) -> None:
    """Refuse what a trial shows to be wrong always; a label that the trial lacks shows nothing."""
    if isinstance(value, _Undecided):
        if value.of_type:
            raise _invalid(value.reason)
        return
    if not isinstance(value, bool):
        raise _invalid("The condition must be true or false; compare the value with something.")
