"""The statements that intake writes a batch with. By hand, as thousands of signals a second go through them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tocsin.alerts.lifecycle import STAMPS, Act, Stamp, after, brings, moved_by
from tocsin.alerts.model import AlertStatus
from tocsin.db.compose import as_one
from tocsin.events.log import INSERT_EVENTS
from tocsin.jobs.queue import INSERT_JOBS
from tocsin.oncall.queries import HAS_UNREACHED_RUN


def moving(act: Act, *, at: str, name: str) -> str:
    """Write what this act of a source sets in the row of an alert that it moves; a source has no account."""
    values = {Stamp.NOW: at, Stamp.NAME: name, Stamp.PERSON: "NULL", Stamp.NOTHING: "NULL"}
    columns = {"status": f"'{brings(act)}'", "updated_at": at} | {
        column: values[stamp] for column, stamp in STAMPS[act].items()
    }
    return ", ".join(f"{column} = {value}" for column, value in columns.items())


def is_moved_by(act: Act) -> str:
    """Write the condition that this act moves an alert."""
    return _is_one_of(moved_by(act))


def can(act: Act) -> str:
    """Write the condition that this act can happen to an alert."""
    return _is_one_of([status for status in AlertStatus if after(status, act) is not None])


def _is_one_of(states: Iterable[AlertStatus]) -> str:
    words = ", ".join(f"'{status}'" for status in states)
    return f"alert.status IN ({words})"


_SIGNALS = """
INSERT INTO signal (id, source_id, received_at, content_type, body, outcome, detail)
SELECT new.id, new.source_id, $7::timestamptz, new.content_type, new.body, new.outcome, new.detail
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::text[])
     AS new (id, source_id, content_type, body, outcome, detail)
"""
_EFFECTS = """
INSERT INTO alert_signal (alert_id, signal_id, effect)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[]) ON CONFLICT DO NOTHING
"""
# What a batch leaves beside its alerts.
LEAVE = as_one(_SIGNALS, _EFFECTS, INSERT_EVENTS, INSERT_JOBS)
# A repeat says what the alert is by now, unless it is older by the sender's own time; severity and urgency only ever
# get worse. One that makes it worse is told by `got_worse` while nobody has taken the alert on: `updated_at` is this
# transaction's instant then. `was` is what a repeat that says something new found, as this
# statement saw it when it began; it is for the record alone, and text because a session would read JSON by itself.
# `over_at` is when the source of a new alert has said, before it came, that it was over.
UPSERT = f"""
INSERT INTO alert (id, source_id, dedup_key, status, title, description, severity, native_severity, urgency, labels,
                   links, count, created_at, last_seen_at, updated_at, worded_at, routed_at, said_at, route_id)
SELECT new.id, new.source_id, new.dedup_key, 'triggered', new.title, new.description, new.severity,
       new.native_severity, new.urgency, new.labels, new.links, new.count,
       $13::timestamptz, $13::timestamptz, $13::timestamptz, $13::timestamptz,
       CASE WHEN new.is_routed THEN $13::timestamptz END, least(new.said_at, $13::timestamptz), new.route_id
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::int[], $7::text[], $8::text[],
            $9::jsonb[], $10::jsonb[], $11::int[], $12::bool[], $14::timestamptz[], $15::uuid[])
     AS new (id, source_id, dedup_key, title, description, severity, native_severity, urgency, labels, links, count,
             is_routed, said_at, route_id)
ON CONFLICT (source_id, dedup_key) WHERE status <> 'resolved'
DO UPDATE SET count = alert.count + EXCLUDED.count, last_seen_at = EXCLUDED.last_seen_at,
              title = CASE WHEN EXCLUDED.said_at < alert.said_at THEN alert.title ELSE EXCLUDED.title END,
              description = CASE WHEN EXCLUDED.said_at < alert.said_at OR EXCLUDED.description = alert.description
                                 THEN alert.description ELSE EXCLUDED.description END,
              native_severity = CASE WHEN EXCLUDED.said_at < alert.said_at
                                     THEN alert.native_severity ELSE EXCLUDED.native_severity END,
              labels = CASE WHEN EXCLUDED.said_at < alert.said_at THEN alert.labels ELSE EXCLUDED.labels END,
              links = CASE WHEN EXCLUDED.said_at < alert.said_at THEN alert.links ELSE EXCLUDED.links END,
              said_at = greatest(alert.said_at, EXCLUDED.said_at),
              worded_at = CASE WHEN EXCLUDED.severity < alert.severity
                                 OR (EXCLUDED.said_at < alert.said_at) IS NOT TRUE
                                AND (EXCLUDED.title, EXCLUDED.native_severity, EXCLUDED.description, EXCLUDED.labels,
                                     EXCLUDED.links)
                                 <> (alert.title, alert.native_severity, alert.description, alert.labels, alert.links)
                               THEN EXCLUDED.worded_at ELSE alert.worded_at END,
              severity = least(alert.severity, EXCLUDED.severity),
              urgency = CASE WHEN EXCLUDED.urgency = 'high' AND EXCLUDED.severity < alert.severity
                             THEN 'high' ELSE alert.urgency END,
              updated_at = CASE WHEN {can(Act.PAGE)} AND EXCLUDED.severity < alert.severity
                                THEN EXCLUDED.updated_at ELSE alert.updated_at END
RETURNING id, source_id, dedup_key, incident_id, title, severity, native_severity, urgency,
          updated_at = $13::timestamptz AS got_worse,
          CASE WHEN worded_at = $13::timestamptz AND created_at <> $13::timestamptz
               THEN (SELECT jsonb_build_object('title', title, 'severity', severity,
                                               'native_severity', native_severity,
                                               'urgency', urgency)::text
                     FROM alert AS before WHERE before.id = alert.id) END AS was,
          CASE WHEN created_at = $13::timestamptz AND said_at IS NOT NULL
               THEN (SELECT early.said_at FROM alert_early_resolve AS early
                     WHERE early.source_id = alert.source_id AND early.dedup_key = alert.dedup_key
                       AND early.received_at > $16::timestamptz) END AS over_at,
          created_at <> $13::timestamptz AND {HAS_UNREACHED_RUN} AS is_unreached
"""  # noqa: S608


def _changing(act: Act) -> str:
    return f"""
UPDATE alert SET {moving(act, at="$3::timestamptz", name="named.name")}
FROM unnest($1::uuid[], $2::text[], $4::text[], $5::timestamptz[]) AS named (source_id, dedup_key, name, said_at)
WHERE alert.source_id = named.source_id AND alert.dedup_key = named.dedup_key
  AND {is_moved_by(act)} AND (named.said_at < alert.said_at) IS NOT TRUE
RETURNING alert.id, alert.source_id, alert.dedup_key, alert.incident_id
"""  # noqa: S608


# Source and key, the instant, the name of each source, and the sender's own time.
CHANGE: Mapping[Act, str] = {act: _changing(act) for act in (Act.ACKNOWLEDGE, Act.RESOLVE)}
