"""The one error of the embedded server."""

from __future__ import annotations


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot run. The message tells the operator what is wrong and what to do."""
