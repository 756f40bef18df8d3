"""Tocsin: self-hosted incident management."""
