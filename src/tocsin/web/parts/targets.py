"""Reading which people and policies were chosen."""

from __future__ import annotations

from tocsin.identity.model import USER_ID
from tocsin.kit.errors import Invalid
from tocsin.oncall.escalation import PageTarget
from tocsin.oncall.model import POLICY_ID
from tocsin.web.base.forms import Form

Choice = tuple[str, str]


def read_targets(form: Form, name: str) -> list[PageTarget]:
    """Read whom to page, of a field that can be repeated; raises `Invalid` for the field, also when it is nobody."""
    chosen = [text for text in form.texts(name) if text]
    if not chosen:
        raise Invalid(name, "Choose whom to page.")
    return [read_target(text, name) for text in chosen]


def read_target(text: str, name: str) -> PageTarget:
    """Read whom to page, `user:usr_…` or `policy:pol_…`; raises `Invalid` for the field."""
    kind, _, _ = text.partition(":")
    rest = Form({name: [text.removeprefix("user:").removeprefix("policy:")]})
    if kind == "policy":
        return PageTarget("escalation_policy", rest.id(name, POLICY_ID))
    return PageTarget("user", rest.id(name, USER_ID))
