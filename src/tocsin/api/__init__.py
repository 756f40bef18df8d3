"""The JSON API and machine intake."""

from __future__ import annotations

from litestar.openapi import OpenAPIConfig

from tocsin import __version__
from tocsin.api import health, me

HANDLERS = [*health.HANDLERS, *me.HANDLERS]
OPENAPI = OpenAPIConfig(title="Tocsin", version=__version__, path="/api/v1")
