"""Escalation policies, the runs that work through them, and pages."""
