"""What a domain says of its jobs and reactions: all of it is registered, and what is registered exists."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

import tocsin
from tocsin import app
from tocsin.events.base import Event
from tocsin.events.reactions import On, Reaction, listeners, on
from tocsin.jobs.kinds import JobKind, Payload, UnknownJob
from tocsin.jobs.queue import LANES
from tocsin.kit.record import Record

ROOT = Path(tocsin.__file__).parent
# Who makes a `NewJob`: the kinds themselves, and the log for reactions.
_MAKERS = {"jobs/kinds.py", "events/log.py"}
DOMAINS = [importlib.import_module(f"tocsin.{path.parent.name}.jobs") for path in sorted(ROOT.glob("*/jobs.py"))]
HANDLED = {each.kind.name: each for each in app.JOBS}
ID = "0192d1f0-5c00-7000-8000-000000000001"
ACTOR = {"kind": "system", "name": "Tocsin", "id": None}


def _modules() -> Iterator[Any]:
    for found in pkgutil.walk_packages(tocsin.__path__, "tocsin."):
        if not found.name.endswith("__main__") and ".migrations." not in found.name:
            yield importlib.import_module(found.name)


def _kinds() -> dict[int, JobKind[Any]]:
    """Every kind of job that any module knows."""
    return {id(value): value for module in _modules() for value in vars(module).values() if isinstance(value, JobKind)}


def _reactions() -> list[On]:
    return [each for domain in DOMAINS for each in getattr(domain, "REACTIONS", ())]


def _events() -> list[type[Event]]:
    found: list[type[Event]] = []
    for event in Event.__subclasses__():
        found += [event, *event.__subclasses__()]
    return [event for event in found if event.__module__.startswith("tocsin.")]


def test_whatever_is_enqueued_is_done_by_somebody() -> None:
    """Jobs are made of kinds only, and each kind is registered once."""
    made = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "NewJob"
    }
    assert made == _MAKERS, "elsewhere a kind makes its job: `KIND.job(payload)`"
    kinds = _kinds()
    assert len(kinds) > 10
    assert {id(each.kind) for each in app.JOBS} == set(kinds), "a domain's JOBS has all its kinds, once"
    names = Counter(kind.name for kind in kinds.values())
    assert set(names.values()) == {1}, f"a name that two have: {names.most_common(1)}"
    assert len(app.JOBS) == len(kinds)
    assert {kind.lane for kind in kinds.values()} <= set(LANES)


def test_whatever_a_domain_exports_is_in_the_app() -> None:
    for domain in DOMAINS:
        assert domain.JOBS, domain.__name__
        assert {id(each) for each in domain.JOBS} <= {id(each) for each in app.JOBS}, domain.__name__
        assert set(getattr(domain, "PERIODIC", ())) <= set(app.PERIODIC), domain.__name__
        assert set(getattr(domain, "WAITS", ())) <= set(app.WAITS), domain.__name__
    assert listeners(_reactions(), app.JOBS) == app.LISTENERS
    scheduled = Counter(work.name for work in app.PERIODIC)
    assert set(scheduled) <= set(HANDLED) and set(scheduled.values()) == {1}


def test_whatever_is_reacted_to_can_happen_and_is_reacted_to() -> None:
    """An event that a reaction can read is one that it is registered for, and has a name of its own."""
    names = Counter(event.name for event in _events())
    assert set(names.values()) == {1}, f"a name that two have: {names.most_common(1)}"
    known = set(_events())
    registered = {(each.reaction.name, each.event) for each in _reactions()}
    assert {event for _, event in registered} <= known
    readable = {
        (kind.name, event)
        for kind in _kinds().values()
        if isinstance(kind, Reaction)
        for event in known
        if kind.reacts_to(event)
    }
    assert readable == registered


def test_a_reaction_says_why_it_may_run_twice() -> None:
    """A job is done at least once."""
    reactions = {each.reaction.name for each in _reactions()}
    written = {
        name: inspect.getdoc(inspect.getclosurevars(HANDLED[name].run).nonlocals["work"]) or "" for name in reactions
    }
    assert not {name for name, words in written.items() if "May run twice" not in words}


def test_whatever_waits_is_a_column() -> None:
    tables = Record.metadata.tables
    for waits in app.WAITS:
        assert set(waits.columns) <= set(tables[waits.table].columns.keys()), waits.table


def test_what_nobody_does_or_cannot_be_read_fails_at_the_import() -> None:
    """A mistake in a registration is not found by a page that never comes."""
    one, other = app.JOBS[0].kind, _reactions()[0]
    lonely: Reaction[Any] = Reaction("nobody.does_this", other.event)
    with pytest.raises(LookupError, match=r"nobody\.does_this"):
        listeners([on(other.event, lonely)], app.JOBS)
    stranger = next(event for event in _events() if not other.reaction.reacts_to(event))
    with pytest.raises(TypeError, match=stranger.name):
        on(stranger, other.reaction)
    assert one.name in HANDLED


def _caused(event: str, **fields: object) -> dict[str, Any]:
    common = {"actor": ACTOR, "alert_id": ID, "incident_id": ID}
    return {"event": event, "depth": 1, "fields": common | fields}


_DELIVERY = {"delivery_id": ID, "page_id": ID, "user_name": "Ada", "channel": "email", "error": "no", "attempt": 2}
_RUN = {"run_id": ID, "reason": "", "is_fallback": False}
# What 0.1.0 wrote into its jobs. Only ever added to: such a job may be found by every later version, and what a later
# version writes is done by 0.1.0 while the two run side by side.
WRITTEN_BY_0_1_0: list[tuple[str, dict[str, Any]]] = [
    ("alerts.route", {"alert_ids": [ID], "anew": True}),
    ("alerts.page_anew", {"alert_ids": [ID, ID]}),
    ("alerts.look_after", {}),
    ("alerts.sweep_signals", {}),
    ("identity.sweep", {}),
    ("oncall.advance", {"run_id": ID, "step": 2, "round": 1}),
    ("notifications.send", {"delivery_id": ID}),
    ("notifications.tell", {"user_id": ID}),
    ("oncall.give_up_on_page", _caused("page.failed", **_DELIVERY)),
    ("oncall.give_up_on_page", _caused("page.failed", **_DELIVERY | {"page_id": None})),
    ("oncall.try_other_ways", _caused("page.attempt_failed", **_DELIVERY, retry_after=5, refused=True)),
    ("incidents.stand_in", _caused("user.deactivated", user_id=ID, user_name="Ada")),
    ("incidents.stand_in", _caused("user.lost_rights", user_id=ID, user_name="Ada")),
    (
        "incidents.note_page",
        _caused(
            "page.started", run_id=ID, page_id=ID, user_id=ID, user_name="Ada", step=1, round=0, reason="",
            channels=["email"], wait_minutes=None, policy_name="Duty", is_direct=False, is_fallback=False,
        ),
    ),
    ("oncall.count_in_vain", _caused("escalation.unreached", **_RUN)),
    ("oncall.count_in_vain", _caused("escalation.exhausted", **_RUN)),
    ("alerts.note_news", _caused("alert.acknowledged", reason="")),
    ("alerts.note_news", _caused("alert.unacknowledged", reason="")),
    ("alerts.note_news", _caused("alert.resolved", reason="", over_at="")),
    ("incidents.note_news", _caused("incident.acknowledged", user_id=None, user_name="")),
    ("incidents.note_news", _caused("incident.responder_joined", user_id=ID, user_name="Ada", source="paged")),
    ("incidents.note_news", _caused("incident.resolved", old="fixing", note="", alerts_resolved=1,
                                    was_acknowledged=True)),
    ("incidents.note_news", _caused("incident.cancelled", old="fixing", reason="", note="", duplicate_of="")),
    ("incidents.note_news", _caused("incident.reopened", old="resolved", reason="", round=1, resolved_at="",
                                    resolution_note="", acknowledged_at="", mitigated_at="", closed_at="",
                                    cancelled_at="")),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "payload"), WRITTEN_BY_0_1_0)
def test_what_0_1_0_has_enqueued_is_read_and_it_reads_what_is_enqueued_now(kind: str, payload: dict[str, Any]) -> None:
    """Processes are replaced one after the other, and both versions do each other's jobs."""
    carried = HANDLED[kind].kind.read(msgspec.json.encode(payload).decode())
    fields = payload.get("fields", payload)
    assert carried.depth == (1 if "fields" in payload else 0)
    for name, value in fields.items():
        assert msgspec.to_builtins(getattr(carried.payload, name)) == value
    written_now = msgspec.json.decode(msgspec.json.encode(carried.payload))
    assert written_now.keys() >= fields.keys()


