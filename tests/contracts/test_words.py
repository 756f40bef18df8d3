"""Every event and every fact has words, each in one place; and no sentence of ours is written where a fact belongs."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints
from uuid import UUID

import msgspec
import pytest

import tocsin
from tocsin import events
from tocsin.events import facts, reasons, words
from tocsin.events.base import Event
from tocsin.events.facts import Fact, Why

SOURCE = Path(tocsin.__path__[0])
DOMAINS = ("incidents", "alerts", "oncall", "notifications", "identity", "events")


def classes(base: type[Any]) -> Iterator[type[Any]]:
    for kind in base.__subclasses__():
        yield kind
        yield from classes(kind)


def events_there_are() -> set[type[Event]]:
    for module in pkgutil.iter_modules(events.__path__, "tocsin.events."):
        importlib.import_module(module.name)
    return {kind for kind in classes(Event) if kind.__module__.startswith("tocsin.")}


def test_every_event_is_worded() -> None:
    """F075: a class whose module is in no list here is found as well."""
    missing = {kind.name for kind in events_there_are() - words.WORDS.keys()}
    assert not missing, f"Say in `WORDS`, beside the class, how it reads: {', '.join(sorted(missing))}"
    assert len({kind.name for kind in words.WORDS}) == len(words.WORDS), "two events have one name"


def test_the_words_of_an_event_stand_beside_it() -> None:
    for area in words._AREAS:
        strangers = {kind.name for kind in area.WORDS if kind.__module__ != area.__name__}
        assert not strangers, f"{area.__name__} words what is not its own: {strangers}"
        worded = re.findall(
            r"^    (\w+): ", Path(str(area.__file__)).read_text().partition("\nWORDS: ")[2], re.MULTILINE
        )
        assert len(set(worded)) == len(worded), f"{area.__name__} words something twice"


def test_an_event_that_two_areas_word_is_refused() -> None:
    area = words._AREAS[0].WORDS
    with pytest.raises(ValueError, match=r"worded twice: action_item\.completed, "):
        words.joined([area, area])


def test_every_fact_can_be_said_and_read_back() -> None:
    """What is in the union is read, what is a class may be written, what is in `SAID` has words: all three agree."""
    assert set(get_args(Why)) == set(classes(Fact)) == set(reasons.SAID)


@pytest.mark.parametrize("kind", sorted(reasons.SAID, key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__)
def test_a_fact_is_the_same_after_it_was_kept_and_is_said_in_words(kind: type[Fact]) -> None:
    made: dict[Any, Any] = {
        str: "Ada",
        int: 2,
        tuple[str, ...]: ("bad",),
        tuple[facts.NotAsked, ...]: (facts.NotAsked(UUID(int=1), "Ada", "unreachable"),),
        tuple[facts.Tried, ...]: (facts.Tried("Payments", "off"),),
    }
    hints = get_type_hints(kind)
    why: Any = kind(**{name: made.get(hints[name], "resolved") for name in kind.__struct_fields__})
    kept = msgspec.json.decode(msgspec.json.encode(facts.write(why)))
    assert facts.read(kept) == why
    said = reasons.said(why)
    assert (said and said[0].isupper()) or said[0] == "“"
    assert "_" not in said and "None" not in said


def test_what_only_a_newer_version_knows_is_not_said() -> None:
    assert facts.read({"is": "moon_is_full", "phase": 2}) is None
    assert reasons.said(None) == ""


def sentences_written(source: str) -> Iterator[int]:
    """The lines on which a literal, or text put together, is given for a reason."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            for given in node.keywords:
                literal = isinstance(given.value, ast.JoinedStr | ast.Constant | ast.BinOp | ast.IfExp)
                if given.arg in {"reason", "end_reason"} and literal and not _is_empty(given.value):
                    yield node.lineno


def _is_empty(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value in ("", None)


def test_a_sentence_that_is_written_is_seen() -> None:
    written = 'emit(Ended(reason=f"{who} left."))\nf(reason="It is over.")\ng(reason="")\nh(reason=said)'
    assert sorted(sentences_written(written)) == [1, 2]


def test_no_domain_writes_a_sentence_where_a_fact_belongs() -> None:
    """A reason that is text was written by a person, or by 0.1.0."""
    examples = {"notifications/channels/webhook/bodies.py"}
    found = [
        f"{path.relative_to(SOURCE)}:{line}"
        for domain in DOMAINS
        for path in sorted((SOURCE / domain).rglob("*.py"))
        if str(path.relative_to(SOURCE)) not in examples
        for line in sentences_written(path.read_text())
    ]
    assert not found, f"Give a fact of `events/facts.py` as `why` instead: {', '.join(found)}"
