"""The command line: `tocsin serve, worker, migrate, …`, one module per command group."""

from __future__ import annotations

import click

from tocsin import __version__
from tocsin.cli import backup, declare, doctor, drill, people, serve, settings_page, upgrade_check, working


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="tocsin")
def main() -> None:
    """Tocsin: alerts in, people paged, incidents coordinated.

    Results are on standard output, everything else on standard error. Commands work beside a running server.
    Only `serve` and `restore` make a database where there is none.
    Settings are environment variables or lines of a file; `tocsin settings` lists them.

    Status 0: done. 1: not done, and a sentence says why. 2: the command was not written correctly.
    """


for command in (
    serve.serve,
    serve.web_process,
    working.worker,
    serve.migrate,
    upgrade_check.upgrade_check,
    people.user,
    people.token,
    people.keys,
    declare.declare,
    doctor.doctor,
    drill.drill,
    backup.backup,
    backup.restore,
    settings_page.settings,
):
    main.add_command(command)
