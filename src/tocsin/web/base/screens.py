"""Screens: all that a template is given, as a type of its own.

A screen names its template and has a field for each name that this, and whatever it includes, takes from outside; a
name that is missing and one that is not used fail `tests/contracts/test_screens.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from tocsin.web.base.forms import Refused
from tocsin.web.base.navigation import Entry, Group


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


@dataclass(frozen=True, slots=True)
class Me:
    """The reader, as templates know them."""

    id: str
    name: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell(Bare):
    """What stands around every signed-in page."""

    now: datetime
    me: Me
    org_name: str
    # What the reader may open.
    navigation: Mapping[Group, Sequence[Entry]]
    # What `Entry.count` names.
    badges: Mapping[str, int]
    # Where the live stream begins: what happened since the page was read is told, too.
    live_after: str


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

    `live_url` is the page's event stream; without it nothing on it is live. `refresh_url` is what it then asks for,
    where that is not its own path.
    """

    shell: Shell
    live_url: str = field(default="", kw_only=True)
    refresh_url: str = field(default="", kw_only=True)


@dataclass(frozen=True, slots=True)
class DialogScreen(ShellScreen):
    """A form that has a page of its own, and opens over another page where there is a script; see `ui.sheet`.

    `back` is where one goes who does not send it. `seen` is the version that the form was shown for: the script asks
    for what has happened since (`?seen=`, see `web.parts.since`). "" where nothing can happen to it.
    """

    back: str = field(kw_only=True)
    seen: str = field(default="", kw_only=True)
