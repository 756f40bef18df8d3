"""The webhook of Grafana's dashboard alerts, up to version 8: one rule in a body, and no list of alerts.

https://grafana.com/docs/grafana/v8.5/alerting/old-alerting/notifications/#webhook

- key: `orgId` and `ruleId`, else the rule's name
- state: `alerting` and `no_data` trigger, `ok` resolves; a rule that waits or was paused says nothing
- title: `ruleName`, else `title`; description: `message` and what was measured; labels: `tags`
- links: `ruleUrl`, `imageUrl`
"""

from __future__ import annotations

from tocsin.alerts.sources.base import (
    MAX_NATIVE_SEVERITY,
    Object,
    Parsed,
    Signal,
    as_key,
    as_list,
    as_object,
    as_text,
    fit_labels,
    fit_links,
    fit_title,
    link,
    present,
    severity_notes,
    severity_of,
)
from tocsin.alerts.sources.states import action_of, marked
from tocsin.kit.errors import Invalid
from tocsin.kit.text import truncate

_SAYS_NOTHING = frozenset({"pending", "paused", "unknown"})


def is_legacy(body: Object) -> bool:
    """Say whether this is the message of a dashboard's alert."""
    return "alerts" not in body and ("ruleId" in body or "ruleName" in body)


def read_legacy(body: Object) -> Parsed:
    """Read the message; raises `Invalid` for a state that nobody knows."""
    state = as_text(body.get("state")).strip().lower()
    if state in _SAYS_NOTHING:
        return Parsed((), (), (f"a rule that is {state} opens and ends nothing",))
    title = as_text(body.get("title"))
    action = action_of(state) if state else marked(title)[0]
    if action is None:
        raise Invalid("state", f"The state “{truncate(state, 60)}” is neither alerting nor ok.")
    labels = {name: as_text(value) for name, value in (as_object(body.get("tags")) or {}).items()}
    native = present(labels.get("severity"), labels.get("priority"))
    severity, urgency, _ = severity_of(native)
    name = present(as_text(body.get("ruleName")), marked(title)[1], f"Rule {as_text(body.get('ruleId'))}")
    shown, description = fit_title(name, _description(body))
    signal = Signal(
        action,
        _key(body, name),
        shown,
        description,
        severity,
        truncate(native, MAX_NATIVE_SEVERITY),
        urgency,
        fit_labels(labels, clean=True),
        fit_links([link(body.get("ruleUrl"), "Rule"), link(body.get("imageUrl"), "Image")]),
    )
    return Parsed((signal,), (), severity_notes((signal,)))


def _key(body: Object, name: str) -> str:
    rule = present(as_text(body.get("ruleId")), name)
    return as_key(f"rule-{as_text(body.get('orgId')) or '1'}-{rule}")


def _description(body: Object) -> str:
    measured = [as_object(each) or {} for each in (as_list(body.get("evalMatches")) or [])[:50]]
    lines = [f"{as_text(each.get('metric'))}: {as_text(each.get('value'))}" for each in measured]
    return "\n\n".join(part for part in (present(as_text(body.get("message"))), "\n".join(lines)) if part)
