"""Use cases of paging: policies, starting and advancing runs, answering pages, ending runs."""

from tocsin.oncall.service.answers import (
    answer_incident_pages,
    answer_page,
    decline_page,
    escalate_run,
    give_up_on_page,
    page,
)
from tocsin.oncall.service.policies import StepDraft, create_policy, delete_policy, update_policy
from tocsin.oncall.service.runs import ADVANCE, Start, advance, end_calm_runs, end_runs, link_runs, start, what_follows

__all__ = [
    "ADVANCE",
    "Start",
    "StepDraft",
    "advance",
    "answer_incident_pages",
    "answer_page",
    "create_policy",
    "decline_page",
    "delete_policy",
    "end_calm_runs",
    "end_runs",
    "escalate_run",
    "give_up_on_page",
    "link_runs",
    "page",
    "start",
    "update_policy",
    "what_follows",
]
