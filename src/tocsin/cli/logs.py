"""How log lines look: for people on a terminal, as JSON everywhere else."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from tocsin.db.errors import hide_values
from tocsin.settings import Settings

_SHARED: tuple[structlog.typing.Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def set_up_logs(settings: Settings) -> None:
    """Send every log line, ours and the libraries', through one formatter to standard error."""
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(as_json=as_json))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for noisy in ("uvicorn.access", "uvicorn.error", "asyncio", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # One line per request is for the file, not for somebody who waits for a page on the terminal.
    if not as_json and settings.log_level == "info":
        logging.getLogger("tocsin.http").setLevel(logging.WARNING)


def formatter(*, as_json: bool) -> logging.Formatter:
    """Return what writes every line. Local variables of a traceback may hold secrets, so they are never written."""
    plain = structlog.dev.plain_traceback
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(exception_formatter=plain)
    )
    last: list[structlog.typing.Processor] = [structlog.processors.format_exc_info] if as_json else []
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _hide_values, *last, renderer],
    )


def _hide_values(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Keep what PostgreSQL quotes of a row out of every traceback, also of those that libraries log."""
    given: Any = event.get("exc_info")
    # An exception, a tuple with one, or only that there is one at this moment.
    error: BaseException | None = sys.exc_info()[1] if given is True else None
    if given and given is not True:
        error = given if isinstance(given, BaseException) else given[1]
    if error is not None:
        hide_values(error)
    return event
