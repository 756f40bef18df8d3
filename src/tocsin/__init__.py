"""Tocsin: self-hosted incident management."""

__version__ = "0.2.0.dev0"
