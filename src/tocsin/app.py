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
from tocsin.alerts import jobs as alert_jobs
from tocsin.alerts import service as alerts
from tocsin.alerts.intake import Intake, Sources
from tocsin.api.base.http import answer_problem
from tocsin.api.intake import IntakeApp
from tocsin.db import migrate
from tocsin.db.engine import Database
from tocsin.db.errors import STORE_ERRORS
from tocsin.edge import csrf
from tocsin.edge.auth import Authentication, refuse
from tocsin.edge.below import Below
from tocsin.edge.context import AppRequest, Context, InContext, Keys, context_of, provide_context, provide_who
from tocsin.edge.metrics import Metrics
from tocsin.edge.middleware import Surroundings
from tocsin.edge.packing import Packing
from tocsin.edge.readers import Readers
from tocsin.edge.wrong_tokens import WrongTokens
from tocsin.events import jobs as event_jobs
from tocsin.events.live import Live
from tocsin.events.reactions import listeners
from tocsin.identity import jobs as identity_jobs
from tocsin.identity import service as identity
from tocsin.identity.model import Actor
from tocsin.incidents import jobs as incident_jobs
from tocsin.incidents import service as incidents
from tocsin.incidents.model import ACTION_ITEM_ID
from tocsin.jobs.worker import Worker, ensure_schedules
from tocsin.net.http import OutboundHttp
from tocsin.net.smtp import Mailer, Security, SmtpSettings
from tocsin.notifications import jobs as notification_jobs
from tocsin.notifications.channels import channels
from tocsin.notifications.jobs import Sender
from tocsin.notifications.model import SubjectKind
from tocsin.notifications.origins import Origins
from tocsin.notifications.reminding import Still
from tocsin.notifications.telling import Reader
from tocsin.oncall import jobs as oncall_jobs
from tocsin.oncall.jobs import InVain
from tocsin.settings import Settings

# What is done and when, and who reacts to what; a name that is not one fails here, at the import.
JOBS = (
    *event_jobs.JOBS,
    *identity_jobs.JOBS,
    *notification_jobs.JOBS,
    *oncall_jobs.JOBS,
    *alert_jobs.JOBS,
    *incident_jobs.JOBS,
)
LISTENERS = listeners((*oncall_jobs.REACTIONS, *alert_jobs.REACTIONS, *incident_jobs.REACTIONS), JOBS)
PERIODIC = (*event_jobs.PERIODIC, *identity_jobs.PERIODIC, *alert_jobs.PERIODIC, *incident_jobs.PERIODIC)
# What else waits for a time by the database's clock, or counts from one, beside jobs.
WAITS = (*notification_jobs.WAITS, *oncall_jobs.WAITS, *alert_jobs.WAITS, *incident_jobs.WAITS)
# Whose news people are told: how it stands.
NEWS_OF: Mapping[SubjectKind, Reader] = {
    SubjectKind.ALERT: alerts.read_news,
    SubjectKind.INCIDENT: incidents.read_news,
}

# What people are reminded of: whether it is still so.
REMINDERS_OF: Mapping[str, Still] = {ACTION_ITEM_ID.name: incidents.still_to_remind}


class App:
    """One process of Tocsin: web, worker or both."""

    def __init__(self, settings: Settings, dsn: str, *, console: TextIO | None = None, pool_size: int = 10) -> None:
        self.settings = settings
        self.db = Database(dsn, bell=settings.bell, pool_size=pool_size, listeners=LISTENERS)
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
        locks, parts = self.settings.worker_locks, self._parts()
        self.worker = Worker(self.db, JOBS, PERIODIC, locks=locks, waits=WAITS, parts=parts)
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
        site = Surroundings(Packing(InContext(make_site(), self.context)), self.metrics)
        intake = IntakeApp(self.intake, self.sources, self.metrics, max_bytes=self.settings.intake_max_bytes)

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and intake.takes(scope["path"]):
                await intake(scope, receive, send)
            else:
                await site(scope, receive, send)

        root = self.context.settings.root
        return Below(application, root) if root else application

    def _parts(self) -> tuple[object, ...]:
        """Return what jobs are given of this process."""
        sender = Sender(
            db=self.db,
            channels=self.channels,
            base_url=self.settings.base_url,
            link_valid_for=timedelta(hours=self.settings.ack_link_hours),
            origins=self._origins,
            readers=NEWS_OF,
            is_of_inbox=incidents.is_of_inbox,
            still=REMINDERS_OF,
            measure=lambda channel, result: self.metrics.deliveries.labels(channel, result).inc(),
        )
        in_vain = InVain(lambda outcome: self.metrics.escalations.labels(outcome).inc())
        return self.settings, sender, in_vain


async def _still_good(db: Database, readers: Collection[Actor]) -> Collection[Actor]:
    """Say which of these may still read what happens, in one question for all of them."""
    try:
        async with db.look() as tx:
            return await incidents.still_good(tx, readers)
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
