"""Every query about policies, runs and pages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    func,
    literal_column,
    not_,
    null,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import aliased

from tocsin.db.engine import Tx
from tocsin.db.locks import for_change
from tocsin.db.records import get_record, has_words, lock_record, lock_to_delete
from tocsin.identity.model import User
from tocsin.notifications.model import REACHED, Delivery, Method, Rule
from tocsin.notifications.queries import reaches, ways_to_reach
from tocsin.oncall.escalation import PageTarget, Plan, Step, Weakness, weaknesses
from tocsin.oncall.model import (
    EscalationPolicy,
    EscalationRun,
    EscalationStep,
    EscalationTarget,
    FallbackTarget,
    Page,
    PageState,
    PagingTrouble,
    RunState,
)


def _about(
    record: type[EscalationRun | Page], alert_ids: Sequence[UUID], incident_id: UUID | None
) -> ColumnElement[bool]:
    # Comparing with no incident would mean IS NULL, which holds for every alert there is.
    of_alerts = record.alert_id.in_(alert_ids)
    return of_alerts if incident_id is None else or_(of_alerts, record.incident_id == incident_id)


@dataclass(frozen=True, slots=True)
class Directory:
    """Who can be paged and how: the part of the configuration that every run works with."""

    plans: Mapping[UUID, Plan]
    names: Mapping[UUID, str]
    # Only of people whose account is on.
    methods: Mapping[UUID, Sequence[Method]]
    rules: Mapping[UUID, Sequence[Rule]]
    # Whom to ask when nobody answers or can be reached.
    fallback: PageTarget | None


async def directory(tx: Tx) -> Directory:
    """Read the directory; callers take `known_directory`, as it is the whole installation's."""
    rows = (await tx.session.execute(select(User.id, User.name, User.is_active))).all()
    methods, rules = await ways_to_reach(tx, [id for id, _, active in rows if active])
    return Directory(
        await plans(tx), {id: name for id, name, _ in rows}, methods, rules, target_of(await fallback_target(tx))
    )


async def fallback_target(tx: Tx) -> FallbackTarget | None:
    """Return whom to ask when nobody answers, None when nobody has been chosen."""
    return await tx.session.get(FallbackTarget, 1)


async def lock_fallback(tx: Tx) -> FallbackTarget:
    """Return the row that says whom to ask, for changing; it is made when nobody was chosen before."""
    await tx.session.execute(insert(FallbackTarget).values(id=1).on_conflict_do_nothing())
    return (await tx.session.scalars(for_change(select(FallbackTarget), FallbackTarget))).one()


def target_of(fallback: FallbackTarget | None) -> PageTarget | None:
    """Return the fallback as what a run can page."""
    if fallback is None:
        return None
    if fallback.policy_id is not None:
        return PageTarget("escalation_policy", fallback.policy_id)
    return PageTarget("user", fallback.user_id) if fallback.user_id is not None else None


async def known_directory(tx: Tx) -> Directory:
    """Return the directory, read anew only when somebody has changed the configuration."""
    return await tx.cached("paging", directory)


async def alerts_with_running_runs(tx: Tx, alert_ids: Sequence[UUID]) -> set[tuple[UUID, bool]]:
    """Return for which of these alerts somebody is being paged now, and whether as the fallback."""
    if not alert_ids:
        return set()
    connection = await tx.raw()
    rows = await connection.fetch(
        "SELECT alert_id, is_fallback FROM escalation_run WHERE state = 'running' AND alert_id = ANY($1::uuid[])",
        alert_ids,
    )
    return {(row["alert_id"], row["is_fallback"]) for row in rows}


# For a statement over alerts, in the words of the partial index: a run goes on that has reached nobody.
HAS_UNREACHED_RUN = """EXISTS (SELECT FROM escalation_run AS run WHERE run.alert_id = alert.id
                                  AND run.state = 'running' AND run.unreached_since IS NOT NULL)"""


Is = Callable[[type[EscalationRun]], ColumnElement[bool]]


