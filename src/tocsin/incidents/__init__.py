"""Declare, lifecycle, roles, responders and the timeline of incidents."""
