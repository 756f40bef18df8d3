"""Machine intake: `POST /in/<kind>/<token>` and `POST /compat/pagerduty/v2/enqueue`.

A raw ASGI application, because this path has to keep up when everything fires at once. The rule of the house:
2xx means durably stored. A full queue or an unreachable store answers 503 with `Retry-After`, never 4xx; what is
wrong with a request is said in the protocol's own error body. A slash too many, also at the end, changes nothing:
addresses are put together by hand and by tools.

Limits: a body of `TOCSIN_INTAKE_MAX_BYTES` (1 MiB), for PagerDuty 512,000 bytes, also when it is unpacked;
`application/json` or no content type; `gzip`, `deflate` or no content encoding. Answers: 202 stored, 400 unreadable,
403 source switched off, 404 unknown token, 405, 413, 415, 422, 503.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from litestar.types import HTTPScope, Receive, Send

from tocsin.alerts.intake import Intake, Source, Sources
from tocsin.alerts.sources import ADAPTERS, PAGERDUTY_PATH
from tocsin.alerts.sources.base import Adapter, Parsed
from tocsin.api.base.receiving import Disconnected, read_body, too_large, unpacked
from tocsin.edge.metrics import Metrics
from tocsin.edge.problems import PROBLEM_JSON, WrongMethod, headers_of
from tocsin.kit.clock import monotonic
from tocsin.kit.errors import Invalid, NotFound, Problem, Unreadable, WrongType

PAGERDUTY_MAX_BYTES = 512_000
# What is read in a few milliseconds at worst.
_READ_AT_ONCE = 32 * 1024
_READERS = 2
_PREFIX = "/in/"
_COMPATIBLE = "/compat/"
_SLASHES = re.compile(r"/{2,}")
_TYPES = frozenset(
    {
        *("", "application/json", "text/json", "text/plain", "application/octet-stream"),
        *("application/x-ndjson", "application/ndjson", "application/jsonl"),
    }
)


class NoSuchAddress(NotFound):
    """Nothing takes signals here, whatever the token."""


class IntakeApp:
    """Takes signals in; one instance per web process."""

    def __init__(self, intake: Intake, sources: Sources, metrics: Metrics, *, max_bytes: int) -> None:
        self._intake = intake
        self._sources = sources
        self._metrics = metrics
        self._max_bytes = max_bytes
        # Threads of its own: the loop's are where look-ups of names and passwords may stand in line.
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="intake")

    @staticmethod
    def takes(path: str) -> bool:
        """Say whether this path is machine intake."""
        return f"{_plain(path)}/".startswith((_PREFIX, _COMPATIBLE))

    async def __call__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        began = monotonic()
        path = _plain(scope["path"])
        kind, token = _kind_and_token(path)
        adapter = ADAPTERS.get(kind) or ADAPTERS["generic"]
        method: str = scope["method"]
        extra: dict[str, str] = {}
        try:
            if kind not in ADAPTERS or (token == "" and path != PAGERDUTY_PATH):
                raise NoSuchAddress("There is no such alert source. Check the address that you copied.")
            if method != "POST":
                raise WrongMethod("POST")
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
            status, answer = await self._take(adapter, token, headers, receive)
        except Disconnected:
            return
        except Problem as problem:
            status, answer = adapter.refused(problem)
            if isinstance(problem, NoSuchAddress | WrongMethod):
                # These are about the address, not about the event that a protocol has its own words for.
                status = problem.status
            extra = headers_of(problem)
        ok = status < 400
        if not ok and kind != "pagerduty":
            extra["content-type"] = PROBLEM_JSON
        self._metrics.intake_seconds.labels(adapter.kind).observe(monotonic() - began)
        await _answer(send, status, answer, extra)

    async def _take(
        self, adapter: Adapter, token: str, headers: Mapping[str, str], receive: Receive
    ) -> tuple[int, bytes]:
        source = await self._source(token, adapter) if token else None
        limit = min(self._max_bytes, PAGERDUTY_MAX_BYTES) if adapter.kind == "pagerduty" else self._max_bytes
        body = await _read(receive, headers, limit)
        content_type = headers.get("content-type", "")
        try:
            body = unpacked(body, headers.get("content-encoding", ""), limit)
            _check_type(content_type)
            parsed = await self._parse(adapter, body, headers)
        except (Unreadable, Invalid, WrongType) as problem:
            await self._keep_refused(source, adapter, body, headers, problem)
            raise
        if source is None:
            source = await self._source(parsed.routing_key, adapter)
        await self._intake.submit(source, body, content_type, parsed)
        return adapter.accepted(parsed)

    async def _parse(self, adapter: Adapter, body: bytes, headers: Mapping[str, str]) -> Parsed:
        """Read a body; a large one beside everything else, as it may take the better part of a second."""
        if len(body) <= _READ_AT_ONCE:
            return adapter.parse(body, headers)
        return await asyncio.get_running_loop().run_in_executor(self._readers, adapter.parse, body, headers)

    async def _keep_refused(
        self, source: Source | None, adapter: Adapter, body: bytes, headers: Mapping[str, str], problem: Problem
    ) -> None:
        """Store what could not be read, so that people see it; not where nobody can say whose it is."""
        key = ""
        if source is None:
            key = adapter.routing_key(body, headers)
            with contextlib.suppress(NotFound):
                source = await self._source(key, adapter)
        if source is not None:
            reason = _in_words(problem)
            await self._intake.submit_rejected(source, body, headers.get("content-type", ""), reason, routing_key=key)

    async def _source(self, token: str, adapter: Adapter) -> Source:
        source = await self._sources.find(token) if len(token) <= 100 else None
        if source is None or source.kind != adapter.kind:
            what = "routing_key not found" if adapter.kind == "pagerduty" else "There is no such alert source."
            raise NotFound(what, hint=_COPY_IT_AGAIN)
        return source


_COPY_IT_AGAIN = "The token may have been rotated, or belongs to a source of another kind. Copy the address again."


def _plain(path: str) -> str:
    """Return the address without the slashes that say nothing."""
    return (_SLASHES.sub("/", path) if "//" in path else path).rstrip("/")


def _kind_and_token(path: str) -> tuple[str, str]:
    """Read the format and the token from a plain address; a compatible one has its token elsewhere."""
    if path.startswith(_COMPATIBLE):
        return path.removeprefix(_COMPATIBLE).partition("/")[0], ""
    kind, _, token = path.removeprefix(_PREFIX).partition("/")
    return kind, token


def _check_type(content_type: str) -> None:
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in _TYPES and not kind.endswith("+json"):
        raise WrongType(f"Send JSON (application/json), not {kind[:80]}.")


def _in_words(problem: Problem) -> str:
    """Name everything that is wrong, as the sender's own answer does."""
    if isinstance(problem, Invalid):
        return "; ".join(error.detail for error in problem.errors)
    return problem.message


async def _read(receive: Receive, headers: Mapping[str, str], limit: int) -> bytes:
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise too_large(limit)
    return await read_body(receive, limit)


async def _answer(send: Send, status: int, body: bytes, extra: Mapping[str, str]) -> None:
    headers = {"content-type": "application/json", "content-length": str(len(body)), **extra}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})
