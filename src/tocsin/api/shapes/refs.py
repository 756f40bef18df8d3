"""Which alert or incident a request names, in its address or its body.

By the id (`alt_…`, `inc_…`) or by the number that people say (`ALR-31`, `INC-7`), wherever one of them is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from tocsin.alerts import queries
from tocsin.api.base.body import naming
from tocsin.api.base.http import reference
from tocsin.api.base.resource import Called
from tocsin.db.engine import Tx
from tocsin.identity.model import Actor


async def _alert(tx: Tx, who: Actor, text: str) -> UUID:
    return await queries.id_of(tx, who.access, text)


async def _incident(_tx: Tx, _who: Actor, text: str) -> str:
    return reference(text)


ALERT = Called("alert", _alert)
# Use cases and queries take an incident by what it is called.
INCIDENT = Called("incident", _incident)


async def alerts_in(tx: Tx, who: Actor, field: str, texts: Sequence[str]) -> list[UUID]:
    """Read which alerts a list names; raises `Invalid` at the first that names none."""
    known = await queries.numbered(tx, who.access, texts)
    found: list[UUID] = []
    for at, text in enumerate(texts):
        with naming(field, at):
            found.append(queries.read_ref(text, known))
    return found
