"""Areas of pages and of the API: what each says of itself leads somewhere."""

from __future__ import annotations

import pytest
from litestar.routes import HTTPRoute

from tocsin.app import make_site
from tocsin.identity import model as identity
from tocsin.kit.ids import IdKind, kinds
from tocsin.web.base import navigation
from tocsin.web.base.navigation import Entry, Group


def _pages() -> set[str]:
    return {route.path for route in make_site().routes if isinstance(route, HTTPRoute) and "GET" in route.methods}


def test_the_navigation_leads_to_pages() -> None:
    """F114: an entry that leads nowhere would be found by people only."""
    places = {entry.path for entries in navigation.everything().values() for entry in entries}
    assert places and places <= _pages()


def test_two_entries_with_one_place_or_one_shortcut_are_refused() -> None:
    """F114: two shortcuts alike would open whichever comes first."""
    known = next(entry for entries in navigation.everything().values() for entry in entries if entry.keys)
    for twin in (
        Entry(known.path, "x", "Twin", Group.NOW, 99),
        Entry("/twin", "x", "Twin", Group.NOW, 99, keys=known.keys),
    ):
        with pytest.raises(ValueError, match="already"):
            navigation.register([twin])
    assert "/twin" not in {entry.path for entries in navigation.everything().values() for entry in entries}


def test_what_has_a_page_has_it_where_its_ids_say() -> None:
    """F140: links are made from the folder of a kind of ids."""
    folders = {kind.folder for kind in kinds() if kind.folder}
    pages = _pages()
    assert folders
    assert all(any(page.startswith(f"{folder}/{{") for page in pages) for folder in folders)


def test_ids_that_are_taken_are_refused() -> None:
    """F001: a prefix says what an id is of."""
    for name, prefix in (("user", "xyz"), ("somebody", identity.USER_ID.prefix)):
        with pytest.raises(ValueError, match="already"):
            IdKind(name, prefix)
