"""`python -m tocsin.cli`: the same as `tocsin`, by the interpreter that runs already."""

from __future__ import annotations

from tocsin.cli import main

main()
