"""What an escalation run does next. No clock, no database, no logging.

A run is at a step of a round: step 0 before the first one, round 0 until the policy has started over once. `decide`
looks for the next step on which somebody can be reached, and says which ones it passed over and why.

Two things hold for every run. It does not end before a message has reached somebody: it goes on at the policy's pace.
And no round passes faster than the first wait of the policy, whatever fails or is declined in it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal
from uuid import UUID

from tocsin.events import facts
from tocsin.events.facts import Why
from tocsin.notifications.health import Reach, best_of
from tocsin.notifications.model import Urgency

# The wait of a direct page, and of a policy that has no steps until it has some.
USUAL_WAIT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class PageContent:
    """What a page says, whatever it is about. `severity` is 1 (critical) to 5 (info).

    `request` is what somebody who asks for help says, with their name; empty when nobody asked.
    """

    title: str
    body: str
    severity: int
    urgency: Urgency
    source: str
    labels: Mapping[str, str]
    incident_number: str | None = None
    request: str = ""


@dataclass(frozen=True, slots=True)
class PageTarget:
    """Whom to page: one person, or whoever a policy reaches."""

    kind: Literal["user", "escalation_policy"]
    id: UUID


@dataclass(frozen=True, slots=True)
class Step:
    """One step: these people, then this wait."""

    user_ids: tuple[UUID, ...]
    wait: timedelta


@dataclass(frozen=True, slots=True)
class Plan:
    """A policy as the run sees it, or a direct page (one step, no repeat)."""

    name: str
    repeat: int
    steps: tuple[Step, ...]
    is_direct: bool = False

    @property
    def first_wait(self) -> timedelta:
        """Return the least time that a round takes."""
        return self.steps[0].wait if self.steps else USUAL_WAIT


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run stands: the step it took last, since when its round runs, and whether it has reached anybody."""

    step: int = 0
    round: int = 0
    round_runs_for: timedelta = timedelta()
    has_reached: bool = False