def test_no_job_of_0_1_0_is_missing_above() -> None:
    """All that were there then, and each event that they reacted to."""
    kinds = {kind for kind, _ in WRITTEN_BY_0_1_0}
    assert kinds <= set(HANDLED)
    newer = {
        "events.begin_month",
        "incidents.auto_close",
        "incidents.let_go_of_subscribers",
        "incidents.send_news",
        "incidents.sweep_inbox",
        "incidents.tell_followers",
        "incidents.watch_targets",
        "oncall.look_again",
        "incidents.remind",
        "notifications.send_reminder",
    }
    assert set(HANDLED) - kinds == newer, "a job that is newer: say so here"
    for each in _reactions():
        if each.reaction.name in kinds:
            assert (each.reaction.name, each.event.name) in {(kind, p.get("event")) for kind, p in WRITTEN_BY_0_1_0}


def test_a_reaction_to_an_event_of_a_later_version_is_left_to_it() -> None:
    known = HANDLED["oncall.look_again"].kind
    with pytest.raises(UnknownJob, match="was_renamed"):
        known.read(msgspec.json.encode(_caused("configuration.was_renamed", kind="user", id=ID)).decode())


def test_fields_of_a_later_version_are_passed_over() -> None:
    carried = HANDLED["notifications.send"].kind.read(f'{{"delivery_id": "{ID}", "later": 5}}')
    assert isinstance(carried.payload, Payload)
    assert msgspec.to_builtins(carried.payload) == {"delivery_id": ID}
    assert carried.payload.delivery_id == UUID(ID)  # pyright: ignore[reportAttributeAccessIssue]
