"""Alertmanager's webhook, version 4, and Grafana alerting, which sends the same body with more in it.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/

Each alert of the group is a signal of its own, with its own status; its key is `fingerprint`, or a hash of
the labels where a sender leaves it out. `startsAt` may differ between the two messages of one alert and never
takes part in the key. An alert that is missing from a message is not resolved by that.

The sender's own time is `startsAt` of a firing alert and `endsAt` of a resolved one. Alertmanager repeats a firing
alert with the `startsAt` that it had, so of those the one that arrives last is the newest.

- title: annotation `summary` or `title`, else label `alertname` and the place; Grafana's `DatasourceNoData` and
  `DatasourceError` with the name of the rule; description: annotation `description` or `message`. Blank is not present
- status: the alert's own, else that of the group, in any of the words of `states`
- Grafana up to 8 sends one rule without a list of alerts, see `grafana_legacy`
- severity: label `severity` or `priority`, see `SEVERITIES`; critical, page, error, unknown and none are urgent
- links: `generatorURL`, `dashboardURL`, `panelURL`, `silenceURL`, annotations `runbook_url`, `dashboard_url`
- limits: 10,000 alerts in a body
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from tocsin.alerts.sources.base import (
    MAX_ITEMS,
    MAX_NATIVE_SEVERITY,
    Action,
    Link,
    Object,
    Parsed,
    RejectedItem,
    Sample,
    SetUp,
    Signal,
    WebhookAnswers,
    as_key,
    as_list,
    as_object,
    as_text,
    as_time,
    decode,
    fit_labels,
    fit_links,
    fit_title,
    hash_of,
    is_clean,
    link,
    present,
    read_each,
    refuse_if_nothing_is_left,
    severity_note,
    severity_of,
)
from tocsin.alerts.sources.grafana_legacy import is_legacy, read_legacy
from tocsin.alerts.sources.states import action_of
from tocsin.kit.clock import stamp
from tocsin.kit.errors import Invalid
from tocsin.kit.record import JsonObject
from tocsin.kit.text import finite, storable, truncate


# The fields have the vendor's names so that no renaming table is needed.
class _Alert(msgspec.Struct, gc=False):
    status: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    generatorURL: str = ""  # noqa: N815
    fingerprint: str = ""
    startsAt: str = ""  # noqa: N815
    endsAt: str = ""  # noqa: N815
    dashboardURL: str = ""  # noqa: N815
    panelURL: str = ""  # noqa: N815
    silenceURL: str = ""  # noqa: N815


class _Group(msgspec.Struct, gc=False):
    alerts: list[_Alert]
    status: str = ""
    # Grafana's word for the same.
    state: str = ""
    truncatedAlerts: int = 0  # noqa: N815


_DECODER = msgspec.json.Decoder(_Group, float_hook=finite)
# What Grafana calls an alert about a rule that cannot be judged; which rule it is stands in a label.
_CANNOT_JUDGE = frozenset({"DatasourceNoData", "DatasourceError"})
_PLACES = ("instance", "service", "job", "pod", "namespace", "grafana_folder")


def _alertmanager(address: str) -> tuple[SetUp, ...]:
    receiver = f"""\
route:
  receiver: tocsin
  group_by: [alertname, cluster]
  group_wait: 10s
  repeat_interval: 4h

receivers:
  - name: tocsin
    webhook_configs:
      - url: {address}
        send_resolved: true
"""
    rules = """\
groups:
  - name: example
    rules:
      - alert: InstanceDown
        expr: up == 0
        for: 2m
        labels:
          severity: critical
          team: core
        annotations:
          summary: '{{ $labels.instance }} does not answer'
"""
    return (
        SetUp(
            "Alertmanager",
            "Write this into alertmanager.yml, or add the receiver to your own, and reload it. Each alert of a group "
            "is an alert of its own here.",
            receiver,
            "alertmanager.yml",
        ),
        SetUp(
            "Prometheus",
            "Prometheus sends through Alertmanager, so set that up first. The label severity says how bad it is "
            "(critical, warning, info), other labels are for routes, the annotation summary is the title.",
            rules,
            "rules.yml",
        ),
    )


def _grafana(address: str) -> tuple[SetUp, ...]:
    contact_point = f"""\
apiVersion: 1
contactPoints:
  - orgId: 1
    name: Tocsin
    receivers:
      - uid: tocsin
        type: webhook
        disableResolveMessage: false
        settings:
          url: {address}
          httpMethod: POST
