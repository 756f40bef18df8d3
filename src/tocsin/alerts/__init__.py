"""Intake, deduplication and routing of alerts."""
