"""Use cases of paging: policies, starting and advancing runs, answering pages, ending runs."""

from tocsin.oncall.service.answers import (
    answer_page,
    decline_page,
    escalate_run,
    give_up_on_page,
    page,
    pass_on_if_gone,
    try_other_ways,
)
from tocsin.oncall.service.beginning import begin
from tocsin.oncall.service.contact import pages_them, remove_contact_method
from tocsin.oncall.service.fallback import Fallback, describe_fallback, set_fallback
from tocsin.oncall.service.following import Asked, Going, going
from tocsin.oncall.service.foretelling import Foretold, foretell
from tocsin.oncall.service.policies import PolicyChanges, StepDraft, create_policy, delete_policy, update_policy
from tocsin.oncall.service.runs import advance, begin_again, end_calm_runs, end_runs, link_runs, start_anew
from tocsin.oncall.service.steps import ADVANCE, Start, StepIsOver, start, what_follow, what_follows
from tocsin.oncall.service.waking import MATTERS, look_again, use_new_way
from tocsin.oncall.service.wording import PageWords, reword

__all__ = [
    "ADVANCE",
    "MATTERS",
    "Asked",
    "Fallback",
    "Foretold",
    "Going",
    "PageWords",
    "PolicyChanges",
    "Start",
    "StepDraft",
    "StepIsOver",
    "advance",
    "answer_page",
    "begin",
    "begin_again",
    "create_policy",
    "decline_page",
    "delete_policy",
    "describe_fallback",
    "end_calm_runs",
    "end_runs",
    "escalate_run",
    "foretell",
    "give_up_on_page",
    "going",
    "link_runs",
    "look_again",
    "page",
    "pages_them",
    "pass_on_if_gone",
    "remove_contact_method",
    "reword",
    "set_fallback",
    "start",
    "start_anew",
    "try_other_ways",
    "update_policy",
    "use_new_way",
    "what_follow",
    "what_follows",
]
