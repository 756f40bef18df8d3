"""What an escalation run does next."""

from datetime import timedelta
from uuid import UUID

import pytest

from tocsin.events.facts import Unanswered
from tocsin.notifications.model import Method, Rule, Urgency, plan
from tocsin.oncall.escalation import Place, Plan, Step, decide

ADA, BOB = UUID(int=1), UUID(int=2)
NAMES = {ADA: "Ada", BOB: "Bob"}
FIVE = timedelta(minutes=5)
LONG = timedelta(hours=1)
TWO_STEPS = Plan("Duty", 1, (Step((ADA,), FIVE), Step((BOB,), FIVE * 2)))


def after(policy: Plan, place: Place, reachable: set[UUID] | None = None, urgency: Urgency = Urgency.HIGH) -> object:
    found = decide(
        policy, place, urgency=urgency, reachable={ADA, BOB} if reachable is None else reachable, names=NAMES
    )
    if found.end:
        return found.end
    return found.step, found.round, [NAMES[id] for id in found.page], found.wait


@pytest.mark.parametrize(
    ("place", "then"),
    [
        (Place(), (1, 0, ["Ada"], FIVE)),
        (Place(1, 0, FIVE), (2, 0, ["Bob"], FIVE * 2)),
        (Place(2, 0, LONG), (1, 1, ["Ada"], FIVE)),
        (Place(2, 1, LONG, has_reached=True), Unanswered("Duty", 2, 2)),
        # It has reached nobody, so it goes on although its repeats are used up.
        (Place(2, 1, LONG), (1, 2, ["Ada"], FIVE)),
        (Place(2, 77, LONG), (1, 78, ["Ada"], FIVE)),
        # Whatever happened in it, a round takes as long as its first wait, reached or not.
        (Place(2, 0, timedelta(minutes=1), has_reached=True), (0, 1, [], FIVE - timedelta(minutes=1))),
        (Place(2, 5, timedelta()), (0, 6, [], FIVE)),
        (Place(0, 6, FIVE), (1, 6, ["Ada"], FIVE)),
        # An end is not put off.
        (Place(2, 1, timedelta(), has_reached=True), Unanswered("Duty", 2, 2)),
    ],
)
def test_what_follows_a_step(place: Place, then: object) -> None:
    """F053, F054."""
    assert after(TWO_STEPS, place) == then


def test_who_cannot_be_reached_is_passed_over_at_once() -> None:
    """F054."""
    assert after(TWO_STEPS, Place(), {BOB}) == (2, 0, ["Bob"], FIVE * 2)


@pytest.mark.parametrize("policy", [TWO_STEPS, Plan("Empty", 0, ())], ids=["nobody reachable", "no steps"])
def test_a_run_that_can_reach_nobody_looks_again_at_the_pace_of_its_policy(policy: Plan) -> None:
    """F054, F136: somebody may mend the configuration; until then the run neither ends nor spins."""
    found = decide(policy, Place(), urgency=Urgency.HIGH, reachable=set(), names=NAMES)
    assert (found.end, found.page, found.wait, found.step) == (None, (), FIVE, 0)
    assert found.nobody
    assert after(policy, Place(0, 3, LONG), set()) == (0, 4, [], FIVE)


def test_low_urgency_waits_for_nothing() -> None:
    """F053."""
    assert after(TWO_STEPS, Place(), urgency=Urgency.LOW) == (1, 0, ["Ada"], None)


MAIL, HOOK = (Method(UUID(int=n), ADA, kind, kind, kind) for n, kind in ((11, "email"), (12, "hook")))


@pytest.mark.parametrize(
    ("rules", "urgency", "failing", "then"),
    [
        ([], "high", [], [("email", 0), ("hook", 0)]),
        ([("high", 0, MAIL), ("high", 5, HOOK)], "high", [], [("email", 0), ("hook", 5)]),
        # Another one takes the place of a method that does not work, and none is rung twice at a time for it.
        ([("high", 0, MAIL), ("high", 5, HOOK)], "high", [MAIL], [("hook", 0), ("hook", 5)]),
        ([("high", 0, MAIL), ("high", 5, HOOK)], "high", [HOOK], [("email", 0)]),
        ([("high", 0, MAIL)], "high", [MAIL], [("hook", 0)]),
        ([], "high", [MAIL], [("hook", 0)]),
        # While nothing works, everything is tried.
        ([("high", 0, MAIL)], "high", [MAIL, HOOK], [("email", 0)]),
        ([], "high", [MAIL, HOOK], [("email", 0), ("hook", 0)]),
        # Nobody is woken for what can wait.
        ([("low", 0, MAIL)], "low", [MAIL], [("email", 0)]),
    ],
)
def test_a_method_that_does_not_work_is_avoided_while_others_do(
    rules: list[tuple[str, int, Method]], urgency: str, failing: list[Method], then: list[tuple[str, int]]
) -> None:
    """F059, F141."""
    mine = [Rule(ADA, Urgency(which), delay, method.id) for which, delay, method in rules]
    planned = plan([MAIL, HOOK], mine, Urgency(urgency), {method.id for method in failing})
    assert [(step.method.kind, step.delay // timedelta(minutes=1)) for step in planned] == then
