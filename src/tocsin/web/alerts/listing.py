"""What the list of alerts is: what one can choose and do in it, and what somebody who asked for it wants to see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tocsin.alerts import list_queries
from tocsin.alerts.list_queries import Filter
from tocsin.alerts.model import OPEN, SOURCE_ID, AlertStatus
from tocsin.db.engine import Tx
from tocsin.events.vocabulary import SEVERITIES, severity
from tocsin.identity.model import Actor
from tocsin.incidents import queries as incident_queries
from tocsin.oncall.model import PagingTrouble
from tocsin.web.base import lists
from tocsin.web.base.lists import Act, Asked, Choice, Column, Kind, ListOf

_STATES: Mapping[str, Filter] = {
    "open": Filter(statuses=OPEN),
    "action": Filter(needs_action=True),
    "unanswered": Filter(troubles=tuple(PagingTrouble)),
    "acknowledged": Filter(statuses=(AlertStatus.ACKNOWLEDGED,)),
    "resolved": Filter(statuses=(AlertStatus.RESOLVED,)),
    "all": Filter(),
}
INBOX = ListOf(
    place="/alerts",
    one="alert",
    many="alerts",
    search="Number, words, label",
    columns=(
        Column("sev", "Severity"),
        Column("ttl", "Alert"),
        Column("bars", "3 h", priority=4),
        Column("state", "State"),
        Column("who", "On it", priority=3),
        Column("do", "Act", priority=2, is_quiet=True),
    ),
    filters=(
        lists.Filter(
            "tab",
            "State",
            Kind.ONE,
            (
                Choice("open", "Open"),
                Choice("action", "Not acknowledged"),
                Choice("unanswered", "Nobody answered"),
                Choice("acknowledged", "Acknowledged"),
                Choice("resolved", "Resolved"),
                Choice("all", "All"),
            ),
            usual="open",
        ),
        lists.Filter(
            "severity",
            "Severity",
            choices=[
                Choice(str(n), severity(n), word.label, f"sev{n}", f"sev{n}") for n, word in sorted(SEVERITIES.items())
            ],
        ),
        lists.Filter("source", "Source"),
        lists.Filter("label", "Label", Kind.TEXT, example="team=payments"),
        lists.Filter("mine", "Mine", Kind.SWITCH, (Choice("1", "Mine"),)),
        lists.PERIOD,
    ),
    orders=(Choice("answer", "By answer"), Choice("newest", "Newest first")),
    peeks=True,
    exports=True,
)
ACTS = (
    Act("acknowledge", "Acknowledge", "check", key="a"),
    Act(
        "resolve",
        "Resolve",
        "circle-check",
        asks="They end, and whoever is being paged about them is left in peace. This cannot be taken back.",
        yes="Resolve them",
    ),
    Act("link", "Link to incident", "link", yes="Link them", field="incident", label="Incident", example="INC-7"),
    Act("unacknowledge", "Give back", "rotate-ccw", asks="Somebody is paged for them again.", yes="Give them back"),
    Act("escalate", "Escalate", "arrow-up-from-line", asks="The next step is paged now.", yes="Escalate them"),
)


async def wanted_of(tx: Tx, who: Actor, asked: Asked) -> Filter:
    """Return what narrows the list to what somebody asked for."""
    of_state = _STATES[asked.one("tab")]
    labels = [found for text in asked.all("label") if (found := list_queries.label_in(text)) is not None]
    return replace(
        of_state,
        severities=[int(value) for value in asked.all("severity")],
        source_ids=asked.ids("source", SOURCE_ID),
        labels={name: [value] for name, value in labels},
        on_it=who.user_id if asked.one("mine") else None,
        created_from=lists.since(asked, tx.now),
        q=asked.q,
        incidents=await incident_queries.named_in(tx, who.access, asked.q),
    )
