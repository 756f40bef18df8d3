"""The formats in which alerts may arrive: one pure adapter each, listed here. See `base` for what they share."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tocsin.alerts.sources.alertmanager import Alertmanager
from tocsin.alerts.sources.base import Adapter
from tocsin.alerts.sources.generic import Generic
from tocsin.alerts.sources.pagerduty import PagerDuty

_ALL: tuple[Adapter, ...] = (
    Alertmanager(),
    Alertmanager(kind="grafana", label="Grafana Alerting"),
    Generic(),
    PagerDuty(),
)

ADAPTERS: Mapping[str, Adapter] = MappingProxyType({adapter.kind: adapter for adapter in _ALL})
