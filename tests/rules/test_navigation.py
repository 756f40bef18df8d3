"""Where one can go: what is drawn everywhere from one list, by what somebody may open."""

from __future__ import annotations

import pytest

from tocsin import web
from tocsin.identity.access import BUILT_IN, Access
from tocsin.identity.model import Actor, ActorKind
from tocsin.kit.ids import new_id
from tocsin.web.base.navigation import Menu, everything, menu

ME = "/people/usr_me"


def seen_by(role: str, path: str = "/incidents") -> Menu:
    id = new_id()
    actor = Actor(ActorKind.USER, "Ada", user_id=id, role=role, access=Access(BUILT_IN[role], user_id=id))
    return menu(actor, path, ME)


@pytest.mark.parametrize(
    ("path", "here", "tab", "in_settings"),
    [
        ("/incidents", "/incidents", "/incidents", False),
        ("/incidents/INC-7", "/incidents", "/incidents", False),
        ("/alerts/alt_1", "/alerts", "/alerts", False),
        ("/routes", "/alerts", "/routes", False),
        ("/sources/src_1", "/alerts", "/sources", False),
        ("/policies/new", "/policies", "/policies", False),
        ("/people", "/people", "/people", True),
        ("/people/usr_other", "/people", "/people", True),
        (ME, "/settings/profile", "/settings/profile", True),
        (f"{ME}/contact-methods/cm_1", "/settings/profile", "/settings/profile", True),
        ("/people/usr_me2", "/people", "/people", True),
        ("/settings", None, None, True),
        ("/settings/appearance", "/settings/appearance", "/settings/appearance", True),
        ("/nowhere", None, None, False),
    ],
)
def test_the_place_of_a_page_is_marked(path: str, here: str | None, tab: str | None, in_settings: bool) -> None:
    """F117."""
    found = seen_by("admin", path)
    assert (found.here.path if found.here else None, found.tab.path if found.tab else None) == (here, tab)
    assert found.in_settings is in_settings


def test_what_one_may_not_open_is_not_there() -> None:
    """F115: nor as a tab, in the settings, in the bar or for the search."""
    mine = seen_by("stakeholder", "/alerts")
    assert "/sources" not in {entry.path for entry in (*mine.places, *mine.tabs, *mine.bar)}
    assert "/organisation" not in {entry.path for entries in mine.settings.values() for entry in entries}
    assert {"/sources", "/organisation"} <= {entry.path for entry in seen_by("admin").places}


def test_every_place_says_what_it_is_for() -> None:
    """F117: the search finds a place by its words, and no two have the same keys."""
    entries = everything()
    assert web.HANDLERS
    assert [entry.path for entry in entries if not entry.words] == []
    keys = [entry.keys for entry in entries if entry.keys]
    assert len(keys) == len(set(keys))
    assert all(entry.within in {each.path for each in entries} for entry in entries if entry.within)
    # A phone has room for four and “More”.
    assert len([entry for entry in entries if entry.on_bar]) == 4
