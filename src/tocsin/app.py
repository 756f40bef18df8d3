"""The composition root: settings and a database become the parts of a running Tocsin, wired to each other."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from datetime import timedelta
from functools import cache, partial
from typing import Any, TextIO

from litestar import Litestar, Request, Response
from litestar.di import Provide
from litestar.types import ASGIApp, Receive, Scope, Send

from tocsin import api, web
from tocsin.alerts import jobs as alerts_jobs
from tocsin.alerts import service as alerts
from tocsin.alerts.intake import Intake, Sources
from tocsin.api.base.http import answer_problem
from tocsin.api.intake import IntakeApp
from tocsin.db import migrate
from tocsin.db.engine import Database, Listener, Listeners
from tocsin.db.errors import STORE_ERRORS
from tocsin.edge import csrf
from tocsin.edge.auth import Authentication, refuse
from tocsin.edge.below import Below
from tocsin.edge.context import AppRequest, Context, InContext, Keys, context_of, provide_context, provide_who
from tocsin.edge.metrics import Metrics
from tocsin.edge.middleware import Surroundings
from tocsin.edge.readers import Readers
from tocsin.edge.wrong_tokens import WrongTokens
from tocsin.events.alerts import AlertAcknowledged, AlertResolved, AlertUnacknowledged
from tocsin.events.configuration import (
    ConfigurationChanged,
    ConfigurationCreated,
    ConfigurationDeleted,
    ContactMethodRecovered,
    UserDeactivated,
    UserLostRights,
)
from tocsin.events.incidents import (
    IncidentAcknowledged,
    IncidentCancelled,
    IncidentReopened,
    IncidentResolved,
    ResponderJoined,
)
from tocsin.events.live import Live
from tocsin.events.oncall import (
    EscalationExhausted,
    EscalationUnreached,
    PageAttemptFailed,
    PageFailed,
    PageStarted,
)
from tocsin.identity import jobs as identity_jobs
from tocsin.identity import service as identity
from tocsin.identity.model import Actor
from tocsin.incidents import jobs as incident_jobs
from tocsin.incidents import service as incidents
from tocsin.jobs.clockwatch import Waits
from tocsin.jobs.queue import Job
from tocsin.jobs.worker import Kind, Periodic, Worker, backoff, ensure_schedules
from tocsin.net.http import OutboundHttp
from tocsin.net.smtp import Mailer, Security, SmtpSettings
from tocsin.notifications import service as notifications
from tocsin.notifications.channels import channels
from tocsin.notifications.jobs import Sender, send
from tocsin.notifications.model import SubjectKind
from tocsin.notifications.origins import Origins
from tocsin.notifications.telling import TELL, Reader, tell
from tocsin.oncall import jobs as oncall_jobs
from tocsin.oncall import service as oncall
from tocsin.settings import Settings

GIVE_UP_ON_PAGE = "oncall.give_up_on_page"
TRY_OTHER_WAYS = "oncall.try_other_ways"
NOTE_PAGE = "incidents.note_page"
STAND_IN = "incidents.stand_in"
LOOK_AGAIN = "oncall.look_again"
LOOK_AFTER_ALERTS = "alerts.look_after"
NEWS_OF_ALERT = "alerts.note_news"
NEWS_OF_INCIDENT = "incidents.note_news"
SWEEP_IDENTITY = "identity.sweep"
SWEEP_SIGNALS = "alerts.sweep_signals"
COUNT_IN_VAIN = "oncall.count_in_vain"

# Event name → what reacts to it.
LISTENERS: Listeners = {
    PageFailed.name: [Listener("page", GIVE_UP_ON_PAGE)],
    PageAttemptFailed.name: [Listener("page", TRY_OTHER_WAYS)],
    UserDeactivated.name: [Listener("page", STAND_IN)],
    UserLostRights.name: [Listener("page", STAND_IN)],
    ConfigurationCreated.name: [Listener("page", LOOK_AGAIN, only_kinds=oncall.MATTERS)],
    ConfigurationChanged.name: [Listener("page", LOOK_AGAIN, only_kinds=oncall.MATTERS)],
    ContactMethodRecovered.name: [Listener("page", LOOK_AGAIN)],
    ConfigurationDeleted.name: [Listener("page", LOOK_AGAIN, only_kinds=frozenset({"contact_method"}))],
    PageStarted.name: [Listener("default", NOTE_PAGE, only_of_incidents=True)],
    EscalationUnreached.name: [Listener("default", COUNT_IN_VAIN)],
    EscalationExhausted.name: [Listener("default", COUNT_IN_VAIN)],
    **{
        event.name: [Listener("bulk", NEWS_OF_ALERT)]
        for event in (AlertAcknowledged, AlertUnacknowledged, AlertResolved)
    },
    **{
        event.name: [Listener("bulk", NEWS_OF_INCIDENT)]
        for event in (IncidentAcknowledged, ResponderJoined, IncidentResolved, IncidentCancelled, IncidentReopened)
    },
}
# Whose news people are told: how it stands.
NEWS_OF: Mapping[SubjectKind, Reader] = {
    SubjectKind.ALERT: alerts.read_news,
    SubjectKind.INCIDENT: incidents.read_news,
}
PERIODIC = (
    Periodic(LOOK_AFTER_ALERTS, LOOK_AFTER_ALERTS, timedelta(minutes=5), lane="default"),
    Periodic(SWEEP_IDENTITY, SWEEP_IDENTITY, timedelta(minutes=15)),
    Periodic(SWEEP_SIGNALS, SWEEP_SIGNALS, timedelta(hours=1)),
)
# What else waits for a time by the database's clock, or counts from one, beside jobs.
WAITS = (
    Waits(
        "delivery",
        ("wanted_at", "due_at", "sending_at", "unsure_until", "refused_since"),
        "state IN ('queued', 'sending')",
    ),
    Waits("news_item", ("waits_since",), "waits_since IS NOT NULL"),
    Waits("contact_method_health", ("failing_since", "last_failed_at")),
    Waits("escalation_run", ("next_step_at", "round_started_at", "unreached_since"), "state = 'running'"),
    Waits("alert", ("held_until",), "status = 'triggered' AND held_until IS NOT NULL"),
    # The time to answer counts from here.
    Waits("page", ("paged_at",), "state = 'paging'"),
)


def soon(attempt: int) -> timedelta:
    """Wait little before trying again: somebody may have to be woken. At most 10 seconds."""
    return min(backoff(attempt), timedelta(seconds=10))


class App:
    """One process of Tocsin: web, worker or both."""

    def __init__(self, settings: Settings, dsn: str, *, console: TextIO | None = None, pool_size: int = 10) -> None:
        self.settings = settings
        self.db = Database(dsn, bell=settings.bell, pool_size=pool_size)
        self.db.listeners = LISTENERS
        self.metrics = Metrics()
        self.live = Live(self.db)
        self.intake = Intake(self.db, limit=settings.intake_queue)
        self.sources = Sources(self.db)
        self.worker: Worker | None = None
        self._http = OutboundHttp(settings.outbound_allow)
        self._mailer = _mailer(settings)
        self._origins = Origins()
        self._stopping = False
        self.channels = channels(
            http=self._http,
            mailer=self._mailer,
            console=(console or sys.stdout) if settings.console_pages else None,
        )
        self.intake.measure = lambda result, number: self.metrics.intake_signals.labels(result).inc(number)
        self.context: Context | None = None

    async def start(self, *, web: bool = True, worker: bool = True) -> None:
        """Connect, check the schema and begin to work."""
        await self.db.open()
        await migrate.check(self.db)
        async with self.db.begin() as tx:
            # That of links may change at any time, so it is read when it is needed.
            _, form, device = [await identity.secret(tx, name) for name in ("link", "form", "device")]
            keys = Keys(form=form, device=device)
        await ensure_schedules(self.db, PERIODIC)
        kinds = self._kinds()
        self.worker = Worker(self.db, kinds, PERIODIC, locks=self.settings.worker_locks, waits=WAITS)
        self.worker.limit = self._origins.limit
        self.worker.lateness = lambda lane, seconds: self.metrics.job_lateness.labels(lane).observe(seconds)
        self.context = Context(
            settings=self.settings,
            db=self.db,
            intake=self.intake,
            sources=self.sources,
            live=self.live,
            channels=self.channels,
            keys=keys,
            metrics=self.metrics,
            readers=Readers(partial(_still_good, self.db), lambda: self._stopping),
            wrong_tokens=WrongTokens(),
            lanes_silent_for=lambda: self.worker.silent_for() if self.worker and worker else None,
            stopping=lambda: self._stopping,
        )
        if web:
            self.intake.start()
            self.live.start()
        if worker:
            await self.worker.start()

    def say_goodbye(self) -> None:
        """Tell long-lived streams to end, so that the web server can stop."""
        self._stopping = True

    async def stop(self) -> None:
        """Finish what is under way and close everything."""
        self._stopping = True
        await self.live.stop()
        await self.intake.stop()
        if self.worker is not None:
            await self.worker.stop()
        await self._http.aclose()
        if self._mailer is not None:
            await self._mailer.aclose()
        await self.db.close()

    def asgi(self) -> ASGIApp:
        """Return the ASGI application: machine intake first, then pages and API; below a path a border around them."""
        if self.context is None:
            raise RuntimeError("Start the app before you serve it.")
        site = Surroundings(InContext(make_site(), self.context), self.metrics)
        intake = IntakeApp(self.intake, self.sources, self.metrics, max_bytes=self.settings.intake_max_bytes)

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and intake.takes(scope["path"]):
                await intake(scope, receive, send)
            else:
                await site(scope, receive, send)

        root = self.context.settings.root
        return Below(application, root) if root else application

    def _count_in_vain(self, outcome: str) -> None:
        self.metrics.escalations.labels(outcome).inc()

    def _kinds(self) -> list[Kind]:
        db, settings = self.db, self.settings
        sender = Sender(
            db=db,
            channels=self.channels,
            base_url=settings.base_url,
            link_valid_for=timedelta(hours=settings.ack_link_hours),
            origins=self._origins,
            readers=NEWS_OF,
            measure=lambda channel, result: self.metrics.deliveries.labels(channel, result).inc(),
        )

        async def sweep_signals(job: Job) -> None:
            await alerts_jobs.sweep_signals(db, settings.signal_retention_days, job)

        return [
            Kind(alerts.ROUTE, partial(alerts_jobs.route, db), soon),
            Kind(oncall.ADVANCE, partial(oncall_jobs.advance, db), soon),
            Kind(GIVE_UP_ON_PAGE, partial(oncall_jobs.give_up_on_page, db), soon),
            Kind(TRY_OTHER_WAYS, partial(oncall_jobs.try_other_ways, db), soon),
            Kind(LOOK_AGAIN, partial(oncall_jobs.look_again, db), soon),
            Kind(COUNT_IN_VAIN, partial(oncall_jobs.count_in_vain, db, self._count_in_vain), backoff),
            Kind(NOTE_PAGE, partial(incident_jobs.note_page, db), soon),
            Kind(STAND_IN, partial(incident_jobs.stand_in, db), soon),
            Kind(notifications.SEND, partial(send, sender), soon),
            Kind(alerts.PAGE_ANEW, partial(alerts_jobs.page_anew, db), soon),
            Kind(LOOK_AFTER_ALERTS, partial(alerts_jobs.look_after, db), backoff),
            Kind(NEWS_OF_ALERT, partial(alerts_jobs.note_news, db), backoff),
            Kind(NEWS_OF_INCIDENT, partial(incident_jobs.note_news, db), backoff),
            Kind(TELL, partial(tell, db, NEWS_OF), backoff),
            Kind(SWEEP_IDENTITY, partial(identity_jobs.sweep, db), backoff),
            Kind(SWEEP_SIGNALS, sweep_signals, backoff),
        ]


async def _still_good(db: Database, readers: Collection[Actor]) -> Collection[Actor]:
    """Say which of these may still read what happens, in one question for all of them."""
    try:
        async with db.look() as tx:
            return await identity.still_good(tx, readers)
    except STORE_ERRORS:
        return readers  # While the store is away, nothing happens that could be told.


def _mailer(settings: Settings) -> Mailer | None:
    if settings.smtp_host is None:
        return None
    return Mailer(
        SmtpSettings(
            host=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_username,
            password=settings.smtp_password,
            security=Security(settings.smtp_tls),
            sender=settings.smtp_from,
        )
    )


# A form or a JSON document of a person; machine intake has its own limit.
MAX_BODY = 1024 * 1024


@cache
def make_site() -> Litestar:
    """Put pages and API together behind one middleware stack.

    Whose they are comes with each request (`InContext`), so that one site, which is dear to make, is enough for a
    process.
    """

    async def check_form(request: AppRequest) -> None:
        refuse(request)
        await csrf.check(context_of(request.scope), request)

    def answer(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        answerer = answer_problem if request.url.path.startswith(("/api/", "/in/")) else web.answer_error
        return answerer(request, error)

    return Litestar(
        route_handlers=[*web.HANDLERS, *api.HANDLERS],
        dependencies={
            "context": Provide(provide_context, sync_to_thread=False),
            "who": Provide(provide_who, sync_to_thread=False),
        },
        middleware=[Authentication],
        before_request=check_form,
        exception_handlers={Exception: answer},
        openapi_config=api.OPENAPI,
        request_max_body_size=MAX_BODY,
        logging_config=None,
        pdb_on_exception=False,
    )
