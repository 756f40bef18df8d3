"""Alertmanager and Grafana bodies become signals (F063, F064, F068)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tocsin.alerts.sources import ADAPTERS
from tocsin.alerts.sources.base import Action, Link, Parsed, RejectedItem
from tocsin.kit.errors import Invalid, Unreadable

AM = ADAPTERS["alertmanager"]


def an_alert(**changes: Any) -> dict[str, Any]:
    return {
        "status": "firing",
        "labels": {"alertname": "HighErrorRate", "service": "checkout", "severity": "critical"},
        "annotations": {
            "summary": "Checkout error rate is above 5 %",
            "description": "7.3 % for 10 minutes",
            "runbook_url": "https://runbooks.example.com/checkout",
        },
        "startsAt": "2026-03-01T10:00:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=x",
        "fingerprint": "c3f7a2b1d4e5f607",
    } | changes


def a_group(*alerts: object, **changes: Any) -> bytes:
    return json.dumps(
        {
            "receiver": "tocsin",
            "status": "firing",
            "alerts": alerts,
            "groupLabels": {"alertname": "HighErrorRate"},
            "commonLabels": {},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager:9093",
            "version": "4",
            "groupKey": '{}:{alertname="HighErrorRate"}',
            "truncatedAlerts": 0,
            "notification_reason": "first notification",
        }
        | changes
    ).encode()


def parse(body: bytes) -> Parsed:
    return AM.parse(body, {"user-agent": "Alertmanager/0.28.0"})


def test_a_firing_alert_is_a_trigger() -> None:
    (signal,) = parse(a_group(an_alert())).signals
    assert signal.action is Action.TRIGGER
    assert signal.dedup_key == "c3f7a2b1d4e5f607"
    assert signal.title == "Checkout error rate is above 5 %"
    assert signal.description == "7.3 % for 10 minutes"
    assert (signal.severity, signal.native_severity, signal.urgency) == (1, "critical", "high")
    assert signal.labels == {"alertname": "HighErrorRate", "service": "checkout", "severity": "critical"}
    assert signal.links == (
        Link("http://prometheus:9090/graph?g0.expr=x", "Source"),
        Link("https://runbooks.example.com/checkout", "Runbook"),
    )
    assert not signal.record_only


def test_each_alert_has_its_own_status() -> None:
    parsed = parse(a_group(an_alert(), an_alert(status="resolved", fingerprint="b")))
    assert [s.action for s in parsed.signals] == [Action.TRIGGER, Action.RESOLVE]


def test_the_start_time_never_changes_the_key() -> None:
    alert = an_alert(fingerprint="")
    fired = parse(a_group(alert)).signals[0]
    turned = {name: alert["labels"][name] for name in reversed(alert["labels"])}
    resolved = parse(a_group(alert | {"status": "resolved", "startsAt": "2026-03-01T10:00:00Z", "labels": turned}))
    assert resolved.signals[0].dedup_key == fired.dedup_key
    assert len(fired.dedup_key) == 64


@pytest.mark.parametrize(
    ("word", "severity", "urgency", "notes"),
    [
        ("critical", 1, "high", ()),
        ("Critical", 1, "high", ()),
        ("page", 1, "high", ()),
        ("error", 2, "high", ()),
        ("high", 2, "high", ()),
        ("warning", 3, "low", ()),
        ("low", 4, "low", ()),
        ("info", 5, "low", ()),
        ("none", 3, "high", ()),
        ("", 3, "high", ()),
        ("banana", 3, "high", ("severity not recognised: banana",)),
    ],
)
def test_the_severity_label_is_understood(word: str, severity: int, urgency: str, notes: tuple[str, ...]) -> None:
    parsed = parse(a_group(an_alert(labels={"alertname": "A", "severity": word})))
    signal = parsed.signals[0]
    assert (signal.severity, signal.native_severity, signal.urgency) == (severity, word, urgency)
    assert parsed.notes == notes


@pytest.mark.parametrize(
    ("labels", "annotations", "title"),
    [
        ({"alertname": "Down", "instance": "db1:9100"}, {}, "Down on db1:9100"),
        ({"alertname": "Down"}, {}, "Down"),
        ({"job": "node"}, {}, "Alert on node"),
        ({"alertname": "Down"}, {"title": "It is down"}, "It is down"),
    ],
)
def test_an_alert_without_a_summary_gets_a_title(
    labels: dict[str, str], annotations: dict[str, str], title: str
) -> None:
    assert parse(a_group(an_alert(labels=labels, annotations=annotations))).signals[0].title == title


def test_alerts_left_out_by_the_sender_are_noted() -> None:
    assert "3 more alerts" in parse(a_group(an_alert(), truncatedAlerts=3)).notes[0]


def test_a_bad_alert_does_not_harm_its_neighbours() -> None:
    parsed = parse(
        a_group(
            an_alert(),
            "nonsense",
            an_alert(status="banana"),
            an_alert(labels=[1]),
            an_alert(labels={}, fingerprint=None),
            an_alert(labels={"alertname": "A", "port": 80, "up": False, "none": None}, fingerprint=7),
        )
    )
    assert [r.index for r in parsed.rejected] == [1, 2, 3, 4]
    assert parsed.rejected[0] == RejectedItem(1, "It is not a JSON object.")
    assert [s.dedup_key for s in parsed.signals] == ["c3f7a2b1d4e5f607", "7"]
    assert parsed.signals[1].labels == {"alertname": "A", "port": "80", "up": "false", "none": ""}


def test_a_body_without_one_usable_alert_is_refused() -> None:
    with pytest.raises(Invalid) as refused:
        parse(a_group(an_alert(status="banana")))
    assert refused.value.errors[0].pointer == "#/alerts/0"
    assert parse(a_group()).signals == ()


@pytest.mark.parametrize("body", [b"{}", b"[]", b'"x"', b"null", b'{"alerts": 3}', b'{"alerts": null}'])
def test_another_body_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        parse(body)


def test_a_grafana_body_is_read() -> None:
    body = a_group(
        an_alert(
            labels={"alertname": "DatasourceNoData", "grafana_folder": "Shop", "__alert_rule_uid__": "x1"},
            annotations={},
            values={"A": 1.5},
            valueString="[ var='A' ]",
            dashboardURL="https://grafana.example/d/1",
            panelURL="https://grafana.example/d/1?viewPanel=2",
            silenceURL="https://grafana.example/alerting/silence/new",
        ),
        version="1",
        orgId=1,
        title="[FIRING:1] DatasourceNoData",
        state="alerting",
        message="**Firing**",
    )
    (signal,) = ADAPTERS["grafana"].parse(body, {}).signals
    assert signal.title == "DatasourceNoData on Shop"
    assert [each.text for each in signal.links] == ["Source", "Dashboard", "Panel", "Silence"]


def test_limits_are_kept() -> None:
    alert = an_alert(
        labels={f"l{i:03d}": "v" * 3_000 for i in range(80)} | {"": "x"},
        annotations={"summary": "s" * 5_000, "description": "more"},
        fingerprint="f" * 300,
        generatorURL="javascript:alert(1)",
    )
    (signal,) = parse(a_group(alert)).signals
    assert len(signal.title) == 1_024
    assert signal.description == "s" * 5_000 + "\n\nmore"
    assert len(signal.labels) == 64
    assert {len(value) for value in signal.labels.values()} == {2_000}
    assert len(signal.dedup_key) == 64
    assert signal.links == ()


def test_a_batch_too_large_is_refused() -> None:
    with pytest.raises(Invalid, match="at most 10,000"):
        parse(b'{"alerts":[' + b",".join([b"{}"] * 10_001) + b"]}")


def test_what_cannot_be_stored_is_replaced() -> None:
    for dirt in ("a\0b", "a\ud800b"):
        labels = {"alertname": dirt, dirt: dirt}
        (signal,) = parse(a_group(an_alert(labels=labels, annotations={"summary": dirt, "message": dirt}))).signals
        assert signal.title == signal.description == signal.labels["alertname"] == "a\ufffdb"
        assert signal.labels["a\ufffdb"] == "a\ufffdb"


def test_answers_say_what_was_taken() -> None:
    status, body = AM.accepted(parse(a_group(an_alert())))
    assert (status, json.loads(body)) == (202, {"status": "accepted", "accepted": 1, "rejected": [], "notes": []})
    status, body = AM.accepted(parse(a_group(an_alert(), 3, truncatedAlerts=1)))
    assert json.loads(body)["rejected"] == [{"index": 1, "reason": "It is not a JSON object."}]
    assert len(json.loads(body)["notes"]) == 1


def test_a_refusal_is_problem_details() -> None:
    status, body = AM.refused(Unreadable("The body is not JSON."))
    assert status == 400
    problem = json.loads(body)
    assert problem["title"] == "Bad Request"
    assert problem["detail"] == "The body is not JSON."
    assert problem["retryable"] is False
    status, body = AM.refused(Invalid("alerts", "Send alerts."))
    assert (status, json.loads(body)["errors"]) == (
        422,
        [{"pointer": "#/alerts", "detail": "Send alerts.", "code": "invalid"}],
    )
