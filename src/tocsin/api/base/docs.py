"""The OpenAPI document and a page that shows it. Everything is served from here, nothing is loaded from elsewhere."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, get

from tocsin.api.base.openapi import complete
from tocsin.edge.auth import session_cookie
from tocsin.edge.context import Ctx
from tocsin.edge.rights import rights_of
from tocsin.kit.addresses import at

# Swagger UI writes style attributes, and shows its icons as data: images.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tocsin API</title>
<link rel="icon" href="{favicon}">
<link rel="stylesheet" href="{style}">
<div id="api"></div>
<script src="{library}"></script>
<script src="{script}"></script>
</html>
"""
_FILES = {
    "favicon": "/static/favicon.svg",
    "style": "/static/vendor/swagger/swagger-ui.css",
    "library": "/static/vendor/swagger/swagger-ui-bundle.js",
    "script": "/static/js/api-docs.js",
}


@get("/api/v1/openapi.json", include_in_schema=False)
async def openapi_document(request: Request[Any, Any, Any], context: Ctx) -> Response[bytes]:
    """Describe the API (OpenAPI 3.1). Needs no credential: of this installation it says the path and no more."""
    settings = context.settings
    cookie = session_cookie(settings.base_url)
    schema, rights = request.app.openapi_schema.to_schema(), rights_of(request.app)
    document = complete(schema, server=settings.root or "/", cookie=cookie, rights=rights)
    return Response(msgspec.json.encode(document), media_type="application/json")


@get("/api/v1/docs", include_in_schema=False)
async def docs_page(context: Ctx) -> Response[bytes]:
    """Show the API."""
    files = {name: at(context.settings.root, path) for name, path in _FILES.items()}
    page = _PAGE.format_map(files).encode()
    return Response(page, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": _POLICY})


HANDLERS = [openapi_document, docs_page]
