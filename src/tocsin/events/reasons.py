"""How a fact is said: to everybody, and to the person who is paged. Pure; texts are plain.

The one place where the sentences of `facts` are made, whether a row, an event, a message or an answer asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from tocsin.events import facts
from tocsin.events.facts import Fact, Why


def said(why: Why | None) -> str:
    """Say why something happened; nothing when it is not known."""
    return SAID[type(why)](why) if why is not None else ""


class Explained(Protocol):
    """An event that says why it happened: by a fact, or in words that a person, or 0.1.0, wrote."""

    @property
    def reason(self) -> str: ...

    @property
    def why(self) -> Why | None: ...


def because(event: Explained) -> str:
    """Say why an event happened: in what was written, else by the fact; nothing when it is not known."""
    return event.reason or said(event.why)


def said_to_them(why: Why) -> str:
    """Say to the person who is paged why it is them."""
    match why:
        case facts.LastResort():
            return "You are the last resort: nobody else answered or could be reached"
        case facts.Directly():
            return "You were paged directly"
        case _:
            words = said(why)
            return f"You are {words[:1].lower()}{words[1:]}"


def passed_over(routes: Sequence[str]) -> str:
    """Name the routes that nothing can match."""
    if not routes:
        return ""
    return f"Passed over because their condition is broken: {', '.join(f'“{name}”' for name in routes)}."


def too_late(alert_status: str) -> str:
    """Say why a route with a policy pages nobody for an alert that is not triggered any more."""
    return f"Nobody was paged, because the alert was {alert_status} before."


def hours(number: int) -> str:
    """Spell out a number of hours."""
    return "one hour" if number == 1 else f"{number} hours"


def step_of(why: facts.OnStep | facts.LastResort) -> str:
    """Name the step and the repeat of a policy."""
    return f"step {why.step} of {why.policy}{f', repeat {why.round}' if why.round else ''}"


def _on_step(why: facts.OnStep) -> str:
    words = step_of(why)
    return f"{words[0].upper()}{words[1:]}"


def _last_resort(why: facts.LastResort) -> str:
    return f"Asked as the last resort{f', {step_of(why)}' if why.policy else ''}"


def _route_took(why: facts.RouteTook) -> str:
    if why.match == "catch_all":
        took = f"No other route matched, so “{why.route}” took it."
    else:
        took = f"“{why.route}” is the first route that matched."
    return f"{took} {passed_over(why.passed_over)}".rstrip()


def _no_route_took(why: facts.NoRouteTook) -> str:
    if not why.tried:
        return "There are no routes yet."
    shown = "; ".join(f"“{tried.route}”: {_tried(tried)}" for tried in why.tried)
    more = f" and {why.more} more" if why.more else ""
    return f"{f'No route matched. {passed_over(why.passed_over)}'.rstrip()} {shown}{more}"


def _tried(it: facts.Tried) -> str:
    match it.how:
        case "off":
            return "It is switched off."
        case "broken":
            return f"Its condition is broken: {it.said}"
        case _:
            return it.said


def _nobody_to_ask(why: facts.NobodyToAsk) -> str:
    if not why.people:
        return "The step names nobody."
    if asked := [each.name for each in why.people if each.why == "asked"]:
        return f"Being asked about it already, or just was: {', '.join(asked)}."
    people = ", ".join("somebody who was removed" if each.why == "removed" else each.name for each in why.people)
    return f"{people} cannot be reached: no contact method, or the account is switched off."


def _unanswered(why: facts.Unanswered) -> str:
    steps = "Its only step" if why.steps == 1 else f"All {why.steps} steps"
    turns = f", {why.times} times over" if why.times > 1 else ""
    return f"{steps} of “{why.policy}” went by without an answer{turns}."


def _incident_over(why: facts.IncidentOver) -> str:
    return f"{why.reference} was {'a false alarm' if why.how == 'false_alarm' else why.how}."


SAID: Mapping[type[Fact], Callable[[Any], str]] = {
    facts.OnStep: _on_step,
    facts.Directly: lambda _: "Paged directly",
    facts.LastResort: _last_resort,
    facts.RouteTook: _route_took,
    facts.NoRouteTook: _no_route_took,
    facts.ForInformation: lambda _: "The source marks this signal as information only.",
    facts.AskedForHelp: lambda why: f"{why.who} asked for help" + (f": “{why.message}”" if why.message else ""),
    facts.NothingSince: lambda why: f"Nothing has happened for {hours(why.hours)} since {why.who} acknowledged it.",
    facts.NobodyToAsk: _nobody_to_ask,
    facts.NoSteps: lambda why: f"“{why.policy}” has no steps, so nobody could be paged.",
    facts.NobodyReachable: lambda _: "Nobody on any step can be reached.",
    facts.AllAskedAlready: lambda _: "Everybody on it who can be reached is being asked about it already, or just was.",
    facts.EveryMessageFailed: lambda _: "Every message so far failed.",
    facts.NobodyReachedYet: lambda _: "Nobody has been reached so far.",
    facts.Unanswered: _unanswered,
    facts.NoAnswerInTime: lambda _: "No answer in time.",
    facts.NotReachedInTime: lambda _: "No message reached them in time.",
    facts.AskedForNextStep: lambda why: f"{why.who} asked for the next step.",
    facts.ConfigurationHasChanged: lambda _: "The configuration has changed.",
    facts.StepReachedNobody: lambda _: "The page reached nobody on this step.",
    facts.MessagesFailed: lambda _: "Every message to them failed.",
    facts.Declined: lambda why: f"{why.who} declined.",
    facts.Acknowledged: lambda why: f"{why.who} acknowledged.",
    facts.AlertTaken: lambda why: (
        f"{why.who} acknowledged the alert." if why.who else "The alert was acknowledged at its source."
    ),
    facts.AlertOver: lambda _: "The alert is resolved.",
    facts.AlertGivenBack: lambda _: "The alert was given back.",
    facts.AlertGotWorse: lambda _: "The alert got worse.",
    facts.ReminderFollows: lambda _: "Another reminder follows.",
    facts.IncidentOver: _incident_over,
    facts.DeclaredFromIt: lambda why: f"{why.reference} was declared from it",
    facts.CameLate: lambda _: "It came late: the source had said before that it was over",
    facts.SourceSilent: lambda why: (
        f"{why.source} has not mentioned it for {hours(why.hours)}, and nobody has done anything about it."
    ),
    facts.EndedForSource: lambda why: f"{why.who} ended what “{why.source}” had left open.",
    facts.SwitchedOff: lambda why: f"{why.who}’s account was switched off.",
    facts.CannotSignIn: lambda why: f"{why.who}, who had taken it, cannot sign in any more.",
    facts.CannotGoOn: lambda why: f"{why.who} cannot go on with it.",
    facts.MayNotEdit: lambda why: f"{why.who} may no longer edit incidents.",
    facts.SeesNoMore: lambda why: f"{why.who} may not see it any more.",
    facts.Left: lambda why: f"{why.who} left.",
    facts.HasItsAlert: lambda why: f"{why.who} has acknowledged its alert.",
    facts.HadNoLead: lambda why: f"{why.reference} had no lead.",
}
