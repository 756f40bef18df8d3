"""What real tools send, in every format: blanks, odd cases, hand-made JSON, words of their own (F063, F064, F068)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tocsin.alerts.sources import ADAPTERS
from tocsin.alerts.sources.base import Action, Parsed, Signal
from tocsin.alerts.sources.states import action_of, marked
from tocsin.kit.errors import Invalid, Unreadable, WrongType

KEY = "0123456789abcdef0123456789abcdef"
BLANKS = ("", " ", " \n ", "\t", "\u200b", "\u202e\u202c", "\u3164", None)
KINDS = ("alertmanager", "grafana", "generic", "pagerduty")
TRIGGER, ACKNOWLEDGE, RESOLVE = Action.TRIGGER, Action.ACKNOWLEDGE, Action.RESOLVE


def parse(kind: str, body: Any) -> Parsed:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ADAPTERS[kind].parse(raw, {})


def one(kind: str, body: Any) -> Signal:
    (signal,) = parse(kind, body).signals
    return signal


def message(kind: str, **fields: Any) -> dict[str, Any]:
    """Write a message of each format with the same things in it: title, key, status, severity, source."""
    said = {"title": "Disk is full", "key": "k", "status": "", "severity": "critical", "source": "db9"} | fields
    if kind == "generic":
        return {name: said[name] for name in ("title", "key", "status", "severity")}
    if kind == "pagerduty":
        payload = {"summary": said["title"], "source": said["source"], "severity": said["severity"]}
        payload["timestamp"] = "2026-03-01T10:00:00Z"
        action = {"resolved": "resolve", "acknowledged": "acknowledge", "": "trigger"}.get(
            said["status"], said["status"]
        )
        return {"routing_key": KEY, "event_action": action, "dedup_key": said["key"], "payload": payload}
    alert = {
        "status": said["status"] or "firing",
        "labels": {"alertname": "Disk", "instance": said["source"], "severity": said["severity"]},
        "annotations": {"summary": said["title"]},
        "fingerprint": said["key"],
    }
    return {"version": "4", "status": "firing", "alerts": [alert]}


# ---- blank is not present


@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_title_is_empty(kind: str, blank: str | None) -> None:
    body = message(kind, title=blank)
    if kind in ("generic", "pagerduty"):
        with pytest.raises(Invalid):
            parse(kind, body)
    else:
        assert one(kind, body).title == "Disk on db9"


@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_blank_severity_is_none(kind: str, blank: str | None) -> None:
    parsed = parse(kind, message(kind, severity=blank))
    (signal,) = parsed.signals
    assert (signal.severity, signal.urgency, signal.native_severity) == (3, "high", "")
    assert not any("not recognised" in note for note in parsed.notes)


@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_blank_key_is_none(kind: str, blank: str | None) -> None:
    first, again = (one(kind, message(kind, key=blank)) for _ in range(2))
    other = one(kind, message(kind, key=blank, title="Something else", source="db8"))
    assert len(first.dedup_key) == 64
    assert first.dedup_key == again.dedup_key != other.dedup_key


@pytest.mark.parametrize("blank", BLANKS)
def test_a_blank_field_gives_way_to_the_next_one(blank: str | None) -> None:
    """A template leaves fields blank, not null."""
    body = {
        "title": blank,
        "name": "Disk of db9 is full",
        "key": blank,
        "id": "e1",
        "severity": blank,
        "priority": "P1",
    }
    signal = one("generic", body | {"status": blank, "state": "resolved", "labels": {}, "tags": ["a:b"]})
    assert (signal.title, signal.dedup_key, signal.severity) == ("Disk of db9 is full", "e1", 1)
    assert (signal.action, signal.labels) == (RESOLVE, {"a": "b"})
    assert one("generic", {"summary": blank, "message": "Queue stands still"}).title == "Queue stands still"
    assert one("generic", {"title": blank, "description": f"{blank or ''}\nDisk full\nmore"}).title == "Disk full"


@pytest.mark.parametrize("kind", ["alertmanager", "grafana"])
@pytest.mark.parametrize("blank", BLANKS)
def test_a_blank_status_of_an_alert_gives_way_to_that_of_its_group(kind: str, blank: str | None) -> None:
    """It must not turn a resolve into a trigger."""
    alert = {"status": blank, "labels": {"alertname": "BlankOne", "job": blank}, "annotations": {"summary": blank}}
    body = {"status": "resolved", "alerts": [alert | {"annotations": {"summary": blank, "title": blank}}]}
    signal = one(kind, body)
    assert (signal.action, signal.title) == (RESOLVE, "BlankOne")
    assert one(kind, body | {"status": blank, "state": "ok"}).action is RESOLVE


@pytest.mark.parametrize("blank", BLANKS)
def test_an_event_for_pagerduty_needs_no_source(blank: str | None) -> None:
    """A push monitor sends its client only; what is answered with 400 is not sent again."""
    body = message("pagerduty", source=blank) | {"client": "Push monitor", "client_url": "https://mon.example/3"}
    signal = one("pagerduty", body)
    assert (signal.action, signal.severity, signal.labels["source"]) == (TRIGGER, 1, "Push monitor")
    del body["payload"]["source"]
    assert one("pagerduty", body).labels["source"] == "Push monitor"
    del body["client"]
    assert "source" not in one("pagerduty", body).labels


def test_the_details_stand_in_for_a_blank_summary() -> None:
    body = message("pagerduty", title=" \n ")
    body["payload"]["custom_details"] = {"description": "\nBackup did not report\nsince 4 h"}
    assert one("pagerduty", body).title == "Backup did not report"


@pytest.mark.parametrize("action", ["resolve", "acknowledge"])
@pytest.mark.parametrize("blank", BLANKS)
def test_a_blank_key_ends_nothing(action: str, blank: str | None) -> None:
    with pytest.raises(Invalid, match="dedup_key"):
        parse("pagerduty", message("pagerduty", status=action, key=blank))


def test_a_template_that_was_not_filled_in_is_not_present() -> None:
    body = {"title": "$EVENT_TITLE", "name": "Disk", "key": "${KEY}", "id": 7, "severity": "{{ severity }}", "level": 2}
    signal = one("generic", body | {"status": "{EVENT.STATUS}"})
    assert (signal.title, signal.dedup_key, signal.severity, signal.action) == ("Disk", "7", 2, TRIGGER)
    # As in the test message of such a tool: better than nothing. Money is no template.
    assert one("generic", {"title": "$EVENT_TITLE"}).title == "$EVENT_TITLE"
    assert one("generic", {"title": "$5 is too much", "name": "x"}).title == "$5 is too much"


# ---- states


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("word", "action"), [("{} ", None), (" {}", None), ("{}\n", None), ("\t{}", None)])
@pytest.mark.parametrize("state", ["resolved", "Resolved", "RESOLVED"])
def test_blanks_and_case_of_a_status_do_not_count(kind: str, word: str, action: None, state: str) -> None:
    spelt = state if kind != "pagerduty" else state[:-1]
    assert one(kind, message(kind, status=word.format(spelt))).action is RESOLVE


@pytest.mark.parametrize("word", ["Trigger", "TRIGGER", "trigger ", "Firing "])
def test_the_case_of_an_action_does_not_count(word: str) -> None:
    kind = "pagerduty" if "rigger" in word.lower() else "alertmanager"
    assert one(kind, message(kind, status=word)).action is TRIGGER


@pytest.mark.parametrize(
    ("word", "action"),
    [
        ("up", RESOLVE),
        ("Back to normal", None),
        ("upstream_down", None),
        ("backup_failed", None),
        ("update", None),
        ("updated", None),
        ("group", None),
        ("okay?", None),
        ("not resolved", None),
        ("unresolved", None),
        ("not ok", None),
        ("reopen", None),
        ("closed-loop", None),
        ("Re-Triggered", TRIGGER),
        ("No Data", TRIGGER),
        ("[FIRING:2]", TRIGGER),
        ("\u2705 Resolved!", RESOLVE),
        ("incident.resolved", RESOLVE),
        ("incident.acknowledged", ACKNOWLEDGE),
        ("Problem: OK", RESOLVE),
        ("problem", TRIGGER),
        ("status", None),
        ("resolved " * 20, None),
    ],
)
def test_a_state_is_a_whole_word(word: str, action: Action | None) -> None:
    assert action_of(word) is action


@pytest.mark.parametrize("word", ["upstream_down", "backup_failed", "update"])
def test_what_only_looks_like_the_end_ends_nothing(word: str) -> None:
    parsed = parse("generic", {"title": "x", "key": "k", "status": word})
    assert parsed.signals[0].action is TRIGGER
    assert parsed.notes == (f"status not recognised, taken as triggered: {word}",)
    with pytest.raises(Invalid):
        parse("alertmanager", message("alertmanager", status=word))


@pytest.mark.parametrize(
    ("title", "action", "rest"),
    [
        ("[Triggered] CPU high", TRIGGER, "CPU high"),
        ("[P1] [Recovered on {host:build-7}] CPU high", RESOLVE, "CPU high"),
        ("[RESOLVED] ", RESOLVE, "[RESOLVED] "),
        ("[eu-1] CPU high", None, "[eu-1] CPU high"),
        ("CPU [ok] high", None, "CPU [ok] high"),
        ("", None, ""),
    ],
)
def test_a_state_may_stand_before_the_title(title: str, action: Action | None, rest: str) -> None:
    assert marked(title) == (action, rest)


def test_a_title_says_how_it_stands_where_nothing_else_does() -> None:
    assert one("generic", {"title": "[OK] Queue depth", "key": "q"}).action is RESOLVE
    assert one("generic", {"title": "[OK] Queue depth", "key": "q", "status": "firing"}).action is TRIGGER


# ---- JSON made by hand


@pytest.mark.parametrize(
    ("kind", "body", "title"),
    [
        ("generic", b'{"title":"line1\nline2\ttab","key":"g11"}', "line1 line2 tab"),
        ("generic", b'{"title":"a\x07b\x00c\rd","key":"g11"}', "a\x07b\ufffdc d"),
        (
            "alertmanager",
            b'{"version":"4","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"RawBreak"},'
            b'"annotations":{"summary":"two\nlines"},"fingerprint":"a2"}]}',
            "two lines",
        ),
        (
            "grafana",
            b'{"orgId":1,"status":"firing","alerts":[{"labels":{"alertname":"x"},"annotations":{"summary":"two\r\nlines"}}]}',
            "two lines",
        ),
        (
            "pagerduty",
            b'{"routing_key":"' + KEY.encode() + b'","event_action":"trigger","payload":{"summary":"two\nlines",'
            b'"source":"h","severity":"error"}}',
            "two lines",
        ),
    ],
)
def test_raw_controls_in_a_text_are_read(kind: str, body: bytes, title: str) -> None:
    parsed = parse(kind, body)
    assert parsed.signals[0].title == title
    assert parsed.routing_key == (KEY if kind == "pagerduty" else "")


@pytest.mark.parametrize(
    "body",
    [
        b'{"routing_key": "%s", "event_action": "trigger", "payload": {"summary": "no end"',
        b'{"routing_key" : " %s ", "payload": {"summary": "a "quoted" word"}}',
        b'{"routing_key": "%s\n", "payload": {"summary": "raw\nbreak"}}',
    ],
)
def test_the_routing_key_of_a_broken_event_is_found(body: bytes) -> None:
    """What is refused is kept with its source, and the key names the source."""
    assert ADAPTERS["pagerduty"].routing_key(body % KEY.encode(), {}) == KEY
    assert ADAPTERS["pagerduty"].routing_key(b"{", {"x-routing-key": KEY}) == KEY


def test_a_wrong_type_is_refused_in_the_words_of_the_protocol() -> None:
    status, body = ADAPTERS["pagerduty"].refused(WrongType("Send JSON."))
    assert status == 415
    assert json.loads(body) == {
        "status": "Unrecognized object",
        "message": "Event object format is unrecognized",
        "errors": ["Send JSON."],
    }


# ---- Grafana


@pytest.mark.parametrize("name", ["DatasourceNoData", "DatasourceError"])
def test_a_rule_that_cannot_be_judged_is_named(name: str) -> None:
    labels = {"alertname": name, "rulename": "CPU of build hosts", "grafana_folder": "Infra"}
    body: dict[str, Any] = {"orgId": 1, "alerts": [{"status": "firing", "labels": labels, "annotations": {}}]}
    assert one("grafana", body).title == f"{name}: CPU of build hosts"
    # The annotations are the rule's own and speak of another problem.
    body["alerts"][0]["annotations"] = {"summary": "CPU is at 99 %"}
    signal = one("grafana", body)
    assert (signal.title, signal.description) == (f"{name}: CPU of build hosts", "CPU is at 99 %")
    labels["alertname"] = "CPU"
    assert one("grafana", body).title == "CPU is at 99 %"


LEGACY = {
    "title": "[Alerting] Queue depth",
    "ruleName": "Queue depth",
    "ruleUrl": "https://g.example/d/1",
    "state": "alerting",
    "message": "depth is high",
    "evalMatches": [{"metric": "depth", "value": 900}],
    "tags": {"team": "queue", "severity": "critical"},
    "ruleId": 7,
    "orgId": 1,
}


def test_the_body_of_an_older_grafana_is_read() -> None:
    signal = one("grafana", LEGACY)
    assert (signal.action, signal.dedup_key, signal.title) == (TRIGGER, "rule-1-7", "Queue depth")
    assert (signal.severity, signal.labels["team"]) == (1, "queue")
    assert signal.description == "depth is high\n\ndepth: 900"
    assert [link.href for link in signal.links] == ["https://g.example/d/1"]


def test_the_end_of_an_older_grafanas_rule_finds_its_problem() -> None:
    over = {"title": "[OK] Queue depth", "ruleName": "Queue depth", "ruleId": 7, "orgId": 1}
    for body in (over | {"state": "ok"}, over | {"state": "OK "}, over):
        assert (one("grafana", body).action, one("grafana", body).dedup_key) == (RESOLVE, "rule-1-7")
    assert one("grafana", over | {"ruleId": 8}).dedup_key != "rule-1-7"
    assert one("grafana", LEGACY | {"state": "no_data"}).action is TRIGGER


@pytest.mark.parametrize("state", ["pending", "paused"])
def test_a_rule_that_waits_says_nothing(state: str) -> None:
    parsed = parse("grafana", LEGACY | {"state": state})
    assert (parsed.signals, parsed.rejected) == ((), ())
    with pytest.raises(Invalid):
        parse("grafana", LEGACY | {"state": "banana"})


# ---- tools with words of their own


def test_the_default_template_of_datadog_is_one_alert() -> None:
    """Each of its messages has an id of its own."""
    about = {"event_type": "query_alert_monitor", "org": {"id": "1", "name": "x"}, "date": "1", "last_updated": "1"}
    fired = one("generic", about | {"id": "41", "title": "[Triggered] CPU high on build-7", "body": "avg over 5m"})
    again = one("generic", about | {"id": "42", "title": "[Re-Triggered] CPU high on build-7"})
    over = one("generic", about | {"id": "43", "title": "[Recovered] CPU high on build-7"})
    other = one("generic", about | {"id": "44", "title": "[Triggered] CPU high on build-8"})
    assert fired.dedup_key == again.dedup_key == over.dedup_key != other.dedup_key
    assert (fired.action, again.action, over.action, fired.title) == (TRIGGER, TRIGGER, RESOLVE, fired.title)


def test_the_transition_and_the_key_of_datadog_count_where_they_are_sent() -> None:
    common = {"event_type": "query_alert_monitor", "aggreg_key": "abc"}
    fired = one("generic", common | {"id": "41", "title": "[Triggered] CPU high", "alert_transition": "Triggered"})
    over = one("generic", common | {"id": "42", "title": "[Recovered] CPU", "alert_transition": "Recovered"})
    assert (fired.dedup_key, over.dedup_key, fired.action, over.action) == ("abc", "abc", TRIGGER, RESOLVE)
    unfilled = common | {"title": "[Recovered] CPU", "alert_transition": "$ALERT_TRANSITION", "tags": "env:prod,host:a"}
    assert one("generic", unfilled).action is RESOLVE
    assert one("generic", unfilled).labels == {"env": "prod", "host": "a"}
    assert one("generic", common | {"title": "x", "alert_transition": "No Data"}).action is TRIGGER


def test_an_id_is_the_key_for_everybody_else() -> None:
    fired = one("generic", {"id": 5, "title": "[FIRING] Disk"})
    assert fired.dedup_key == one("generic", {"id": "5", "status": "resolved"}).dedup_key == "5"


PROBLEM = {"clock": 1774958400, "ns": 1, "value": 1, "eventid": 42, "name": "Disk of db9 is full", "severity": 5}


def test_the_end_of_a_zabbix_problem_finds_it() -> None:
    hosts = {"hosts": [{"host": "db9", "name": "DB 9"}], "tags": [{"tag": "team", "value": "db"}]}
    fired = one("generic", PROBLEM | hosts)
    over = one("generic", {"clock": 1774958460, "ns": 1, "value": 0, "eventid": 43, "p_eventid": 42})
    assert (fired.action, fired.dedup_key, fired.severity, fired.title) == (TRIGGER, "42", 1, "Disk of db9 is full")
    assert fired.labels == {"host": "db9", "team": "db"}
    assert (over.action, over.dedup_key) == (RESOLVE, "42")
    assert over.said_at is not None and fired.said_at is not None and over.said_at > fired.said_at


@pytest.mark.parametrize(("level", "severity"), [(0, 3), (1, 5), (2, 3), (3, 3), (4, 2), (5, 1), ("5", 1)])
def test_the_severities_of_zabbix_run_the_other_way(level: object, severity: int) -> None:
    assert one("generic", PROBLEM | {"severity": level}).severity == severity


def test_an_end_with_an_id_of_its_own_names_its_problem() -> None:
    fired = one("generic", {"event_id": "42", "title": "Disk", "status": "PROBLEM"})
    over = one("generic", {"event_id": "43", "problem_id": "42", "title": "Disk", "status": "RESOLVED"})
    assert (fired.dedup_key, over.dedup_key, over.action) == ("42", "42", RESOLVE)


def pipeline(number: int, status: str, ref: str = "main") -> dict[str, Any]:
    project = {"path_with_namespace": "web/shop", "web_url": "https://git.example/web/shop"}
    return {
        "object_kind": "pipeline",
        "object_attributes": {"id": number, "ref": ref, "status": status},
        "project": project,
    }


def job(number: int, status: str, name: str = "deploy") -> dict[str, Any]:
    about = {"object_kind": "build", "build_id": number, "build_name": name, "build_status": status, "ref": "main"}
    return about | {"project_name": "web/shop"}


@pytest.mark.parametrize("write", [pipeline, job])
def test_a_run_of_gitlab_that_succeeds_ends_what_an_earlier_one_opened(write: Any) -> None:
    failed, passed, other = (
        one("generic", write(31, "failed")),
        one("generic", write(32, "success")),
        write(33, "failed", "x"),
    )
    assert (failed.action, passed.action) == (TRIGGER, RESOLVE)
    assert failed.dedup_key == passed.dedup_key != one("generic", other).dedup_key
    assert "web/shop" in failed.title


@pytest.mark.parametrize("status", ["running", "pending", "canceled", "skipped"])
def test_a_run_of_gitlab_that_goes_on_says_nothing(status: str) -> None:
    """GitLab switches off what answers with an error."""
    parsed = parse("generic", pipeline(31, status))
    assert (parsed.signals, parsed.rejected, len(parsed.notes)) == ((), (), 1)


# ---- batches


@pytest.mark.parametrize(
    "body",
    [
        [{"title": "a", "key": "a"}, {"title": "b", "key": "b", "status": "ok"}],
        {"events": [{"title": "a", "key": "a"}, {"title": "b", "key": "b", "status": "ok"}]},
        {"version": 1, "alerts": [{"title": "a", "key": "a"}, {"title": "b", "key": "b", "status": "ok"}]},
        b'{"title": "a", "key": "a"}\n{"title": "b", "key": "b", "status": "ok"}\n',
        b'{"title": "a", "key": "a"}\r\n\r\n{"title": "b", "key": "b", "status": "ok"}',
    ],
)
def test_every_item_of_a_batch_is_read(body: Any) -> None:
    assert [(s.dedup_key, s.action) for s in parse("generic", body).signals] == [("a", TRIGGER), ("b", RESOLVE)]


def test_a_broken_line_does_not_harm_its_neighbours() -> None:
    parsed = parse("generic", b'{"title": "a", "key": "a"}\n{"title": \n{"title": "b", "key": "b"}')
    assert [signal.dedup_key for signal in parsed.signals] == ["a", "b"]
    assert [item.index for item in parsed.rejected] == [1]
    with pytest.raises(Unreadable):
        parse("generic", b"one\ntwo\nthree")


def test_one_object_with_a_list_in_it_is_one_signal() -> None:
    assert one("generic", {"title": "a", "events": [{"title": "b"}, {"title": "c"}]}).title == "a"


@pytest.mark.parametrize("kind", KINDS)
def test_a_title_is_one_line_and_no_longer_than_its_limit(kind: str) -> None:
    assert one(kind, message(kind, title="a\nb\r\n c\u2028d")).title == "a b c d"
    assert len(one(kind, message(kind, title="x" * 5_000)).title) == 1_024
    # What turns its direction stays: it is left out where the title is shown.
    assert one(kind, message(kind, title="abc \u202edwod\u202c")).title == "abc \u202edwod\u202c"