@cache  # Making it anew for each list took longer than asking it.
def paging_trouble(is_about: Is, counts: Is | None = None) -> ColumnElement[str | None]:
    """Return the `PagingTrouble` of what the runs are about, or null, for a statement over alerts or incidents.

    `is_about` ties a run to the row; `counts` says which of the runs that ended without an answer still matter. A run
    that began anew stands for those before it, so that what is being paged again is in no trouble by its past.
    """
    unreached = _any_run(is_about, lambda run: and_(is_in("running", run), run.unreached_since.is_not(None)))
    exhausted = _any_run(is_about, lambda run: and_(is_in("exhausted", run), *([counts(run)] if counts else [])))
    goes_on = _any_run(is_about, lambda run: and_(is_in("running", run), not_(run.is_fallback)))
    in_touch = _any_run(is_about, lambda run: and_(is_in("running", run), has_reached(run)))
    return case(
        (and_(exhausted, not_(goes_on), not_(in_touch)), PagingTrouble.UNANSWERED.value),
        (and_(unreached, not_(in_touch)), PagingTrouble.UNREACHED.value),
        else_=null(),
    )


def in_paging_trouble(is_about: Is, kinds: Collection[PagingTrouble], counts: Is | None = None) -> ColumnElement[bool]:
    """Say that what the runs are about is in one of these troubles; finds its way by the runs in question alone."""
    return and_(_maybe(is_about), paging_trouble(is_about, counts).in_([kind.value for kind in kinds]))


@cache
def _maybe(is_about: Is) -> ColumnElement[bool]:
    # Said by itself, in the words of the partial index: what is not among these runs is never looked at any closer.
    return _any_run(
        is_about,
        lambda run: or_(is_in("exhausted", run), and_(is_in("running", run), run.unreached_since.is_not(None))),
    )


def _any_run(is_about: Is, holds: Is) -> ColumnElement[bool]:
    run = aliased(EscalationRun)
    return select(run.id).where(is_about(run), holds(run)).exists()


def is_in(state: str, run: type[EscalationRun] = EscalationRun) -> ColumnElement[bool]:
    """Say that a run is in this state."""
    # A constant, not a parameter: the partial indexes are chosen by it.
    return run.state == literal_column(f"'{RunState(state).value}'")


def has_reached(run: type[EscalationRun]) -> ColumnElement[bool]:
    """Say that a message of the run went out, or that somebody reacted to it, as `that_reached` finds it."""
    page, other = aliased(Page), aliased(Page)
    sent = (
        select(Delivery.id)
        .join(page, page.id == Delivery.page_id)
        .where(page.run_id == run.id, Delivery.state.in_(REACHED), Delivery.sent_at.is_not(None))
    )
    reacted = select(other.id).where(
        other.run_id == run.id, other.state.in_((PageState.ACKNOWLEDGED, PageState.DECLINED))
    )
    return or_(_any(sent), _any(reacted))


def _any(found: Select[UUID]) -> ColumnElement[bool]:
    # Unlike EXISTS, this is never turned into a look at every message there is.
    return found.limit(1).scalar_subquery().is_not(None)


@dataclass(frozen=True, slots=True)
class BeingPaged:
    """Somebody who is being asked now: since when, and by what. `policy_name` is empty for a direct page."""

    about: UUID
    user_id: UUID
    name: str
    since: datetime
    policy_name: str
    step: int
    round: int
    is_fallback: bool


async def being_paged(
    tx: Tx, *, alert_ids: Collection[UUID] = (), incident_ids: Collection[UUID] = ()
) -> dict[UUID, list[BeingPaged]]:
    """Return who is asked now about each of these alerts, or for help with each of these incidents, by time."""
    about = EscalationRun.alert_id if alert_ids else EscalationRun.incident_id
    run = EscalationRun
    query = (
        select(
            about,
            Page.user_id,
            User.name,
            Page.paged_at,
            case((run.direct_user_id.is_(None), run.policy_name), else_=""),
            Page.step,
            Page.round,
            run.is_fallback,
        )
        .join(Page, Page.run_id == run.id)
        .join(User, User.id == Page.user_id)
        .where(run.state == RunState.RUNNING, Page.state == PageState.PAGING, about.in_(alert_ids or incident_ids))
        .order_by(Page.paged_at, Page.id)
    )
    found: dict[UUID, list[BeingPaged]] = {}
    rows: Sequence[Any] = (await tx.session.execute(query)).all() if alert_ids or incident_ids else ()
    for id, *rest in rows:
        found.setdefault(id, []).append(BeingPaged(id, *rest))
    return found


