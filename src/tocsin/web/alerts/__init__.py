"""Alerts: the list and one alert."""

from __future__ import annotations

from tocsin.web.alerts import pages

HANDLERS = [*pages.HANDLERS]
