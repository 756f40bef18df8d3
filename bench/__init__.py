"""Measures Tocsin on this machine and writes docs/performance.md. Run it with `make bench`."""
