"""Every query about text templates. They are few, and the same for everybody."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import select

from tocsin.db.engine import Tx
from tocsin.db.records import get_record, has_words, list_records, lock_record, lock_to_delete
from tocsin.incidents.model import Incident
from tocsin.incidents.text_template_model import TEMPLATE_ID, TextTemplate
from tocsin.incidents.type_queries import MOST
from tocsin.kit.errors import Invalid, NotFound
from tocsin.kit.text import storable


async def text_templates(
    tx: Tx,
    *,
    after: UUID | None = None,
    limit: int = MOST,
    is_archived: bool | None = None,
    words: Collection[str] = (),
) -> list[TextTemplate]:
    """Return the templates in the order in which they were added."""
    of_state = [] if is_archived is None else [TextTemplate.archived_at.is_not(None) == is_archived]
    only = [*of_state, *has_words(words, TextTemplate.name, TextTemplate.short_id)]
    return await list_records(tx, TextTemplate, *only, after=after, limit=limit)


async def text_template(tx: Tx, id: UUID) -> TextTemplate:
    """Return one template; raises `NotFound`."""
    return await get_record(tx, TextTemplate, id, "text template")


async def lock_text_template(tx: Tx, id: UUID) -> TextTemplate:
    """Return one template, and keep others from changing it until the commit; raises `NotFound`."""
    return await lock_record(tx, TextTemplate, id, "text template")


async def lock_text_template_to_delete(tx: Tx, id: UUID) -> TextTemplate:
    """Return one template once nobody declares an incident with it, and let nobody; raises `NotFound`."""
    return await lock_to_delete(tx, TextTemplate, id, "text template")


async def keep_text_template(tx: Tx, called: str) -> TextTemplate:
    """Return the template of this short id, or id, and keep it as it is until the commit.

    Raises `Invalid` for one that there is not.
    """
    query = select(TextTemplate).with_for_update(key_share=True, read=True)
    query = query.execution_options(populate_existing=True)
    if called.startswith(f"{TEMPLATE_ID.prefix}_"):
        try:
            query = query.where(TextTemplate.id == TEMPLATE_ID.read(called))
        except NotFound as problem:
            raise Invalid("template", problem.message, code="unknown") from None
    else:
        query = query.where(TextTemplate.short_id == storable(called).strip().lower())
    found = (await tx.session.scalars(query)).one_or_none()
    if found is None:
        raise Invalid("template", f"There is no text template “{called[:60]}”.", code="unknown")
    return found


async def templates_by_id(tx: Tx, ids: Collection[UUID]) -> dict[UUID, TextTemplate]:
    """Return these templates by their ids."""
    if not ids:
        return {}
    found = await tx.session.scalars(select(TextTemplate).where(TextTemplate.id.in_(set(ids))))
    return {row.id: row for row in found}


async def used_templates(tx: Tx, ids: Collection[UUID]) -> Mapping[UUID, bool]:
    """Say of each of these templates whether any incident was declared with it, whoever may see that."""
    return {
        id: (await tx.session.execute(select(Incident.id).where(Incident.template_id == id).limit(1))).first()
        is not None
        for id in ids
    }


async def templates_of_type(tx: Tx, type_id: UUID) -> list[TextTemplate]:
    """Return the templates that name this type, by their names."""
    query = select(TextTemplate).where(TextTemplate.type_id == type_id).order_by(TextTemplate.name)
    return list((await tx.session.scalars(query)).all())