"""
    return (
        SetUp(
            "Grafana, by hand",
            "Alerting, Contact points, Add contact point: choose the integration Webhook and paste this as its URL. "
            "Then let a notification policy lead to it. “Test” in Grafana sends a signal.",
            address,
            "URL",
        ),
        SetUp(
            "Grafana, by a file",
            "Put this into provisioning/alerting and restart Grafana, then let a notification policy lead to Tocsin.",
            contact_point,
            "provisioning/alerting/tocsin.yaml",
        ),
    )


@dataclass(frozen=True, slots=True)
class Alertmanager(WebhookAnswers):
    """The adapter for both products; they differ in name only."""

    kind: str = "alertmanager"
    label: str = "Prometheus Alertmanager"

    def sample(self, problem: Sample) -> JsonObject:
        """Write a group of one alert."""
        alert = {
            "status": "firing",
            "labels": {"alertname": "TocsinTest", "severity": problem.severity},
            "annotations": {"summary": problem.title},
            "startsAt": stamp(problem.at),
            "fingerprint": problem.key,
        }
        return {"version": "4", "status": "firing", "receiver": "tocsin", "alerts": [alert]}

    def set_ups(self, address: str, token: str) -> tuple[SetUp, ...]:
        """Say what to write into the configuration of Alertmanager and Prometheus, or of Grafana."""
        return _grafana(address) if self.kind == "grafana" else _alertmanager(address)

    def parse(self, body: bytes, headers: Mapping[str, str]) -> Parsed:
        """Read a group of alerts. An empty group is fine and holds no signals."""
        try:
            group = _DECODER.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return _parse_patiently(body)
        _refuse_too_many(len(group.alerts))
        clean = is_clean(body)
        notes = _truncation(group.truncatedAlerts)
        signals: list[Signal] = []
        rejected: list[RejectedItem] = []
        for index, alert in enumerate(group.alerts):
            try:
                signals.append(_signal(alert, group.status, group.state, notes, clean=clean))
            except Invalid as problem:
                rejected.append(RejectedItem(index, problem.message))
        refuse_if_nothing_is_left(signals, rejected, "alerts")
        return Parsed(tuple(signals), tuple(rejected), tuple(dict.fromkeys(notes)))


def _refuse_too_many(count: int) -> None:
    if count > MAX_ITEMS:
        raise Invalid("alerts", f"Send at most {MAX_ITEMS:,} alerts in one body; this one has {count:,}.")


def _truncation(count: int) -> list[str]:
    return [f"{count} more alerts of this group were left out by the sender (truncatedAlerts)"] if count > 0 else []


def _signal(alert: _Alert, group_status: str, state: str, notes: list[str], *, clean: bool) -> Signal:
    labels = fit_labels(alert.labels, clean=clean)
    status = present(alert.status, group_status, state)
    action = action_of(status)
    if action is None:
        raise Invalid("status", f"The status “{truncate(storable(status), 60)}” is neither firing nor resolved.")
    fingerprint = present(alert.fingerprint)
    if not fingerprint and not labels:
        raise Invalid("fingerprint", "It has no fingerprint and no labels, so it cannot be told from others.")

    native = present(labels.get("severity"), labels.get("priority"))
    severity, urgency, known = severity_of(native)
    if not known:
        notes.append(severity_note(native))
    title, description = _words(alert.annotations, labels)
    if not clean:
        title, description = storable(title), storable(description)
    title, description = fit_title(title, description)
    return Signal(
        action,
        as_key(fingerprint) if fingerprint else hash_of(alert.labels),
        title,
        description,
        severity,
        native if len(native) <= MAX_NATIVE_SEVERITY else truncate(native, MAX_NATIVE_SEVERITY),
        urgency,
        labels,
        _links(alert, alert.annotations),
        said_at=as_time(alert.endsAt if action is Action.RESOLVE else alert.startsAt),
    )


def _words(annotations: Mapping[str, str], labels: Mapping[str, str]) -> tuple[str, str]:
    """Return title and description."""
    said = present(annotations.get("summary"), annotations.get("title"))
    description = present(annotations.get("description"), annotations.get("message"))
    rule = present(labels.get("rulename"))
    if rule and labels.get("alertname") in _CANNOT_JUDGE:
        # The annotations are the rule's own and speak of the problem that it looks for.
        return f"{labels['alertname']}: {rule}", description or said
    return said or _name(labels), description


def _name(labels: Mapping[str, str]) -> str:
    """Name an alert that has no summary: what, and where."""
    name = present(labels.get("alertname")) or "Alert"
    place = present(*(labels.get(place) for place in _PLACES))
    return f"{name} on {place}" if place else name


def _links(alert: _Alert, annotations: dict[str, str]) -> tuple[Link, ...]:
    links: list[Link | None] = []
    if alert.generatorURL:
        links.append(link(alert.generatorURL, "Source"))
    if "runbook_url" in annotations:
        links.append(link(annotations["runbook_url"], "Runbook"))
    if "dashboard_url" in annotations:
        links.append(link(annotations["dashboard_url"], "Dashboard"))
    if alert.dashboardURL:
        links.append(link(alert.dashboardURL, "Dashboard"))
    if alert.panelURL:
        links.append(link(alert.panelURL, "Panel"))
    if alert.silenceURL:
        links.append(link(alert.silenceURL, "Silence"))
    return fit_links(links) if links else ()


def _parse_patiently(body: bytes) -> Parsed:
    """Read a body in which something has a type that Alertmanager never sends, item by item."""
    group = as_object(decode(body))
    if group is not None and is_legacy(group):
        return read_legacy(group)
    items = as_list(group.get("alerts")) if group is not None else None
    if group is None or items is None:
        raise Invalid("alerts", "The body is not a message of Alertmanager: it has no list “alerts”.")
    _refuse_too_many(len(items))
    count = group.get("truncatedAlerts")
    notes = _truncation(count if isinstance(count, int) else 0)
    status, state = as_text(group.get("status")), as_text(group.get("state"))
    return read_each(
        items, lambda item: _signal(_alert(item), status, state, [], clean=True), field="alerts", notes=notes
    )


def _alert(item: Object) -> _Alert:
    return _Alert(
        status=as_text(item.get("status")),
        labels=_texts(item, "labels"),
        annotations=_texts(item, "annotations"),
        generatorURL=as_text(item.get("generatorURL")),
        fingerprint=as_text(item.get("fingerprint")),
        startsAt=as_text(item.get("startsAt")),
        endsAt=as_text(item.get("endsAt")),
        dashboardURL=as_text(item.get("dashboardURL")),
        panelURL=as_text(item.get("panelURL")),
        silenceURL=as_text(item.get("silenceURL")),
    )


def _texts(item: Object, field: str) -> dict[str, str]:
    value = item.get(field)
    if value is None:
        return {}
    found = as_object(value)
    if found is None:
        raise Invalid(field, f"Its “{field}” are not a JSON object.")
    return {name: as_text(each) for name, each in found.items()}
