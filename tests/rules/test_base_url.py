"""The address of the installation: what is taken, and that a path is refused before anything stands below it."""

from __future__ import annotations

import pytest

from tocsin.settings import SettingError, load


@pytest.mark.parametrize(
    "given", ["https://t.example", "https://t.example/", "http://10.0.0.7:8700", "http://[::1]:80"]
)
def test_a_scheme_and_a_host_are_taken(given: str) -> None:
    """F140: a slash at the end is no path."""
    assert load({"TOCSIN_BASE_URL": given}, {"data_dir": "/nonexistent"}).base_url == given.rstrip("/")


@pytest.mark.parametrize(
    "given", ["https://t.example/tocsin", "https://t.example/a/b/", "https://t.example?x", "https://t/#a"]
)
def test_a_path_is_refused_with_a_sentence(given: str) -> None:
    """F140: pages would not work below it, and a start that says so is better than links that lead nowhere."""
    with pytest.raises(
        SettingError, match="TOCSIN_BASE_URL must end with the host or its port: Tocsin cannot be served"
    ):
        load({"TOCSIN_BASE_URL": given}, {"data_dir": "/nonexistent"})
