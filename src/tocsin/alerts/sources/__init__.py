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

# PagerDuty's senders put the credential into the body, so their address is the same for every source.
PAGERDUTY_PATH = "/compat/pagerduty/v2/enqueue"


def address_path(kind: str, token: str) -> str:
    """Return the path that the signals of a source are sent to."""
    return PAGERDUTY_PATH if kind == "pagerduty" else f"/in/{kind}/{token}"


ADAPTERS: Mapping[str, Adapter] = MappingProxyType({adapter.kind: adapter for adapter in _ALL})
