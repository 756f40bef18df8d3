"""Whatever is sent, an adapter answers with signals or with a `Problem` (F063, F064, F068)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.alerts.sources import ADAPTERS
from tocsin.alerts.sources.base import Parsed, Sample, as_text, hash_of
from tocsin.kit.errors import Invalid, Unreadable

KEY = b"k" * 32
GOOD: dict[str, bytes] = {
    "alertmanager": b'{"alerts":[{"status":"firing","labels":{"alertname":"A","x":"@"},"annotations":{"summary":"@"},'
    b'"fingerprint":"f","more":"@"}]}',
    "grafana": b'{"alerts":[{"status":"firing","labels":{"alertname":"@"},"fingerprint":"f"}],"title":"@","orgId":1}',
    "generic": b'{"title":"t @","key":"f","labels":{"x":"@"},"description":"@","more":"@"}',
    "pagerduty": b'{"routing_key":"' + KEY + b'","event_action":"trigger","dedup_key":"f","more":"@","payload":'
    b'{"summary":"s @","source":"@ x","severity":"error","custom_details":{"x":"@"}}}',
}


@pytest.mark.parametrize("kind", ADAPTERS)
@pytest.mark.parametrize(("severity", "level"), [("critical", 1), ("warning", 3)])
def test_what_is_sent_to_try_a_source_is_one_problem(
    kind: str, severity: Literal["critical", "warning"], level: int
) -> None:
    """F063: with its title and severity, the same again under its key, and by the credential where that is in it."""
    problem = Sample("Test alert “1”", severity, "try-1", KEY.decode(), datetime(2026, 11, 28, tzinfo=UTC))
    body = json.dumps(ADAPTERS[kind].sample(problem)).encode()
    parsed, again = (ADAPTERS[kind].parse(body, {}) for _ in range(2))
    (signal,) = parsed.signals
    assert (signal.title, signal.severity) == (problem.title, level)
    assert signal.dedup_key == again.signals[0].dedup_key
    assert parsed.routing_key in ("", KEY.decode()) and not parsed.rejected


def read(kind: str, body: bytes) -> Parsed | None:
    try:
        parsed = ADAPTERS[kind].parse(body, {})
    except (Invalid, Unreadable) as problem:
        status, answer = ADAPTERS[kind].refused(problem)
        assert 400 <= status < 500
        json.loads(answer)
        return None
    for signal in parsed.signals:
        texts = [signal.dedup_key, signal.title, signal.description, signal.native_severity]
        texts += [*signal.labels, *signal.labels.values()]
        texts += [text for each in signal.links for text in (each.href, each.text)]
        assert not any("\0" in text for text in texts)
        "".join(texts).encode()
        assert 1 <= signal.severity <= 5
        assert 0 < len(signal.dedup_key) <= 255
        assert len(signal.title) <= 1_024
        assert len(signal.labels) <= 64
    if parsed.signals:
        json.loads(ADAPTERS[kind].accepted(parsed)[1])
    return parsed


@pytest.mark.parametrize("kind", list(GOOD))
@pytest.mark.parametrize(
    "piece",
    [
        b"plain",
        b"\\u0000",
        b"\\ud800",
        b"\\udc00x",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"x" * 1_000_000,
        b"\\u00e9" * 10_000,
    ],
)
def test_a_hostile_text_does_not_lose_the_signal(kind: str, piece: bytes) -> None:
    parsed = read(kind, GOOD[kind].replace(b"@", piece))
    assert parsed is not None
    assert parsed.signals[0].dedup_key == "f"


@pytest.mark.parametrize("kind", list(GOOD))
def test_a_byte_order_mark_is_put_up_with(kind: str) -> None:
    assert read(kind, b"\xef\xbb\xbf" + GOOD[kind]) is not None


@pytest.mark.parametrize("kind", list(GOOD))
@pytest.mark.parametrize(
    "value", [b"1e999", b"-1e999", b"1" * 400, b"9" * 10_000, b"null", b"[]", b"{}", b"true", b"0.1", b'"2"']
)
def test_a_strange_value_in_another_field_does_not_lose_the_signal(kind: str, value: bytes) -> None:
    assert read(kind, GOOD[kind].replace(b'"more":"@"', b'"more":' + value).replace(b'"x":"@"', b'"x":' + value))


@pytest.mark.parametrize("kind", list(GOOD))
@pytest.mark.parametrize(
    "value", [b"1e999", b"null", b"[]", b"{}", b"true", b"[[1]]", b'{"a":{}}', b"1" * 5_000, b"NaN"]
)
def test_a_strange_value_in_any_field_is_no_crash(kind: str, value: bytes) -> None:
    for name in GOOD[kind].split(b'"')[1::2]:
        for text in (b'"f"', b'"@"', b'"A"', b'"' + name + b'"'):
            read(kind, GOOD[kind].replace(b":" + text, b":" + value))
            read(kind, b"[" + GOOD[kind].replace(b":" + text, b":" + value) + b",3]")


@pytest.mark.parametrize("kind", list(GOOD))
@pytest.mark.parametrize("depth", [500, 5_000, 500_000])
def test_deep_nesting_is_no_crash(kind: str, depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    objects = b'{"a":' * depth + b"1" + b"}" * depth
    for nested in (deep, objects, deep[:depth]):
        read(kind, nested)
        read(kind, GOOD[kind].replace(b'"@"', nested))


@pytest.mark.parametrize("kind", list(GOOD))
def test_of_a_field_given_twice_the_last_one_counts(kind: str) -> None:
    twice = GOOD[kind].replace(b'"f"', b'"first"', 1)
    name = b'"fingerprint"' if b'"fingerprint"' in twice else b'"dedup_key"' if b'"dedup_key"' in twice else b'"key"'
    parsed = read(kind, twice.replace(name + b':"first"', name + b':"first",' + name + b':"f"'))
    assert parsed is not None
    assert parsed.signals[0].dedup_key == "f"


@pytest.mark.parametrize("kind", list(GOOD))
@pytest.mark.parametrize("body", [b"", b" ", b"{", b"nul", b"\x00", b"{}{}", b'{"a"}', b"a=b&c=d", b"\xfe\xff\x00{"])
def test_what_is_not_json_is_unreadable(kind: str, body: bytes) -> None:
    with pytest.raises(Unreadable):
        ADAPTERS[kind].parse(body, {})


def test_kinds_and_names_agree() -> None:
    assert {kind: adapter.kind for kind, adapter in ADAPTERS.items()} == {kind: kind for kind in GOOD}
    assert len({adapter.label for adapter in ADAPTERS.values()}) == len(ADAPTERS)


def test_a_hash_does_not_depend_on_order() -> None:
    assert hash_of("t", {"a": "1", "b": "2"}) == hash_of("t", {"b": "2", "a": "1"})
    assert as_text(10**5_000) == "(a very large number)"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_NAMES = st.sampled_from(
    [
        "alerts",
        "status",
        "labels",
        "annotations",
        "fingerprint",
        "startsAt",
        "title",
        "key",
        "severity",
        "tags",
        "links",
        "url",
        "time",
        "urgency",
        "truncatedAlerts",
        "routing_key",
        "event_action",
        "dedup_key",
        "payload",
        "client_url",
        "images",
    ]
)
_WORDS = st.sampled_from(["firing", "resolved", "trigger", "resolve", "k" * 32, "critical", "http://x", "9" * 30])
_BODIES = st.dictionaries(_NAMES, _JSON | _WORDS | st.lists(st.dictionaries(_NAMES, _JSON | _WORDS), max_size=3))


@given(
    st.binary(max_size=200) | (_BODIES | st.lists(_BODIES, max_size=3) | _JSON).map(lambda v: json.dumps(v).encode())
)
@settings(max_examples=200, deadline=None)
def test_nothing_but_a_problem_is_raised(body: bytes) -> None:
    for kind in ADAPTERS:
        read(kind, body)
