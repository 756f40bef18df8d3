"""Why something happened, as rows and events keep it: a fact with the names known then. No words, no database.

How each is said stands in `reasons`. What a person or another system wrote is no fact of ours, and stays text. A class
and its fields are only ever added to: rows and events of the version before have to be read, and its tag is its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

import msgspec


def _tag(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


class Fact(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="is", tag=_tag):
    """One reason. `who` is the name of a person, `policy` of an escalation policy, `reference` of an incident."""


# Why somebody is paged.


class OnStep(Fact, frozen=True):
    """They are on this step (from 1); `round` counts the repeats, from 0."""

    policy: str
    step: int
    round: int = 0


class Directly(Fact, frozen=True):
    """Somebody asked for them, and for nobody else."""


class LastResort(Fact, frozen=True):
    """Nobody else answered or could be reached; by this step of a policy, or (`policy` empty) they alone."""

    policy: str = ""
    step: int = 0
    round: int = 0


# Why an escalation begins.


class RouteTook(Fact, frozen=True):
    """A route took the alert: as the `first` that matched or as the `catch_all`, past some with a broken condition."""

    route: str
    match: str
    passed_over: tuple[str, ...] = ()


class Tried(msgspec.Struct, frozen=True):
    """A route that was looked at and did not take the alert; `said` is what its condition, or what is wrong with it."""

    route: str
    how: Literal["off", "broken", "other"]
    said: str = ""


class NoRouteTook(Fact, frozen=True):
    """None of these routes took the alert, nor of so many `more`; without any, there are none."""

    tried: tuple[Tried, ...] = ()
    more: int = 0
    passed_over: tuple[str, ...] = ()


class ForInformation(Fact, frozen=True):
    """Its source says that it is to be recorded and no more."""


class AskedForHelp(Fact, frozen=True):
    """Somebody asked for help, in these words of theirs."""

    who: str
    message: str = ""


class NothingSince(Fact, frozen=True):
    """Somebody acknowledged it, and for so many hours nothing has happened."""

    who: str
    hours: int


# Why nobody is asked.


class NotAsked(msgspec.Struct, frozen=True):
    """One person of a step, and why they are not paged.

    asked: by another escalation about the same. unreachable: no contact method, or no account. removed: there is no
    such person any more.
    """

    id: UUID
    name: str
    why: Literal["asked", "unreachable", "removed"]


class NobodyToAsk(Fact, frozen=True):
    """None of the people of a step, or of a direct page, can be asked; without people, the step names nobody."""

    people: tuple[NotAsked, ...] = ()


class NoSteps(Fact, frozen=True):
    """The policy has no steps."""

    policy: str


class NobodyReachable(Fact, frozen=True):
    """Nobody on any step can be reached."""


class AllAskedAlready(Fact, frozen=True):
    """Everybody who can be reached is being asked about the same by another escalation, or just was."""


class EveryMessageFailed(Fact, frozen=True):
    """No message of the escalation got through so far."""


class NobodyReachedYet(Fact, frozen=True):
    """The same, said again because another last resort can be asked."""


class Unanswered(Fact, frozen=True):
    """All steps of a policy went by so many times without an answer."""

    policy: str
    steps: int
    times: int


# Why an escalation goes on, and a page is given up.


class NoAnswerInTime(Fact, frozen=True):
    """The wait of the step is over."""


class NotReachedInTime(Fact, frozen=True):
    """The same, and no message had reached its people."""


class AskedForNextStep(Fact, frozen=True):
    """Somebody wants the next step asked now."""

    who: str


class ConfigurationHasChanged(Fact, frozen=True):
    """Somebody can be asked by now who could not before."""


class StepReachedNobody(Fact, frozen=True):
    """All messages to the people of the step were given up."""


class MessagesFailed(Fact, frozen=True):
    """All messages to one person were given up."""


class Declined(Fact, frozen=True):
    """Somebody cannot take it."""

    who: str


# Why an escalation ends, and what becomes of alerts.


class Acknowledged(Fact, frozen=True):
    """Somebody answered a page."""

    who: str


class AlertTaken(Fact, frozen=True):
    """Somebody acknowledged the alert itself; nobody where that was at its source."""

    who: str = ""


class AlertOver(Fact, frozen=True):
    """The alert is resolved."""


class AlertGivenBack(Fact, frozen=True):
    """It begins anew."""


class AlertGotWorse(Fact, frozen=True):
    """It is routed anew."""


class ReminderFollows(Fact, frozen=True):
    """The reminder before did not help."""


class IncidentOver(Fact, frozen=True):
    """The incident that it belongs to ended."""

    reference: str
    how: Literal["resolved", "cancelled", "false_alarm"]


class DeclaredFromIt(Fact, frozen=True):
    """Whoever declared an incident from an alert has taken it on."""

    reference: str


class CameLate(Fact, frozen=True):
    """The source had said before that it was over."""


class SourceSilent(Fact, frozen=True):
    """The source has not mentioned it for so many hours, and nobody did anything about it."""

    source: str
    hours: int


class EndedForSource(Fact, frozen=True):
    """Somebody ended all that a source had left open."""

    who: str
    source: str


# What becomes of people.


class SwitchedOff(Fact, frozen=True):
    """Their account is off."""

    who: str


class CannotSignIn(Fact, frozen=True):
    """Whoever has taken an alert has no account that is on."""

    who: str


class CannotGoOn(Fact, frozen=True):
    """Whoever was reminded gives the alert back."""

    who: str


class MayNotEdit(Fact, frozen=True):
    """They have lost the right to edit incidents."""

    who: str


class SeesNoMore(Fact, frozen=True):
    """They may not see the incident any more."""

    who: str


class Left(Fact, frozen=True):
    """They are not on the incident any more."""

    who: str


class HasItsAlert(Fact, frozen=True):
    """They have acknowledged the alert that somebody brought into the incident."""

    who: str


class HadNoLead(Fact, frozen=True):
    """An incident that goes on needs somebody who leads."""

    reference: str


Why = (
    OnStep
    | Directly
    | LastResort
    | RouteTook
    | NoRouteTook
    | ForInformation
    | AskedForHelp
    | NothingSince
    | NobodyToAsk
    | NoSteps
    | NobodyReachable
    | AllAskedAlready
    | EveryMessageFailed
    | NobodyReachedYet
    | Unanswered
    | NoAnswerInTime
    | NotReachedInTime
    | AskedForNextStep
    | ConfigurationHasChanged
    | StepReachedNobody
    | MessagesFailed
    | Declined
    | Acknowledged
    | AlertTaken
    | AlertOver
    | AlertGivenBack
    | AlertGotWorse
    | ReminderFollows
    | IncidentOver
    | DeclaredFromIt
    | CameLate
    | SourceSilent
    | EndedForSource
    | SwitchedOff
    | CannotSignIn
    | CannotGoOn
    | MayNotEdit
    | SeesNoMore
    | Left
    | HasItsAlert
    | HadNoLead
)


def paged_by(
    policy: str, *, step: int, round: int, direct: bool, fallback: bool = False
) -> OnStep | Directly | LastResort:
    """Return why a run pages somebody on this step, from what the run is."""
    if fallback:
        return LastResort() if direct else LastResort(policy, step, round)
    return Directly() if direct else OnStep(policy, step, round)


def write(why: Why) -> dict[str, Any]:
    """Lay a fact out for a column."""
    return msgspec.to_builtins(why)


class _Kept(msgspec.Struct):
    """What is known of a class is kept by msgspec; of the bare union it would be found anew with each fact."""

    why: Why


def read(kept: Mapping[str, Any] | None) -> Why | None:
    """Read a fact back; None where there is none, and of one that only a newer version knows."""
    if kept is None:
        return None
    try:
        return msgspec.convert({"why": kept}, type=_Kept, strict=False).why
    except msgspec.ValidationError:
        return None
