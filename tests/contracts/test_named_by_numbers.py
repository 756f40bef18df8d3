"""Alerts and incidents are named as people name them: reading their ids alone would refuse `ALR-31` and `INC-7`."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import tocsin
from tocsin.alerts.model import ALERT_ID
from tocsin.api.base.body import Body
from tocsin.api.base.openapi import kinds_of
from tocsin.incidents.model import INCIDENT_ID

API = Path(tocsin.__file__).parent / "api"


def test_the_api_reads_no_id_of_an_alert_or_an_incident_by_itself() -> None:
    """F120: `api/shapes/refs.py` and the queries that it calls do."""
    found = [
        f"{path.name}: {ast.unparse(node)}"
        for path in sorted(API.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr.startswith("read")
        if isinstance(node.value, ast.Name) and node.value.id in ("ALERT_ID", "INCIDENT_ID")
    ]
    assert found == []


def test_no_body_declares_such_a_field_to_hold_an_id_alone() -> None:
    """F120."""
    importlib.import_module("tocsin.api")
    wrong = [
        f"{kind.__name__}.{name}"
        for kind in kinds_of(Body)
        for name, ids in kind.refs.items()
        if ids in (ALERT_ID, INCIDENT_ID)
    ]
    assert wrong == []
