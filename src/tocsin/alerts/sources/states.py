"""The words by which tools say how it stands: one reader for all formats.

A state is a whole text. "upstream_down", "backup_failed" and "update" have "up" in them and are not up; "not resolved"
and "unresolved" are not resolved. What may stand around the word is marks ("[FIRING:2]", "Resolved!"), a count, and
the thing that is meant ("incident.resolved", "Problem: OK").
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tocsin.alerts.sources.base import Action

_TRIGGERS = (
    *("firing", "triggered", "trigger", "alerting", "open", "opened", "reopened", "problem", "down", "failed"),
    *("re triggered", "warn", "re warn", "no data", "re no data", "renotify", "escalated"),
)
_ACKNOWLEDGES = ("acknowledged", "acknowledge", "ack")
_RESOLVES = (
    *("resolved", "resolve", "ok", "closed", "close", "recovered", "recovery", "normal", "up"),
    *("cleared", "fixed", "success", "succeeded"),
)
_STATES: Mapping[str, Action] = {
    **dict.fromkeys(_TRIGGERS, Action.TRIGGER),
    **dict.fromkeys(_ACKNOWLEDGES, Action.ACKNOWLEDGE),
    **dict.fromkeys(_RESOLVES, Action.RESOLVE),
}
_THINGS = frozenset({"alert", "event", "incident", "issue", "monitor", "problem", "state", "status"})
_WORD = re.compile(r"[^\W_]+")
# No state is longer, and nobody waits for the words of a long text.
_LONGEST = 60
_MARKED = re.compile(r"\s*\[([^\[\]]{1,200})\]\s*")


def action_of(text: str) -> Action | None:
    """Return what a word for a state asks for; None for one that is unknown. Case and blanks around do not count."""
    found = _STATES.get(text)
    if found is not None or len(text.strip()) > _LONGEST:
        return found
    words = _WORD.findall(text.lower())
    while len(words) > 1 and words[-1].isdecimal():
        words.pop()
    while len(words) > 1 and words[0] in _THINGS:
        del words[0]
    return _STATES.get(" ".join(words))


def marked(title: str) -> tuple[Action | None, str]:
    """Read the state that a tool writes before its title, as “[Recovered] CPU high” or “[Triggered on {host:a}] …”.

    Returns it, or None, and the title without it, which is the same for the problem and for its end.
    """
    rest = title
    action: Action | None = None
    while action is None and (mark := _MARKED.match(rest)) is not None:
        action = action_of(mark[1].partition(" on ")[0])
        # Other marks, such as “[P1]”, belong to the title.
        rest = rest[mark.end() :]
    if action is None:
        return None, title
    return action, rest.strip() or title
