"""Screens: all that a template is given, as a type of its own.

A screen names its template and has a field for each name that this, and whatever it includes, takes from outside; a
name that is missing and one that is not used fail `tests/contracts/test_screens.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from tocsin.web.base.first_steps import NextStep
from tocsin.web.base.forms import Refused
from tocsin.web.base.navigation import Menu


@dataclass(frozen=True, slots=True)
class Flash:
    """What the last request did, in a few words."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    """What stands around a page without the shell, readable without a database."""

    root: str
    # In the reader's zone, in which all times are shown; None where no database was asked.
    now: datetime | None
    csrf_token: str
    # `light` or `dark`, from the cookie; empty follows the system.
    theme: str
    # Of this request, without the query.
    path: str
    # Whether the script asked for a dialog alone, to open it over the page that is there (js/dialogs.js).
    in_sheet: bool = False
    flashes: Sequence[Flash] = ()
    # The parts of a page that whoever asks has already; see base/fragments.py.
    known: frozenset[str] = frozenset()
    # Of who came by the link of a page: when that is over. They are shown `by_link.html` in the place of `base.html`.
    by_link_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Me:
    """The reader, as templates know them."""

    id: str
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class Paged:
    """A page that waits for the reader's answer. `place` is where that which it is about stands.

    `until` is when `next_names` are paged, nobody if there are none. `request` is what somebody who asked for help
    said, empty for an alert. `step` guards against a repeat. A reminder asks somebody who has acknowledged an alert
    whether they are still on it.
    """

    id: str
    place: str
    ref: str
    title: str
    severity: int
    since: datetime
    why: str
    request: str
    until: datetime | None
    next_names: Sequence[str]
    step: str
    may_escalate: bool
    is_reminder: bool


def counts_around(badges: Mapping[str, int], paged: Sequence[str]) -> dict[str, Any]:
    """Return what `js/counts.js` shows: the counts of the navigation, and which pages wait for the reader."""
    return {**badges, "paged": list(paged)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell(Bare):
    """What stands around every signed-in page."""

    now: datetime
    me: Me
    org_name: str
    # What the reader may open, and where they are.
    menu: Menu
    may_declare: bool
    # Keys without Ctrl are off (WCAG 2.1.4), from the cookie.
    keys_off: bool
    # What `Entry.count` names.
    badges: Mapping[str, int]
    # Where the live stream begins: what happened since the page was read is told, too.
    live_after: str
    # Tells this session from others in the same browser, and nothing else.
    session: str
    # The pages that wait for the reader's answer, the gravest first.
    paged: Sequence[Paged]
    # The request brings a page up to date that has the shell already.
    is_update: bool
    # What is left until an alert reaches somebody, on the pages where that is done.
    next_step: NextStep | None = None

    @property
    def around(self) -> str:
        """Return what the browser shows of the counts, as JSON: see `js/counts.js`."""
        return json.dumps(counts_around(self.badges, [page.id for page in self.paged]))


@dataclass(frozen=True, slots=True)
class Screen:
    """What a template is given. `refused` is a form that is shown again with what was sent and what is wrong."""

    template: ClassVar[str]
    shell: Bare
    refused: Refused | None = field(default=None, kw_only=True)

    @property
    def shows_secret(self) -> bool:
        """Whether a credential stands on it, beside the form token: it is then sent as it is (`edge.packing`)."""
        return False


@dataclass(frozen=True, slots=True)
class ShellScreen(Screen):
    """What a template below `base.html` is given.

    `live` is what the page has to do with (`alerts`, `incidents`, or the public id of one): when something happens to
    it, the page asks for itself again. `refresh_url` is what it then asks for, where that is not its own path.
    """

    shell: Shell
    live: Sequence[str] = field(default=(), kw_only=True)
    refresh_url: str = field(default="", kw_only=True)


@dataclass(frozen=True, slots=True)
class DialogScreen(ShellScreen):
    """A form that has a page of its own, and opens over another page where there is a script; see `ui.sheet`.

    `back` is where one goes who does not send it. `seen` is the version that the form was shown for: the script asks
    for what has happened since (`?seen=`, see `web.parts.since`). "" where nothing can happen to it.
    """

    back: str = field(kw_only=True)
    seen: str = field(default="", kw_only=True)
