"""Whom a body says to page: people and policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from tocsin.api.base.body import Body, naming
from tocsin.identity.model import USER_ID
from tocsin.oncall.escalation import PageTarget
from tocsin.oncall.model import POLICY_ID


class Target(Body, kw_only=True):
    """A person or a policy."""

    example: ClassVar[Mapping[str, Any]] = {"type": "user", "id": "usr_06b6fyrfa9xsgs9xe3vxkm3j3m"}
    type: Literal["user", "escalation_policy"]
    id: str


def read_targets(field: str, targets: Sequence[Target]) -> list[PageTarget]:
    """Read the ids; raises `Invalid` for the first that is none of its kind."""
    return [read_target(field, target, at) for at, target in enumerate(targets)]


def read_target(field: str, target: Target, *place: int) -> PageTarget:
    """Read one id; raises `Invalid` when it is none of its kind."""
    with naming(field, *place, "id"):
        return PageTarget(target.type, (USER_ID if target.type == "user" else POLICY_ID).read(target.id))