async def runs_that_reached(tx: Tx, run_ids: Collection[UUID]) -> set[UUID]:
    """Return those of these runs of which a message went out, or to which somebody reacted, be it by declining."""
    went_out = select(Delivery.id).where(Delivery.page_id == Page.id, Delivery.state.in_(REACHED)).exists()
    reacted = Page.state.in_((PageState.ACKNOWLEDGED, PageState.DECLINED))
    query = select(Page.run_id).where(Page.run_id.in_(run_ids), or_(reacted, went_out)).distinct()
    return set((await tx.session.scalars(query)).all())


async def pages_since(tx: Tx, run_ids: Collection[UUID], since: datetime) -> list[Page]:
    """Return the pages of these runs that are not older."""
    query = select(Page).where(Page.run_id.in_(run_ids), Page.paged_at >= since)
    return list((await tx.session.scalars(query)).all())


_PAGES_ABOUT = """
SELECT id, coalesce(alert_id, incident_id) AS about, user_id FROM page
WHERE (alert_id = ANY($1::uuid[]) OR incident_id = ANY($1::uuid[])) AND paged_at >= $2
"""


async def pages_about(tx: Tx, about: Collection[UUID], since: datetime) -> list[tuple[UUID, UUID, UUID]]:
    """Return the pages about these alerts and incidents that are not older: id, about what, whom. Needs no session."""
    await tx.flush()
    rows = await (await tx.raw()).fetch(_PAGES_ABOUT, list(about), since)
    return [(row["id"], row["about"], row["user_id"]) for row in rows]


async def policy(tx: Tx, id: UUID) -> EscalationPolicy:
    """Return one policy; raises `NotFound`."""
    return await get_record(tx, EscalationPolicy, id, "escalation policy")


async def lock_policy(tx: Tx, id: UUID) -> EscalationPolicy:
    """Return one policy for changing; raises `NotFound`."""
    return await lock_record(tx, EscalationPolicy, id, "escalation policy")


async def policy_named(tx: Tx, name: str) -> EscalationPolicy | None:
    """Return the policy of exactly this name."""
    return (await tx.session.scalars(select(EscalationPolicy).where(EscalationPolicy.name == name))).one_or_none()


async def policies(
    tx: Tx, *, after: str = "", backwards: bool = False, limit: int = 100, words: Collection[str] = ()
) -> list[EscalationPolicy]:
    """Return policies by name, after the given name; `words`: those that have each of them in it.

    `backwards` are those before that name, the nearest first.
    """
    name = EscalationPolicy.name
    query = select(EscalationPolicy).where(name < after if backwards else name > after, *has_words(words, name))
    query = query.order_by(name.desc() if backwards else name).limit(limit)
    return list((await tx.session.scalars(query)).all())


async def policy_names(tx: Tx, ids: Iterable[UUID]) -> dict[UUID, str]:
    """Return the names of these policies."""
    query = select(EscalationPolicy.id, EscalationPolicy.name).where(EscalationPolicy.id.in_(set(ids)))
    return {id: name for id, name in (await tx.session.execute(query)).all()}


async def plans(tx: Tx, policy_ids: Collection[UUID] | None = None) -> dict[UUID, Plan]:
    """Return policies with their steps and people, as runs work through them; all of them when no ids are given."""
    query = (
        select(
            EscalationPolicy.id,
            EscalationPolicy.name,
            EscalationPolicy.repeat,
            EscalationStep.position,
            EscalationStep.wait_minutes,
            EscalationTarget.user_id,
        )
        .outerjoin(EscalationStep, EscalationStep.policy_id == EscalationPolicy.id)
        .outerjoin(EscalationTarget, EscalationTarget.step_id == EscalationStep.id)
        .order_by(EscalationPolicy.id, EscalationStep.position, EscalationTarget.position)
    )
    if policy_ids is not None:
        query = query.where(EscalationPolicy.id.in_(policy_ids))
    heads: dict[UUID, tuple[str, int]] = {}
    steps: dict[UUID, dict[int, tuple[int, list[UUID]]]] = {}
    # The outer joins leave position and user empty for a policy without steps and a step without people.
    rows: Sequence[Any] = (await tx.session.execute(query)).all()
    for id, name, repeat, position, wait, user_id in rows:
        heads[id] = (name, repeat)
        mine = steps.setdefault(id, {})
        if position is None:
            continue
        _, people = mine.setdefault(position, (wait, []))
        if user_id is not None:
            people.append(user_id)
    return {
        id: Plan(
            name=name,
            repeat=repeat,
            steps=tuple(Step(tuple(people), timedelta(minutes=wait)) for wait, people in steps[id].values()),
        )
        for id, (name, repeat) in heads.items()
    }


