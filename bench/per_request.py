"""The variant that group commit is compared with: one transaction for each request, on as many connections as help.

Run as `python -m bench.per_request`; settings come from the environment, as for `tocsin serve`.
"""

from __future__ import annotations

import asyncio

import uvicorn
import uvloop

from tocsin.alerts.batch import Item, Source
from tocsin.alerts.intake import Intake
from tocsin.alerts.sources.base import Parsed
from tocsin.app import App
from tocsin.cli import runtime
from tocsin.db import migrate


class PerRequest(Intake):
    """Writes each request at once and alone; everything else is the product."""

    async def submit(self, source: Source, body: bytes, content_type: str, parsed: Parsed) -> None:
        done = asyncio.get_running_loop().create_future()
        await self._write([Item(source, body, content_type, parsed.signals, "accepted", "", done)])
        await done


async def main() -> None:
    settings = runtime.read_settings()
    async with runtime.embedded(settings, lambda _: None) as dsn:
        app = App(settings, dsn, pool_size=16)
        await migrate.upgrade(app.db)
        app.intake = PerRequest(app.db, limit=settings.intake_queue)
        await app.start()
        config = uvicorn.Config(
            app.asgi(), host=settings.host, port=settings.port, log_config=None, access_log=False, lifespan="off"
        )
        await uvicorn.Server(config).serve()
        await app.stop()


if __name__ == "__main__":
    uvloop.run(main())
