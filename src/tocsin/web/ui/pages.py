"""Every component in every state, made of the macros that pages use. In development only; reads no database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from litestar import get
from markupsafe import Markup

from tocsin.edge.context import AppRequest, Ctx
from tocsin.edge.rights import Right
from tocsin.kit.errors import FieldError, Invalid, NotFound
from tocsin.web.base import pages
from tocsin.web.base.forms import Form, Refused
from tocsin.web.base.screens import Flash, Screen
from tocsin.web.parts.standing import Standing

# A moment that stands still, so that the page looks the same each time.
_NOW = datetime(2026, 11, 21, 14, 32, tzinfo=UTC)
_SOON = _NOW + timedelta(minutes=4, seconds=12)


@dataclass(frozen=True, slots=True)
class Responder:
    """Whoever was asked to help, as `ui.responder_state` reads them."""

    state: str
    took: int | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Comment:
    """What an entry that somebody wrote has besides."""

    id: str
    edited_at: datetime | None = None
    erased_at: datetime | None = None
    erased_by: str = ""
    may_edit: bool = False
    may_erase: bool = False
    may_read_earlier: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a timeline, as `_timeline_entry.html` reads one."""

    id: str
    kind: str
    actor_name: str
    words: Sequence[tuple[str, bool]] = ()
    is_key: bool = False
    detail: str = ""
    icon: str = "activity"
    hue: str = "slate"
    body_html: Markup | None = None
    at: datetime = _NOW - timedelta(minutes=20)
    comment: Comment | None = None
    via: str = ""
    recorded_at: datetime | None = None
    may_mark: bool = False


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody did at once."""

    lead: Entry
    also: Sequence[Entry] = ()
    folded: Sequence[Entry] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentsScreen(Screen):
    """What the components are shown with."""

    template: ClassVar = "ui/ui.html"
    alerts: Sequence[Standing]
    responders: Sequence[Responder]
    acts: Sequence[Act]


_ALERTS = (
    Standing("paging", "Paging", "bell-ring", "amber", until=_SOON),
    Standing("unrouted", "Not routed", "inbox", is_plain=True),
    Standing("held", "Held back", "clock", until=_SOON),
    Standing("unanswered", "Nobody answered", "phone-off", "red"),
    Standing("acknowledged", "Acknowledged", "check", "green", is_plain=True, took=95),
    Standing("resolved", "Resolved", "circle-check", "green", is_plain=True),
)
_RESPONDERS = (
    *(Responder("paging", until=_SOON), Responder("acknowledged", took=42)),
    *(Responder(state) for state in ("joined", "declined", "no_answer", "failed", "not_needed", "left")),
)
_SAID = Markup("<p>The <strong>queue</strong> drains again.</p>")
_EARLIER = _NOW - timedelta(minutes=5)
_ADA = ("Ada Lovelace", True)
_ACTS = (
    Act(
        Entry("e1", "event", "Ada Lovelace", [_ADA, (" acknowledged the alert", False)], icon="check", hue="green"),
        folded=[Entry("e6", "event", "Tocsin", [("The escalation ended", False)], icon="bell-off")],
    ),
    Act(
        Entry(
            *("e2", "event", "Ada Lovelace", [_ADA, (" raised the severity", False)], True, "It was SEV3."),
            icon="triangle-alert",
            hue="red",
        ),
        also=[Entry("e7", "event", "Ada Lovelace", [_ADA, (" took the role of lead", False)], is_key=True)],
    ),
    *(
        Act(Entry(comment.id, "comment", "Grace Hopper", body_html=_SAID, comment=comment))
        for comment in (
            Comment("e3"),
            Comment("e4", edited_at=_EARLIER, may_edit=True, may_erase=True, may_read_earlier=True),
            Comment("e5", erased_at=_EARLIER, erased_by="Ada Lovelace"),
        )
    ),
)


_REFUSED = Refused(
    "bad",
    Form({"name": [""], "kind": ["2"], "text": [""], "agreed": ["1"]}),
    Invalid.of(
        tuple(
            FieldError(f"#/{field}", words, "invalid")
            for field, words in {
                "": "Two fields need your attention.",
                "name": "Give it a name.",
                "text": "Say what was done.",
                "kind": "This is taken.",
            }.items()
        )
    ),
)


@get("/ui", sync_to_thread=False, needs=Right.NONE)
def every_component(request: AppRequest, context: Ctx) -> pages.Page:
    """Show all components; there is no such page unless `TOCSIN_DEVELOPMENT` is on."""
    if not context.settings.development:
        raise NotFound("")
    shell = replace(pages.bare(request, context, _NOW), flashes=[Flash("Saved.")])
    screen = ComponentsScreen(shell, alerts=_ALERTS, responders=_RESPONDERS, acts=_ACTS, refused=_REFUSED)
    return pages.render(screen, status=200)


HANDLERS = [every_component]