async def weaknesses_of(tx: Tx, plans: Mapping[UUID, Plan], channels: Collection[str]) -> dict[UUID, list[Weakness]]:
    """Return what is wrong with each of these policies; `channels` are those that this installation has."""
    everybody = {id for plan in plans.values() for step in plan.steps for id in step.user_ids}
    names = {id: name for id, (name, _) in (await people(tx, everybody)).items()}
    reach = await reaches(tx, everybody, channels)
    return {id: weaknesses(plan, reach=reach, names=names) for id, plan in plans.items()}


async def people(tx: Tx, user_ids: Collection[UUID]) -> dict[UUID, tuple[str, bool]]:
    """Return name and whether the account is on, for these people."""
    if not user_ids:
        return {}
    query = select(User.id, User.name, User.is_active).where(User.id.in_(user_ids))
    return {id: (name, active) for id, name, active in (await tx.session.execute(query)).all()}


async def run(tx: Tx, id: UUID) -> EscalationRun:
    """Return one run; raises `NotFound`."""
    return await get_record(tx, EscalationRun, id, "page")


async def lock_run(tx: Tx, id: UUID) -> EscalationRun:
    """Return one run for changing; raises `NotFound`."""
    return await lock_record(tx, EscalationRun, id, "page")


async def lock_running(
    tx: Tx, *, alert_ids: Sequence[UUID] = (), incident_id: UUID | None = None
) -> list[EscalationRun]:
    """Return the running runs of these alerts or of this incident for changing, in the order of their ids.

    Whoever takes a step holds its run, and may ask the fallback meanwhile: what began while this waited is found, too.
    """
    running = EscalationRun.state == RunState.RUNNING, _about(EscalationRun, alert_ids, incident_id)
    query = for_change(select(EscalationRun).where(*running), EscalationRun)
    # A statement does not see what was committed after it had begun, be it that it waited for that very commit. Also
    # when it finds nothing: what it waited for may have ended.
    await tx.session.execute(query.with_only_columns(EscalationRun.id))
    return list((await tx.session.scalars(query)).all())


async def runs_of(tx: Tx, *, alert_ids: Sequence[UUID] = (), incident_id: UUID | None = None) -> list[EscalationRun]:
    """Return every run of these alerts or of this incident, the newest first."""
    query = (
        select(EscalationRun)
        .where(_about(EscalationRun, alert_ids, incident_id))
        .order_by(EscalationRun.id.desc())
        .limit(200)
    )
    return list((await tx.session.scalars(query)).all())


async def page(tx: Tx, id: UUID) -> Page:
    """Return one page; raises `NotFound`."""
    return await get_record(tx, Page, id, "page")


async def pages_waiting_for(tx: Tx, user_id: UUID) -> list[UUID]:
    """Return the pages that wait for this person's answer, the oldest first."""
    query = select(Page.id).where(Page.user_id == user_id, Page.state == PageState.PAGING).order_by(Page.id)
    return list((await tx.session.scalars(query)).all())


async def policies_naming(tx: Tx, user_id: UUID) -> list[tuple[UUID, str, int]]:
    """Return the steps that name this person: the policy's id and name, and the number of the step."""
    query = (
        select(EscalationPolicy.id, EscalationPolicy.name, EscalationStep.position)
        .join(EscalationStep, EscalationStep.policy_id == EscalationPolicy.id)
        .join(EscalationTarget, EscalationTarget.step_id == EscalationStep.id)
        .where(EscalationTarget.user_id == user_id)
        .order_by(EscalationPolicy.name, EscalationStep.position)
    )
    return [(id, name, position) for id, name, position in (await tx.session.execute(query)).all()]


