"""Helpers without any Tocsin word: clock, ids, errors, labels, text, crypto, conditions."""
