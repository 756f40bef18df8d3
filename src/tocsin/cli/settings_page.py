"""`tocsin settings`: every setting as a page of Markdown; docs/settings.md is its output."""

from __future__ import annotations

from itertools import groupby

import click

from tocsin.settings import SETTINGS, Setting

_HEAD = """\
# Settings

Every setting is an environment variable. The same names without `TOCSIN_` and in small letters stand in a TOML file,
`tocsin.toml` in the data directory or the file that `TOCSIN_CONFIG` names. The environment wins over the file, and the
options of a command win over both. Each variable may also end in `_FILE` and then names a file that holds the value,
as container secrets do. A wrong value, or a name that is not on this page, stops the start with a sentence.

Written by `tocsin settings`; a test compares them.
"""
_TABLE = "\n## {group}\n\n| variable | default | meaning |\n|---|---|---|\n"


def render() -> str:
    """Return the page. Defaults that depend on the machine are in the words of the setting."""
    groups = groupby(SETTINGS, key=lambda setting: setting.group)
    tables = (_TABLE.format(group=group) + "".join(map(_row, settings)) for group, settings in groups)
    return _HEAD + "".join(tables)


def _row(setting: Setting) -> str:
    secret = " A secret: prefer `_FILE`." if setting.secret else ""
    return f"| `{setting.variable}` | {_default(setting.default)} | {_cell(setting.help)}{secret} |\n"


def _default(value: object) -> str:
    match value:
        case None | "" | ():
            return ""
        case bool():
            return "`on`" if value else "`off`"
        case _:
            return f"`{_cell(str(value))}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


@click.command()
def settings() -> None:
    """Print every setting, its default and its meaning, as Markdown."""
    click.echo(render(), nl=False)
