"""What the monitoring tools of Harbourline send: bodies as the vendors write them, one problem in each. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from tocsin.alerts.model import AlertSource, SourceKind
from tocsin.kit.text import sha256_hex

CONTENT_TYPE = "application/json"
_SITE = "https://{tool}.harbourline.example"
_PAGERDUTY: Mapping[int, str] = {1: "critical", 2: "error", 3: "warning", 4: "info", 5: "info"}
_WORDS: Mapping[int, str] = {1: "critical", 2: "high", 3: "warning", 4: "low", 5: "info"}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a tool watches. One without a `severity` pages as loudly as an unknown one: SEV3, urgent."""

    title: str
    severity: int | None
    description: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def key(self) -> str:
        """Return the key under which the tool means this problem, now and when it is over."""
        return sha256_hex(self.title)[:16]


def body(source: AlertSource, problem: Problem, *, since: datetime, until: datetime | None = None) -> bytes:
    """Write the message that a problem began, goes on, or with `until` is over."""
    match SourceKind(source.kind):
        case SourceKind.ALERTMANAGER:
            said = _group(
                problem, since, until, generator=f"{_SITE.format(tool='prometheus')}/graph?g0.expr=up&g0.tab=1"
            )
        case SourceKind.GRAFANA:
            said = _grafana(problem, since, until)
        case SourceKind.GENERIC:
            said = _plain(problem, until)
        case SourceKind.PAGERDUTY:
            said = _event(source, problem, until)
    return msgspec.json.encode(said)


def _group(problem: Problem, since: datetime, until: datetime | None, *, generator: str) -> dict[str, object]:
    status = "firing" if until is None else "resolved"
    labels = {"alertname": _camel(problem.title), **problem.labels}
    if problem.severity is not None:
        labels["severity"] = _WORDS[problem.severity]
    return {
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{labels["alertname"]}"}}',
        "status": status,
        "receiver": "tocsin",
        "alerts": [
            {
                "status": status,
                "labels": labels,
                "annotations": {"summary": problem.title, "description": problem.description},
                "startsAt": since.isoformat(timespec="seconds"),
                "endsAt": until.isoformat(timespec="seconds") if until else "0001-01-01T00:00:00Z",
                "generatorURL": generator,
                "fingerprint": problem.key,
            }
        ],
    }


def _grafana(problem: Problem, since: datetime, until: datetime | None) -> dict[str, object]:
    site = _SITE.format(tool="grafana")
    group = _group(problem, since, until, generator=f"{site}/alerting/grafana/{problem.key}/view")
    return {**group, "orgId": 1, "title": problem.title, "state": "alerting" if until is None else "ok"}


def _plain(problem: Problem, until: datetime | None) -> dict[str, object]:
    said: dict[str, object] = {
        "title": problem.title,
        "status": "down" if until is None else "up",
        "key": problem.key,
        "description": problem.description,
        "labels": dict(problem.labels),
        "url": f"{_SITE.format(tool='checks')}/probes/{problem.key}",
    }
    return said if problem.severity is None else {**said, "severity": _WORDS[problem.severity]}


def _event(source: AlertSource, problem: Problem, until: datetime | None) -> dict[str, object]:
    return {
        "routing_key": source.token,
        "event_action": "trigger" if until is None else "resolve",
        "dedup_key": problem.key,
        "client": "Night batch",
        "payload": {
            "summary": problem.title,
            "source": "batch-rtm-1",
            "severity": _PAGERDUTY[problem.severity or 2],
            "custom_details": {"description": problem.description, **problem.labels},
        },
    }


def _camel(title: str) -> str:
    """Name the rule behind a title as Prometheus does: `CardPaymentsAreRefused`."""
    return "".join(word.capitalize() for word in re.findall("[A-Za-z]+", title)[:4])
