"""What people do with an incident: declare it, move it, take it on, ask for help, link alerts, end it.

What changes an incident locks it first, then alerts, then escalation runs; a comment is locked without its incident. A
change of the incident itself makes older copies stale; people, comments and links do not, so that somebody joining
never spoils somebody else's edit.
"""

from tocsin.incidents.service.action_items import (
    ChangedItem,
    change_action_items,
    complete_action_item,
    create_action_item,
    delete_action_item,
    free_action_items,
    reopen_action_item,
    update_action_item,
)
from tocsin.incidents.service.comments import (
    add_key_event,
    comment,
    edit_comment,
    edit_key_event,
    erase_comment,
    erase_key_event,
    read_comment,
    read_revisions,
)
from tocsin.incidents.service.conflicts import as_seen
from tocsin.incidents.service.declaring import declare, prefill
from tocsin.incidents.service.editing import IncidentChanges, update, update_status
from tocsin.incidents.service.ending import cancel, close, reopen, resolve
from tocsin.incidents.service.explaining import explain_alert
from tocsin.incidents.service.filling_in import Filled
from tocsin.incidents.service.leaving import free_alert, mark_of, needs_of, stand_in, take_back_messages, update_person
from tocsin.incidents.service.linking import Linked, LinkedWhereFree, link_alerts, link_free_alerts, unlink_alert
from tocsin.incidents.service.links import AnswerLink, LinkAct, answer_by_link, read_link
from tocsin.incidents.service.marking import mark_entry
from tocsin.incidents.service.news import note_news, read_news
from tocsin.incidents.service.paging import (
    Already,
    Asked,
    Missed,
    answer_page,
    decline_page,
    escalate_page,
    note_page,
    page,
    read_page,
)
from tocsin.incidents.service.people import acknowledge, assign_roles, join, leave
from tocsin.incidents.service.reminding import remind_of_one, still_to_remind
from tocsin.incidents.service.sending import is_of_inbox
from tocsin.incidents.service.sharing import Holder, change_owners, grant, list_grants, read_sharing, revoke_grant
from tocsin.incidents.service.together import (
    MOST_TOGETHER,
    Change,
    Changed,
    ChangeSeverity,
    GiveRole,
    MoveTo,
    Resolve,
    change_all,
)
from tocsin.incidents.service.visiting import open_visit, still_good, visitor, what_it_opens

__all__ = [
    "MOST_TOGETHER",
    "Already",
    "AnswerLink",
    "Asked",
    "Change",
    "ChangeSeverity",
    "Changed",
    "ChangedItem",
    "Filled",
    "GiveRole",
    "Holder",
    "IncidentChanges",
    "LinkAct",
    "Linked",
    "LinkedWhereFree",
    "Missed",
    "MoveTo",
    "Resolve",
    "acknowledge",
    "add_key_event",
    "answer_by_link",
    "answer_page",
    "as_seen",
    "assign_roles",
    "cancel",
    "change_action_items",
    "change_all",
    "change_owners",
    "close",
    "comment",
    "complete_action_item",
    "create_action_item",
    "declare",
    "decline_page",
    "delete_action_item",
    "edit_comment",
    "edit_key_event",
    "erase_comment",
    "erase_key_event",
    "escalate_page",
    "explain_alert",
    "free_action_items",
    "free_alert",
    "grant",
    "is_of_inbox",
    "join",
    "leave",
    "link_alerts",
    "link_free_alerts",
    "list_grants",
    "mark_entry",
    "mark_of",
    "needs_of",
    "note_news",
    "note_page",
    "open_visit",
    "page",
    "prefill",
    "read_comment",
    "read_link",
    "read_news",
    "read_page",
    "read_revisions",
    "read_sharing",
    "remind_of_one",
    "reopen",
    "reopen_action_item",
    "resolve",
    "revoke_grant",
    "stand_in",
    "still_good",
    "still_to_remind",
    "take_back_messages",
    "unlink_alert",
    "update",
    "update_action_item",
    "update_person",
    "update_status",
    "visitor",
    "what_it_opens",
]
