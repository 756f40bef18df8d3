"""The OpenAPI document and a page that shows it. Everything is served from here, nothing is loaded from elsewhere."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, get

from tocsin.api.openapi import complete

# Swagger UI writes style attributes, and shows its icons as data: images.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_PAGE = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tocsin API</title>
<link rel="icon" href="/static/favicon.svg">
<link rel="stylesheet" href="/static/vendor/swagger/swagger-ui.css">
<div id="api"></div>
<script src="/static/vendor/swagger/swagger-ui-bundle.js"></script>
<script src="/static/api-docs.js"></script>
</html>
"""


@get("/api/v1/openapi.json", include_in_schema=False)
async def openapi_document(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Describe the API (OpenAPI 3.1). Needs no credential: it says nothing about this installation."""
    document = complete(request.app.openapi_schema.to_schema())
    return Response(msgspec.json.encode(document), media_type="application/json")


@get("/api/v1/docs", include_in_schema=False)
async def docs_page() -> Response[bytes]:
    """Show the API."""
    return Response(_PAGE, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": _POLICY})


HANDLERS = [openapi_document, docs_page]
