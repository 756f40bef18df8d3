"""What a tool would send of a mild problem, in its own words, so that people can try a source."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tocsin.alerts.model import SourceKind
from tocsin.kit.clock import stamp


def sample(kind: SourceKind, *, title: str, token: str, key: str, at: datetime) -> dict[str, Any]:
    """Write the body of the request. `key` is the problem's own, so that it is none that is open already."""
    match kind:
        case SourceKind.PAGERDUTY:
            payload = {"summary": title, "source": "tocsin", "severity": "warning"}
            return {"routing_key": token, "event_action": "trigger", "dedup_key": key, "payload": payload}
        case SourceKind.ALERTMANAGER | SourceKind.GRAFANA:
            alert = {
                "status": "firing",
                "labels": {"alertname": "TocsinTest", "severity": "warning"},
                "annotations": {"summary": title},
                "startsAt": stamp(at),
                "fingerprint": key,
            }
            return {"version": "4", "status": "firing", "receiver": "tocsin", "alerts": [alert]}
        case SourceKind.GENERIC:
            return {"title": title, "status": "firing", "key": key, "severity": "warning"}
