"""Server-rendered pages and htmx fragments."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response

from tocsin.api.http import answer_problem

HANDLERS: list[Any] = []


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    return answer_problem(request, error)
