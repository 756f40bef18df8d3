"""Helpers without any Tocsin word: clock, ids, errors, text, crypto, conditions, record."""
