"""The command line: `tocsin serve, worker, migrate, …`, one module per command group."""

from __future__ import annotations

import click

from tocsin import __version__
from tocsin.cli import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="tocsin")
def main() -> None:
    """Tocsin: alerts in, people paged, incidents coordinated."""


main.add_command(serve.serve)
main.add_command(serve.web_process)
main.add_command(serve.worker)
main.add_command(serve.migrate)
