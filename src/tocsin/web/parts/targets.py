"""People and policies to choose from, and reading which were chosen."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.db.engine import Tx
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import USER_ID
from tocsin.kit.errors import Invalid
from tocsin.oncall import queries as oncall
from tocsin.oncall.escalation import PageTarget, can_reach
from tocsin.oncall.model import POLICY_ID
from tocsin.web.base.forms import MOST_CHOICES, Form

Choice = tuple[str, str]


async def responder_choices(tx: Tx) -> list[Choice]:
    """Return everybody who may take a role, by name."""
    people = await identity.users(tx, limit=MOST_CHOICES, active_only=True, may=P.INCIDENT_EDIT)
    acting = [(USER_ID.write(person.id), person.name) for person in people]
    return sorted(acting, key=lambda choice: choice[1].casefold())


async def target_choices(tx: Tx, people: Sequence[Choice]) -> tuple[list[Choice], list[Choice]]:
    """Return whom one can page: people and policies. Whoever cannot be reached stays among them, and is marked."""
    policies = await oncall.policies(tx, limit=MOST_CHOICES)
    known = await oncall.known_directory(tx)
    reachable = {USER_ID.write(id) for id in known.methods}
    reaching = {id for id, plan in known.plans.items() if can_reach(plan, known.methods)}
    return (
        [(f"user:{id}", name if id in reachable else _marked(name)) for id, name in people],
        [
            (f"policy:{POLICY_ID.write(policy.id)}", policy.name if policy.id in reaching else _marked(policy.name))
            for policy in policies
        ],
    )


def _marked(name: str) -> str:
    return f"{name} (cannot be reached)"


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
