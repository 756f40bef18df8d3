"""Fills a database with years of alerts and incidents, as COPY writes them; shared with the tests that read plans.

What is old is over: about one alert in two thousand and 200 incidents are open. Names, sources and labels come and go:
some were used in the first tenth of the time alone, so that the newest rows say nothing about them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

SOURCES, SERVICES, PEOPLE = 40, 300, 30
OPEN_INCIDENTS = 200
YEARS = 3

_WHAT = (
    "Disk of {host} is nearly full", "Latency of {service} is above 500 ms", "{service} answers with errors",
    "Queue of {service} does not drain", "Replica of {service} is behind", "{host} does not answer",
    "Certificate of {service} expires soon", "Memory of {host} runs out", "{service} restarts again and again",
    "Backup of {service} has failed",
)  # fmt: skip
_TROUBLE = ("fails", "is slow", "is down", "loses requests", "answers twice", "cannot be reached")
_TEAMS = ("payments", "storage", "search", "platform", "mobile", "data", "identity", "network")
_GONE = "legacy"  # A team that no longer is.

_ALERT = (
    "id", "source_id", "dedup_key", "status", "title", "description", "severity", "urgency", "labels", "links",
    "created_at", "last_seen_at", "updated_at", "acknowledged_at", "acknowledged_by", "resolved_at", "resolved_by",
    "routed_at", "incident_id",
)  # fmt: skip
_INCIDENT = (
    "id", "number", "reference", "title", "summary", "severity", "status", "reporter_id", "reporter_name",
    "commander_id", "lead_id", "resolution_note", "started_at", "declared_at", "acknowledged_at", "resolved_at",
    "updated_at", "category", "is_drill", "priority",
)  # fmt: skip
_INDEXES = """
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS text FROM pg_index
WHERE indrelid = ANY($1::regclass[]) AND NOT indisprimary AND NOT EXISTS (
    SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""
FILLED = (
    *("alert", "incident", "responder", "escalation_run", "page", "delivery", "signal", "alert_signal", "event"),
    *("comment", "comment_revision", "action_item", "inbox_entry", "subscriber", "incident_link", "incident_relation"),
)

# One alert in ten paged somebody, one run in fifty of them in vain; ten signals in eleven have been deleted since.
_AROUND = (
    """
    INSERT INTO responder (incident_id, user_id, state, source, joined_at)
    SELECT id, ($1::uuid[])[1 + (number + n) % cardinality($1)], 'joined', 'self', declared_at
    FROM incident, generate_series(0, 1) AS n WHERE number > 1000
    """,
    """
    INSERT INTO escalation_run (id, alert_id, policy_name, urgency, content, state, step, round, round_started_at,
                                started_at, ended_at, next_step_at)
    SELECT gen_random_uuid(), id, 'Primary', urgency, '{}',
           CASE WHEN status = 'triggered' THEN 'running' WHEN number % 500 = 0 THEN 'exhausted' ELSE 'answered' END,
           1, 0, created_at, created_at, CASE WHEN status <> 'triggered' THEN created_at + interval '5 minutes' END,
           CASE WHEN status = 'triggered' THEN clock_timestamp() + interval '1 day' END
    FROM alert WHERE number % 10 = 0 OR status = 'triggered'
    """,
    """
    INSERT INTO page (id, run_id, alert_id, user_id, step, round, state, reason, paged_at)
    SELECT uuidv7(started_at - clock_timestamp()), id, alert_id,
           ($1::uuid[])[1 + abs(hashtext(id::text)) % cardinality($1)], 1, 0,
           CASE state WHEN 'running' THEN 'paging' WHEN 'answered' THEN 'acknowledged' ELSE 'no_answer' END,
           'step 1 of Primary', started_at
    FROM escalation_run
    """,
    """
    INSERT INTO delivery (id, kind, page_id, alert_id, recipient_id, user_id, channel, address, content, state,
                          wanted_at, due_at, attempt, sent_at, delivered_at, ended_at, created_at)
    SELECT uuidv7(paged_at - clock_timestamp()), 'page', id, alert_id, user_id, user_id, 'webhook',
           'http://127.0.0.1/hook', '{"title": "Paged"}', 'delivered', paged_at, paged_at, 1, paged_at, paged_at,
           paged_at, paged_at
    FROM page
    """,
    """
    INSERT INTO signal (id, source_id, received_at, content_type, body, outcome)
    SELECT id, source_id, created_at, 'application/json', convert_to('{"title": "' || title || '"}', 'UTF8'), 'accepted'
    FROM alert WHERE number > (SELECT max(number) - count(*) / 11 FROM alert)
    """,
    "INSERT INTO alert_signal (alert_id, signal_id, effect) SELECT id, id, 'opened' FROM signal",
    """
    INSERT INTO event (id, name, at, actor_kind, actor_name, alert_id, data)
    SELECT gen_random_uuid(), step.name, alert.created_at, 'system', 'Tocsin', alert.id,
           jsonb_build_object('title', alert.title, 'source', 'bench')
    FROM alert, unnest(ARRAY['alert.triggered', 'alert.not_routed', 'alert.resolved']) AS step (name)
    WHERE step.name <> 'alert.resolved' OR status = 'resolved'
    """,
    """
    INSERT INTO comment (id, incident_id, author_kind, author_name, created_at)
    SELECT gen_random_uuid(), id, 'system', 'Tocsin', declared_at + n * interval '1 minute'
    FROM incident, generate_series(1, 4) AS n
    """,
    """
    INSERT INTO comment_revision (comment_id, number, body, written_at, author_kind, author_name)
    SELECT id, 1, 'Looking into it.', created_at, author_kind, author_name FROM comment
    """,
    """
    INSERT INTO event (id, name, at, actor_kind, actor_name, incident_id, data)
    SELECT id, 'incident.comment_added', created_at, author_kind, author_name, incident_id,
           jsonb_build_object('comment_id', id, 'revision', 1)
    FROM comment
    """,
    # Two of each incident; one in a hundred is not done, and what is for nobody is of old.
    """
    INSERT INTO action_item (id, incident_id, description, kind, priority, status, assignee_id, due_date,
                             created_by_kind, created_by_name, created_at, updated_at, ended_at)
    SELECT uuidv7(declared_at - clock_timestamp()), id,
           (ARRAY['Write the runbook of ', 'Alert on ', 'Find out about '])[1 + number % 3] || title,
           CASE WHEN number < 1000 + $2::int / 10 AND number % 10 = 0 THEN 'follow_up' ELSE 'prevent' END, 'P3',
           CASE WHEN number % 100 = 0 THEN 'open' ELSE 'done' END,
           CASE WHEN number % 20 <> 0 THEN ($1::uuid[])[1 + (number + n) % cardinality($1)] END,
           CASE WHEN number % 5 <> 0 THEN (declared_at + interval '14 days')::date END,
           'system', 'Tocsin', declared_at, declared_at, CASE WHEN number % 100 <> 0 THEN declared_at END
    FROM incident, generate_series(0, 1) AS n
    """,
    """
    INSERT INTO subscriber (id, incident_id, user_id, source, added_by_name, created_at)
    SELECT uuidv7(declared_at - clock_timestamp()), id, ($1::uuid[])[1 + number % cardinality($1)], 'self',
           'Bench', declared_at
    FROM incident
    """,
    # Half of the news are for one person, who has read all but those of the last incidents.
    """
    INSERT INTO inbox_entry (id, user_id, incident_id, change, name, actor_name, data, began_at, at, read_at)
    SELECT uuidv7(declared_at - clock_timestamp()), CASE WHEN number % 2 = 0 THEN $3::uuid
           ELSE ($1::uuid[])[1 + number % cardinality($1)] END, id, 'comments', 'incident.comment_added', 'Bench',
           jsonb_build_object('comment_id', id, 'revision', 1), declared_at, declared_at,
           CASE WHEN number < 980 + $2::int THEN declared_at END
    FROM incident
    """,
    """
    INSERT INTO incident_link (id, incident_id, kind, name, url, created_at)
    SELECT uuidv7(declared_at - clock_timestamp()), id, 'other', 'Dashboard', 'https://example.org/', declared_at
    FROM incident
    """,
    """
    INSERT INTO incident_relation (incident_id, other_id, kind, created_at)
    SELECT one.id, other.id, 'related', one.declared_at
    FROM incident AS one JOIN incident AS other ON other.number = one.number - 1 WHERE one.number % 3 = 0
    """,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Known:
    """Who and what stands in the rows, to ask for by its id."""

    sources: list[UUID]
    people: list[UUID]

    @property
    def gone_source(self) -> UUID:
        """A source that sent in the first tenth of the time alone."""
        return self.sources[-1]

    @property
    def gone_lead(self) -> UUID:
        """Somebody who led incidents in the first tenth of the time alone."""
        return self.people[-1]


async def fill(connection: asyncpg.Connection[Any], *, alerts: int, incidents: int) -> Known:
    """Fill an installation that has been set up; returns the ids that stand in it. Takes the server's own role."""
    chance = random.Random(11)
    await connection.execute("SET session_replication_role = replica")  # Nobody listens, and no key is checked.
    await connection.execute("SET maintenance_work_mem = '512MB'")
    indexes = await connection.fetch(_INDEXES, list(FILLED))
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['name']}")
    reader = await connection.fetchval("SELECT id FROM user_account WHERE role = 'admin' ORDER BY id LIMIT 1")
    known = Known(await _sources(connection), await _people(connection))
    now = datetime.now(UTC)
    rows = list(_incidents(chance, known, incidents, now))
    await connection.copy_records_to_table("incident", records=rows, columns=_INCIDENT)
    owners = [row[0] for row in rows]
    await connection.copy_records_to_table("alert", records=_alerts(chance, known, owners, alerts, now), columns=_ALERT)
    await connection.execute("UPDATE organisation SET last_incident_number = $1", incidents + 1000)
    for statement in _AROUND:
        given = (known.people, incidents, reader)
        await connection.execute(statement, *(value for n, value in enumerate(given, 1) if f"${n}" in statement))
    for index in indexes:
        # An index of the record is one of each of its parts.
        await connection.execute(index["text"].replace(" ON ONLY ", " ON "))
    await connection.execute("SET session_replication_role = origin")
    await connection.execute("VACUUM ANALYZE")
    return known


async def _sources(connection: asyncpg.Connection[Any]) -> list[UUID]:
    rows = await connection.fetch(
        """
        INSERT INTO alert_source (id, name, kind, token, created_at, updated_at)
        SELECT gen_random_uuid(), 'Source ' || n, 'generic', md5(random()::text), tocsin_now(), tocsin_now()
        FROM generate_series(1, $1::int) AS n RETURNING id
        """,
        SOURCES,
    )
    return [row["id"] for row in rows]


async def _people(connection: asyncpg.Connection[Any]) -> list[UUID]:
    rows = await connection.fetch(
        """
        INSERT INTO user_account (id, email, name, role, created_at, updated_at)
        SELECT gen_random_uuid(), 'person-' || n || '@example.org', 'Person ' || n, 'responder',
               tocsin_now(), tocsin_now()
        FROM generate_series(1, $1::int) AS n RETURNING id
        """,
        PEOPLE,
    )
    return [row["id"] for row in rows]


def _id(chance: random.Random, at: datetime) -> UUID:
    return UUID(int=int(at.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62 | chance.getrandbits(62))


def _often(chance: random.Random, most: int) -> int:
    """Return a number below `most`, small ones much more often, as a few services make most of the noise."""
    return int(most * chance.random() ** 3)


def _alerts(
    chance: random.Random, known: Known, owners: list[UUID], count: int, now: datetime
) -> Iterator[tuple[object, ...]]:
    step = timedelta(days=365 * YEARS) / count
    for n in range(count):
        at = now - step * (count - n)
        is_old = n < count // 10
        service = f"svc-{_often(chance, SERVICES)}"
        host = f"{service}-host-{chance.randrange(20)}"
        title = chance.choice(_WHAT).format(service=service, host=host)
        labels = {"service": service, "host": host, "env": "prod" if chance.random() < 0.8 else "staging",
                  "team": _GONE if is_old and chance.random() < 0.1 else chance.choice(_TEAMS)}  # fmt: skip
        # Severity 5 was used in the beginning only.
        severity = 5 if is_old and chance.random() < 0.2 else min(4, 1 + chance.choice((0, 1, 2, 2, 2, 3, 3)))
        source = known.gone_source if is_old and chance.random() < 0.3 else known.sources[_often(chance, SOURCES - 1)]
        # One in a hundred of the newest twentieth is open still.
        is_open = n > count * 19 // 20 and chance.random() < 0.01
        status = ("triggered" if chance.random() < 0.5 else "acknowledged") if is_open else "resolved"
        over = at + timedelta(minutes=chance.randrange(1, 90))
        # A key is open once; what is over may have it again and again.
        key = f"{service}/{host}/{title[:8]}" + (f"/{n}" if is_open else "")
        # One alert in twenty belongs to an incident of its time.
        owner = owners[min(len(owners) - 1, n * len(owners) // count)] if owners and chance.random() < 0.05 else None
        yield (
            _id(chance, at), source, key, status, title, "What is known.", severity,
            "low" if severity > 3 else "high", json.dumps(labels), "[]", at, at, at,
            at if status == "acknowledged" else None, "Ada" if status == "acknowledged" else None,
            None if is_open else over, None if is_open else "Source", at, owner,
        )  # fmt: skip


def _incidents(chance: random.Random, known: Known, count: int, now: datetime) -> Iterator[tuple[object, ...]]:
    step = timedelta(days=365 * YEARS) / count
    words = ("declared", "investigating", "identified", "mitigated", "monitoring")
    # What came later has a chance of its own: all else stays as it was, and the plans with it.
    more = random.Random(count)
    for n in range(count):
        at = now - step * (count - n)
        is_old, number = n < count // 10, 1001 + n
        is_open = n >= count - OPEN_INCIDENTS * 5 and n % 5 == 0
        over = None if is_open else at + timedelta(minutes=chance.randrange(10, 600))
        lead = known.gone_lead if is_old and chance.random() < 0.1 else known.people[_often(chance, PEOPLE - 1)]
        yield (
            _id(chance, at), number, f"INC-{number}",
            f"Checkout of shop {_often(chance, 900)} {chance.choice(_TROUBLE)}",
            f"Customers of region {_often(chance, 60)} are told to wait. " * 3,
            5 if is_old and chance.random() < 0.2 else 1 + chance.choice((0, 1, 2, 2, 2, 3)),
            chance.choice(words) if is_open else "resolved" if chance.random() < 0.5 else "closed",
            lead, "Bench", known.people[_often(chance, PEOPLE - 1)] if chance.random() < 0.3 else None, lead,
            "" if is_open else "Rolled back.", at, at, at, over, at,
            "cost" if is_old and more.random() < 0.1 else more.choice((None, None, "availability", "performance")),
            n % 300 == 0, "P1" if is_old and more.random() < 0.1 else more.choice(("P2", "P3", "P3", "P4")),
        )  # fmt: skip
