"""Incidents as the areas of the API know them that each add something to `/incidents/{id}`."""

from __future__ import annotations

from tocsin.api.base.resource import Resource
from tocsin.api.shapes.incidents import IncidentOut, shape_all
from tocsin.api.shapes.refs import INCIDENT
from tocsin.identity.access import P

INCIDENTS = Resource(
    "/incidents", INCIDENT, IncidentOut, shape_all, view=P.INCIDENT_VIEW, manage=P.INCIDENT_EDIT, tag="incidents"
)