@dataclass(frozen=True, slots=True)
class Skipped:
    """A step that was passed over because nobody on it can be reached, or all who can are being asked already."""

    step: int
    round: int
    why: facts.NobodyToAsk


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now: page people, or wait and look again, or end.

    `page` is empty when nobody is paged now; `wait` is then how long until the run looks again, or `end` says why it
    has come to its end. `nobody` says why no step can reach anybody, though the run goes on.
    """

    step: int
    round: int
    page: tuple[UUID, ...]
    wait: timedelta | None
    skipped: tuple[Skipped, ...]
    end: Why | None = None
    nobody: Why | None = None


@dataclass(frozen=True, slots=True)
class Weakness:
    """What is wrong with a step: with one of its people, or so that it is passed over or likely to reach nobody."""

    step: int
    code: Literal["inactive", "unreachable_person", "failing_person", "unreachable_step", "failing_step"]
    words: str
    user_id: UUID | None = None


def weaknesses(plan: Plan, *, reach: Mapping[UUID, Reach], names: Mapping[UUID, str]) -> list[Weakness]:
    """Say which people of a policy cannot be asked at present, and which of its steps therefore ask nobody.

    `reach` names the people whose accounts are on, and no others.
    """
    found: list[Weakness] = []
    for number, step in enumerate(plan.steps, start=1):
        for id in step.user_ids:
            who = f"Step {number} names {names.get(id, 'somebody')}"
            match reach.get(id):
                case None:
                    found.append(Weakness(number, "inactive", f"{who}, whose account is switched off.", id))
                case Reach.NONE:
                    words = f"{who}, who has no contact method that works here."
                    found.append(Weakness(number, "unreachable_person", words, id))
                case Reach.FAILING:
                    words = f"{who}, all of whose contact methods fail at present."
                    found.append(Weakness(number, "failing_person", words, id))
                case _:
                    pass
        match outlook([step], reach):
            case Reach.NONE:
                words = f"Step {number} reaches nobody, so it is passed over."
                found.append(Weakness(number, "unreachable_step", words))
            case Reach.FAILING:
                words = f"Step {number} is likely to reach nobody: what there is to reach its people by fails."
                found.append(Weakness(number, "failing_step", words))
            case _:
                pass
    return found


def outlook(steps: Sequence[Step], reach: Mapping[UUID, Reach]) -> Reach:
    """Say how well the best of all people on these steps can be reached."""
    return best_of({reach.get(id, Reach.NONE) for step in steps for id in step.user_ids})


def can_reach(plan: Plan, reachable: Collection[UUID]) -> bool:
    """Say whether any step pages anybody."""
    return any(id in reachable for step in plan.steps for id in step.user_ids)


def placed(plan: Plan, place: Place, asked_by_it: Set[UUID], asked_in_round: Set[UUID]) -> Place:
    """Say where a run stands in its plan when somebody has changed the steps under it.

    `asked_by_it` are the people of the step that it took last. When none of them is on it any more, steps were taken
    out or replaced. What stands before the place then and names nobody who was asked in this round is still to come,
    so that nobody moves to where the run has passed; that begins another round.
    """
    step = min(place.step, len(plan.steps))
    if place.step == 0 or (step == place.step and not asked_by_it.isdisjoint(plan.steps[step - 1].user_ids)):
        return place
    while step > 0 and asked_in_round.isdisjoint(plan.steps[step - 1].user_ids):
        step -= 1
    if step == min(place.step, len(plan.steps)):
        return place
    return replace(place, step=step, round=place.round + 1)


def decide(
    plan: Plan,
    place: Place,
    *,
    urgency: Urgency,
    reachable: Collection[UUID],
    names: Mapping[UUID, str],
    asked: Collection[UUID] = (),
) -> Decision:
    """Say what follows after this place. Who is `asked` otherwise about the same is left in peace meanwhile."""
    if not plan.steps:
        return _nobody(plan, place, (), facts.NoSteps(plan.name))
    step, round = place.step, place.round
    skipped: list[Skipped] = []
    reaching = {id for each in plan.steps for id in each.user_ids if id in reachable}
    # Each step is looked at once at most: when a whole turn finds nobody, further turns would not either.
    for _ in plan.steps:
        step += 1
        if step > len(plan.steps):
            if round >= plan.repeat and place.has_reached:
                break
            if place.round_runs_for < plan.first_wait:
                return Decision(0, round + 1, (), plan.first_wait - place.round_runs_for, tuple(skipped))
            step, round = 1, round + 1
        here = plan.steps[step - 1]
        if people := tuple(id for id in here.user_ids if id in reachable and id not in asked):
            # Low urgency notifies once and does not climb, so nothing is waited for.
            wait = here.wait if urgency is Urgency.HIGH else None
            return Decision(step, round, people, wait, tuple(skipped))
        skipped.append(Skipped(step, round, _why_skipped(here, names, reachable)))
    if len(skipped) == len(plan.steps):
        if reaching:
            wait = min(plan.first_wait, USUAL_WAIT)
            return _nobody(plan, place, tuple(skipped), facts.AllAskedAlready(), wait=wait)
        return _nobody(plan, place, tuple(skipped), skipped[0].why if plan.is_direct else facts.NobodyReachable())
    return Decision(step, round, (), None, tuple(skipped), _unanswered(plan, round))


def _nobody(
    plan: Plan, place: Place, skipped: tuple[Skipped, ...], why: Why, wait: timedelta | None = None
) -> Decision:
    if place.has_reached:
        return Decision(place.step, place.round, (), None, skipped, why)
    return Decision(0, place.round + 1, (), wait or plan.first_wait, skipped, nobody=why)


def _why_skipped(step: Step, names: Mapping[UUID, str], reachable: Collection[UUID]) -> facts.NobodyToAsk:
    return facts.NobodyToAsk(tuple(_not_asked(id, names.get(id), id in reachable) for id in step.user_ids))


def _not_asked(id: UUID, name: str | None, is_reachable: bool) -> facts.NotAsked:
    if is_reachable:
        return facts.NotAsked(id, name or "somebody", "asked")
    return facts.NotAsked(id, name or "", "unreachable" if name is not None else "removed")


def _unanswered(plan: Plan, round: int) -> Why:
    return facts.Unanswered(plan.name, len(plan.steps), round + 1)
