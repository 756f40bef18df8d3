"""Deleting a policy: a page that opens as a dialog, and says what leads there and what may take its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tocsin.alerts import service as routing
from tocsin.identity.access import P
from tocsin.kit.errors import Use
from tocsin.oncall import queries
from tocsin.oncall.model import POLICY_ID
from tocsin.web.base.screens import DialogScreen
from tocsin.web.parts.dialogs import Dialog, Opened
from tocsin.web.parts.picking import Picker


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletePolicyScreen(DialogScreen):
    """A policy that is to go. Where something leads there (`uses`), one of `others` has to take its place.

    `not_deleted` says why it has to stay as things are, "" when it can go.
    """

    template: ClassVar = "policies/delete.html"
    name: str
    uses: str
    others: Picker
    not_deleted: str


async def _delete_policy(opened: Opened) -> DeletePolicyScreen:
    """Ask before a policy is deleted."""
    opened.who.must(P.ONCALL_MANAGE)
    policy = await queries.policy(opened.tx, opened.id)
    uses = await routing.uses_of_policy(opened.tx, opened.who, policy.id)
    has_others = len(await queries.policies(opened.tx, limit=2)) > 1
    leading = [use.name for use in uses if use.kind == "alert_route"]
    leading += ["the last resort"] if any(use.kind == "fallback" for use in uses) else []
    return DeletePolicyScreen(
        opened.shell,
        name=policy.name,
        uses=", ".join(leading),
        others=await opened.picker("policies", "replace_by"),
        not_deleted=why_it_stays(uses, has_others=has_others),
        back=POLICY_ID.page(policy.id),
        seen=str(policy.version),
        refused=opened.refused,
    )


def why_it_stays(uses: Sequence[Use], *, has_others: bool) -> str:
    """Say why a policy cannot be deleted as things are; "" when it can."""
    climbing = sum(use.as_what == "being paged now" for use in uses)
    if climbing:
        one = climbing == 1
        return f"{climbing} escalation{' climbs' if one else 's climb'} it now. It can be deleted when that is over."
    if uses and not has_others:
        return "A route or the last resort leads here, and there is no other policy that could take its place."
    return ""


DELETE = Dialog("/policies/{id:str}/delete", _delete_policy, P.ONCALL_MANAGE, ids=POLICY_ID)
HANDLERS = [DELETE.handler]
