"""Which priority an incident has as long as nobody has given it one. Pure; a priority is a label, and pages nobody."""

from __future__ import annotations

from collections.abc import Mapping

from tocsin.incidents.model import Incident, Priority
from tocsin.notifications.model import Urgency

Ranks = Mapping[tuple[int, Urgency], Priority]

# By severity and urgency. An organisation may have a table of its own.
USUAL: Ranks = {
    (1, Urgency.HIGH): Priority.P1,
    (1, Urgency.LOW): Priority.P2,
    (2, Urgency.HIGH): Priority.P2,
    (2, Urgency.LOW): Priority.P3,
    (3, Urgency.HIGH): Priority.P3,
    (3, Urgency.LOW): Priority.P3,
    (4, Urgency.HIGH): Priority.P3,
    (4, Urgency.LOW): Priority.P4,
    (5, Urgency.HIGH): Priority.P4,
    (5, Urgency.LOW): Priority.P4,
}


def settle(incident: Incident, table: Ranks) -> None:
    """Give the incident the priority of its severity and urgency, unless it has one that somebody chose."""
    if not incident.is_priority_set:
        incident.priority = table[incident.severity, Urgency(incident.urgency)]