async def open_pages(tx: Tx, run_ids: Sequence[UUID]) -> list[Page]:
    """Return the pages of these runs that wait for an answer."""
    query = select(Page).where(Page.run_id.in_(run_ids), Page.state == PageState.PAGING).order_by(Page.id)
    return list((await tx.session.scalars(query)).all())


async def pages_of_step(tx: Tx, run: EscalationRun) -> list[Page]:
    """Return the pages that the run's present step made."""
    query = select(Page).where(Page.run_id == run.id, Page.step == run.step, Page.round == run.round)
    return list((await tx.session.scalars(query)).all())


async def asked_by(tx: Tx, run_ids: Collection[UUID]) -> dict[UUID, dict[tuple[int, int], set[UUID]]]:
    """Return whom each of these runs has asked, by round and step."""
    query = select(Page.run_id, Page.round, Page.step, Page.user_id).where(Page.run_id.in_(run_ids)).distinct()
    found: dict[UUID, dict[tuple[int, int], set[UUID]]] = {}
    for run_id, round, step, user_id in (await tx.session.execute(query)).all() if run_ids else ():
        found.setdefault(run_id, {}).setdefault((round, step), set()).add(user_id)
    return found


async def pages_of(
    tx: Tx,
    *,
    alert_ids: Sequence[UUID] = (),
    incident_id: UUID | None = None,
    before: UUID | None = None,
    limit: int = 200,
) -> list[tuple[Page, str]]:
    """Return pages of these alerts or of this incident with names, the newest first, older than `before`."""
    query = (
        select(Page, User.name)
        .join(User, User.id == Page.user_id)
        .where(_about(Page, alert_ids, incident_id))
        .order_by(Page.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(Page.id < before)
    return [(page, name) for page, name in (await tx.session.execute(query)).all()]


async def pages_of_runs(tx: Tx, runs: Sequence[EscalationRun]) -> list[tuple[Page, str]]:
    """Return every page of these runs with names, the newest first."""
    query = select(Page, User.name).join(User, User.id == Page.user_id).where(Page.run_id.in_([run.id for run in runs]))
    return [(page, name) for page, name in (await tx.session.execute(query.order_by(Page.id.desc()))).all()]


async def newest_pages_of_user(tx: Tx, user_id: UUID, *, alert_ids: Collection[UUID], incident_id: UUID) -> list[Page]:
    """Return the newest page of one person in each run about these alerts or this incident, the newest run first."""
    query = (
        select(Page)
        .where(Page.user_id == user_id, _about(Page, list(alert_ids), incident_id))
        .ext(distinct_on(Page.run_id))
        .order_by(Page.run_id.desc(), Page.id.desc())
    )
    return list((await tx.session.scalars(query)).all())


async def people_paged_for(tx: Tx, alert_ids: Collection[UUID], *, incident_id: UUID | None = None) -> list[UUID]:
    """Return everybody who was paged for these alerts or this incident, in the order in which they were."""
    query = (
        select(Page.user_id)
        .where(_about(Page, list(alert_ids), incident_id))
        .group_by(Page.user_id)
        .order_by(func.min(Page.paged_at))
    )
    return list((await tx.session.scalars(query)).all())


async def hold_policy(tx: Tx, id: UUID) -> EscalationPolicy:
    """Return one policy for removing: nobody can begin to use it any more, as they would have to refer to it."""
    return await lock_to_delete(tx, EscalationPolicy, id, "escalation policy")


async def running_runs_of(tx: Tx, policy_id: UUID, *, limit: int = 100) -> list[EscalationRun]:
    """Return the runs that are climbing this policy now, the oldest first."""
    climbing = EscalationRun.policy_id == policy_id, EscalationRun.state == RunState.RUNNING
    query = select(EscalationRun).where(*climbing).order_by(EscalationRun.id).limit(limit)
    return list((await tx.session.scalars(query)).all())
