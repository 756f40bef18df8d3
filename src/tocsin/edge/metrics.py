"""The figures that `/metrics` shows, in Prometheus' text format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The counters of one process, and gauges that are read from the database when somebody looks."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.intake_signals = Counter(
            "tocsin_intake_signals", "Signals taken in or turned away.", ["result"], registry=self.registry
        )
        self.intake_seconds = Histogram(
            "tocsin_intake_seconds",
            "From the first byte of an intake request to its answer.",
            ["kind"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.intake_waiting = Gauge(
            "tocsin_intake_waiting", "Signals that wait for the next commit.", registry=self.registry
        )
        self.http_seconds = Histogram(
            "tocsin_http_seconds",
            "Time to answer pages and API calls.",
            ["surface", "status"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.connections = Gauge("tocsin_connections", "Open connections of this process.", registry=self.registry)
        self.connections_refused = Counter(
            "tocsin_connections_refused",
            "Connections that were given up, and requests that were refused before they were looked at.",
            ["reason"],
            registry=self.registry,
        )
        self.job_lateness = Histogram(
            "tocsin_job_lateness_seconds",
            "How long after it was due a job was claimed.",
            ["lane"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.queue_due = Gauge("tocsin_queue_due_jobs", "Jobs that are due now.", ["lane"], registry=self.registry)
        self.queue_age = Gauge(
            "tocsin_queue_age_seconds", "Age of the oldest job that is due.", ["lane"], registry=self.registry
        )
        self.deliveries = Counter(
            "tocsin_deliveries", "Outcomes of sending.", ["channel", "result"], registry=self.registry
        )
        self.escalations = Counter(
            "tocsin_escalations_in_vain",
            "Escalations that found out that they reach nobody, or that ended without an answer.",
            ["outcome"],
            registry=self.registry,
        )
        self.alerts_in_vain = Gauge(
            "tocsin_alerts_in_vain",
            "Triggered alerts about which nobody was reached, or that nobody answered.",
            ["paging"],
            registry=self.registry,
        )
        # So that the rate is known before the first of them.
        for outcome in ("unreached", "unanswered"):
            self.escalations.labels(outcome)
        self.methods_failing = Gauge(
            "tocsin_contact_methods_failing",
            "Contact methods whose last attempts failed, of people whose accounts are on.",
            ["channel"],
            registry=self.registry,
        )
        self.watchers = Gauge("tocsin_live_watchers", "Open live streams of this process.", registry=self.registry)

    def render(self) -> bytes:
        """Write everything as text."""
        return generate_latest(self.registry)
