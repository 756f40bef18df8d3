"""One escalation policy: the editor, which works without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import ClassVar
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath

from tocsin.alerts import service as routing
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import USER_ID, Actor, User
from tocsin.kit.errors import FieldError, Invalid, NotFound
from tocsin.notifications import queries as notifications
from tocsin.notifications.health import Reach
from tocsin.oncall import queries
from tocsin.oncall import service as oncall
from tocsin.oncall.escalation import Plan, Step
from tocsin.oncall.model import POLICY_ID
from tocsin.oncall.service import StepDraft
from tocsin.web.base import forms, pages
from tocsin.web.base.actions import Action, Actions
from tocsin.web.base.forms import Form, Refused
from tocsin.web.base.screens import Shell, ShellScreen
from tocsin.web.parts.history import History, history
from tocsin.web.parts.targets import Choice
from tocsin.web.policies import dialogs
from tocsin.web.policies.dialogs import DELETE, why_it_stays

_MOST_STEPS = 20


@dataclass(frozen=True, slots=True)
class StepSketch:
    """One step as it is being written: `wait` as it was typed, people as `user:usr_…`."""

    wait: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sketch:
    """A policy as it is being written, before anybody has checked it."""

    name: str
    repeat: str
    steps: tuple[StepSketch, ...]


@dataclass(frozen=True, slots=True)
class TargetView:
    """Somebody on a step. `note` says why nothing can be sent to them, `cure` what would help on their page, `href`."""

    key: str
    name: str
    kind: str
    note: str
    cure: str
    href: str


@dataclass(frozen=True, slots=True)
class StepView:
    """One step in the editor."""

    wait_minutes: str
    targets: list[TargetView]


@dataclass(frozen=True, slots=True)
class PolicyView:
    """The policy in the editor."""

    id: str | None
    name: str
    repeat: int
    version: int
    steps: list[StepView]


@dataclass(frozen=True, slots=True)
class PreviewLine:
    """What happens so many seconds after the alert, and at what time if it began at 03:00, if nobody answers."""

    after: float
    clock: str
    words: str


@dataclass(frozen=True, slots=True)
class RouteLink:
    """A route that leads to the policy."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyScreen(ShellScreen):
    """One policy, or a new one, in the editor.

    `choices` are whom one can put on a step, `routes` lead here.
    `paging_now` counts the escalations that climb it now; it stays until they are over.
    """

    template: ClassVar = "policies/policy_edit.html"
    policy: PolicyView
    choices: list[Choice]
    preview: list[PreviewLine]
    routes: list[RouteLink]
    is_fallback: bool
    paging_now: int
    warnings: list[str]
    history: History | None
    may_edit: bool
    may_delete: bool
    # Why it cannot be deleted as things are; empty when it can.
    not_deleted: str
    # What is shown is as it was typed, and `focus` is the id of what has the focus then.
    is_unsaved: bool
    focus: str = ""


def listed_as(name: str, *, is_active: bool) -> str:
    """Return what somebody on a step is called, and that they are skipped."""
    return name if is_active else f"{name} (skipped)"


# When nobody wants to be paged; which day it is does not matter.
_AT_NIGHT = datetime(2000, 1, 1, 3, 0)  # noqa: DTZ001
_SHOWN = 60


def _planned(sketch: Sketch) -> Plan:
    """Return what is on the screen as a plan, as far as it makes sense: what is not a number waits for nothing."""
    steps = [
        Step(
            tuple(id for key in step.targets if (id := _person(key)) is not None),
            timedelta(minutes=_number(step.wait)),
        )
        for step in sketch.steps
    ]
    return Plan(name=sketch.name, steps=tuple(steps), repeat=min(_number(sketch.repeat), 9))


def _person(key: str) -> UUID | None:
    try:
        return USER_ID.read(key.removeprefix("user:"))
    except NotFound:
        return None


def preview(
    plan: Plan, names: Mapping[UUID, str], skipped: Collection[UUID], last_resort: str | None
) -> list[PreviewLine]:
    """Say what happens when nobody ever answers: every step of every round, as far as they are shown, and the end."""
    *lines, end = steps_in_time(plan, names, skipped)
    words = f"The last resort: {last_resort}" if last_resort else "Nobody else: there is no last resort"
    return [*lines[:_SHOWN], replace(end, words=words)]


def steps_in_time(plan: Plan, names: Mapping[UUID, str], skipped: Collection[UUID]) -> list[PreviewLine]:
    """Say when which step is paged in every round, and at last when all of them are done.

    Nothing can be sent to those who are `skipped`, and a step on which nobody else is does not wait.
    """
    lines: list[PreviewLine] = []
    after = timedelta()
    for round in range(plan.repeat + 1):
        for step in plan.steps:
            again = f", repeat {round}" if round else ""
            asked = [id for id in step.user_ids if id not in skipped]
            people = ", ".join(names.get(id, "somebody who was removed") for id in asked or step.user_ids)
            if step.user_ids and not asked:
                people += ": skipped, as nothing can be sent"
            lines.append(_line(after, f"{people or 'Nobody yet'}{again}"))
            after += step.wait if asked or not step.user_ids else timedelta()
    return [*lines, _line(after, "")]


def _line(after: timedelta, words: str) -> PreviewLine:
    return PreviewLine(after.total_seconds(), f"{_AT_NIGHT + after:%H:%M}", words)


@get("/policies/new", needs=P.ONCALL_MANAGE)
async def new_policy(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show the editor with one empty step."""
    who.must(P.ONCALL_MANAGE)
    return await _edit(request, context, who, None, None)


@get("/policies/{id:str}", needs=P.ONCALL_VIEW)
async def policy_page(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Show the editor, or the policy for those who may not change it."""
    return await _show(request, context, who, id)


async def _show(
    request: AppRequest, context: Context, who: Actor, id: str, refused: Refused | None = None
) -> pages.Page:
    return await _edit(request, context, who, id, None, refused)


async def _edit(
    request: AppRequest,
    context: Context,
    who: Actor,
    id: str | None,
    sketch: Sketch | None,
    refused: Refused | None = None,
    *,
    focus: str = "",
) -> pages.Page:
    who.must(P.ONCALL_VIEW)
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        screen = await _editor(tx, context, shell, who, POLICY_ID.read(id) if id else None, sketch, refused)
    return pages.render(replace(screen, focus=focus))


async def _editor(
    tx: Tx,
    context: Context,
    shell: Shell,
    who: Actor,
    id: UUID | None,
    sketch: Sketch | None,
    refused: Refused | None,
) -> PolicyScreen:
    policy = await queries.policy(tx, id) if id is not None else None
    plan = (await queries.plans(tx, [policy.id]))[policy.id] if policy is not None else None
    shown = sketch or _sketch_of(plan)
    people = await identity.users(tx, limit=forms.MOST_CHOICES)
    names = {person.id: listed_as(person.name, is_active=person.is_active) for person in people}
    notes = await _notes(tx, context, people)
    uses = await routing.uses_of_policy(tx, who, policy.id) if policy is not None else []
    fallback = await oncall.describe_fallback(tx, context.channels)
    skipped = [id for id, (note, _) in notes.items() if note.startswith(_SKIPPED)]
    wrong = (await queries.weaknesses_of(tx, {policy.id: plan}, context.channels))[policy.id] if policy and plan else []
    choices = [(f"user:{USER_ID.write(person.id)}", person.name) for person in people if person.is_active]
    known: dict[str, TargetView] = {}
    for person in people:
        key = f"user:{USER_ID.write(person.id)}"
        known[key] = TargetView(key, person.name, "Person", *notes.get(person.id, ("", "")), USER_ID.page(person.id))
    return PolicyScreen(
        shell,
        policy=PolicyView(
            id=POLICY_ID.write(policy.id) if policy is not None else None,
            name=shown.name,
            repeat=_number(shown.repeat),
            version=policy.version if policy is not None else 0,
            steps=[
                StepView(
                    step.wait,
                    [
                        known.get(key) or TargetView(key, "Somebody who was removed", "Person", "", "", "")
                        for key in step.targets
                    ],
                )
                for step in shown.steps
            ],
        ),
        choices=sorted(choices, key=_by_name),
        preview=preview(_planned(shown), names, skipped, None if fallback is None else fallback.name),
        routes=[RouteLink(use.id, use.name) for use in uses if use.kind == "alert_route"],
        is_fallback=any(use.kind == "fallback" for use in uses),
        paging_now=sum(use.as_what == "being paged now" for use in uses),
        warnings=[one.words for one in wrong],
        history=await history(tx, who, POLICY_ID, id, shell.now) if id else None,
        may_edit=who.may(P.ONCALL_MANAGE),
        may_delete=who.may(P.ONCALL_MANAGE) and policy is not None,
        not_deleted=why_it_stays(uses, has_others=len(await queries.policies(tx, limit=2)) > 1),
        is_unsaved=sketch is not None,
        refused=refused,
    )


def _number(typed: str) -> int:
    return int(typed) if typed.isascii() and typed.isdecimal() and len(typed) < 4 else 0


def _by_name(choice: Choice) -> str:
    return choice[1].casefold()


def _sketch_of(plan: Plan | None) -> Sketch:
    if plan is None:
        return Sketch("", "0", (StepSketch("5", ()),))
    steps = tuple(
        StepSketch(f"{step.wait.total_seconds() / 60:.0f}", tuple(f"user:{USER_ID.write(id)}" for id in step.user_ids))
        for step in plan.steps
    )
    return Sketch(plan.name, str(plan.repeat), steps)


_SKIPPED = "Skipped: "
_SWITCHED_OFF = (f"{_SKIPPED}the account is switched off", "activate it")
_REACH_NOTES: Mapping[Reach, tuple[str, str]] = {
    Reach.NONE: (f"{_SKIPPED}no contact method of theirs works here", "add one"),
    Reach.FAILING: ("All their contact methods fail", "see to them"),
}


async def _notes(tx: Tx, context: Context, people: Sequence[User]) -> dict[UUID, tuple[str, str]]:
    reach = await notifications.reaches(tx, [person.id for person in people], context.channels)
    off = {person.id: _SWITCHED_OFF for person in people if not person.is_active}
    return {id: _REACH_NOTES[how] for id, how in reach.items() if how in _REACH_NOTES} | off


@post("/policies", needs=P.ONCALL_MANAGE)
async def create(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Save a new policy, or apply a button of the editor and show it again."""
    return await _save(request, context, who, None)


@post("/policies/{id:str}", needs=P.ONCALL_MANAGE)
async def update(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Save the policy, or apply a button of the editor and show it again."""
    return await _save(request, context, who, id)


async def _save(request: AppRequest, context: Context, who: Actor, id: str | None) -> pages.Page:
    who.must(P.ONCALL_MANAGE)
    form = await forms.read(request)
    sketch = add_chosen(read_sketch(form), form)
    if form.text("do") != "save":
        return await _edit(
            request, context, who, id, press(sketch, form.text("do")), focus=focus_after(sketch, form.text("do"))
        )
    saved: list[UUID] = []
    refused = await forms.attempt(context, form, "policy-form", partial(_write, who, id, sketch, form, saved))
    if refused is not None:
        return await _edit(request, context, who, id, sketch, refused)
    return pages.go(POLICY_ID.page(saved[0]) if saved else "/policies", "Policy saved.")


async def _write(who: Actor, id: str | None, sketch: Sketch, form: Form, saved: list[UUID], tx: Tx) -> None:
    steps = read_steps(sketch)
    repeat = form.whole("repeat", most=9)
    try:
        if id is not None:
            changes = oncall.PolicyChanges(name=sketch.name, steps=steps, repeat=repeat)
            policy = await oncall.update_policy(tx, who, POLICY_ID.read(id), changes, if_version=form.version())
        elif await forms.once(tx, who, form, "policy", repr(sorted(form.lists.items()))):
            policy = await oncall.create_policy(tx, who, name=sketch.name, steps=steps, repeat=repeat)
        else:
            return
    except Invalid as problem:
        raise _at_the_fields(problem) from None
    saved.append(policy.id)


_POINTER = re.compile(r"#/steps/(\d+)/(targets|wait_minutes)")


def _at_the_fields(problem: Invalid) -> Invalid:
    """Say the same about the fields of the form."""
    words = {"targets": "target", "wait_minutes": "wait"}
    return Invalid.of(
        tuple(
            FieldError(_POINTER.sub(lambda m: f"#/step-{m[1]}-{words[m[2]]}", error.pointer), error.detail, error.code)
            for error in problem.errors
        )
    )


def read_sketch(form: Form) -> Sketch:
    """Read what is on the screen, whatever it is."""
    number = min(_number(form.text("step-count")), _MOST_STEPS)
    steps = tuple(
        StepSketch(form.text(f"step-{n}-wait"), tuple(key for key in form.texts(f"step-{n}-target") if key))
        for n in range(number)
    )
    return Sketch(form.text("name"), form.text("repeat"), steps)


def read_steps(sketch: Sketch) -> list[StepDraft]:
    """Return the steps as typed values; raises `Invalid` for a field of the form."""
    drafts: list[StepDraft] = []
    for n, step in enumerate(sketch.steps):
        checked = Form({f"step-{n}-wait": [step.wait]}).whole(f"step-{n}-wait", least=1, most=1440)
        ids = [
            Form({f"step-{n}-target": [key.removeprefix("user:")]}).id(f"step-{n}-target", USER_ID)
            for key in step.targets
        ]
        drafts.append(StepDraft(ids, checked))
    return drafts


def add_chosen(sketch: Sketch, form: Form) -> Sketch:
    """Add whoever is chosen in a step's menu, whichever button was pressed: nobody expects that choice to be lost."""
    for n in range(len(sketch.steps)):
        for key in form.texts(f"step-{n}-add"):
            sketch = _add(sketch, n, key)
    return sketch


def _add(sketch: Sketch, n: int, key: str) -> Sketch:
    step = sketch.steps[n]
    return sketch if not key or key in step.targets else _put(sketch, n, replace(step, targets=(*step.targets, key)))


def _put(sketch: Sketch, n: int, step: StepSketch) -> Sketch:
    return replace(sketch, steps=(*sketch.steps[:n], step, *sketch.steps[n + 1 :]))


_BUTTON = re.compile(r"(remove-step|up|down|add-target|remove-target)-(\d{1,2})(?:-(.+))?")


def focus_after(sketch: Sketch, do: str) -> str:
    """Return the id of what is at hand after a button of the editor was pressed: that which goes on where one was."""
    if do == "add-step":
        return f"step-{min(len(sketch.steps), _MOST_STEPS - 1)}-add"
    found = _BUTTON.fullmatch(do)
    if found is None or int(found[2]) >= len(sketch.steps):
        return ""
    n, last = int(found[2]), len(sketch.steps) - 1
    match found[1]:
        case "add-target" | "remove-target":
            return f"step-{n}-add"
        case "remove-step":
            return f"step-{min(n, max(last - 1, 0))}-add"
        case way:
            other = min(max(n - 1 if way == "up" else n + 1, 0), last)
            # A step at an end has one way left.
            return f"{'down' if other == 0 else 'up' if other == last else way}-{other}"


def press(sketch: Sketch, do: str) -> Sketch:
    """Apply a button of the editor; one that does not fit what is on the screen changes nothing."""
    if do == "add-step":
        return (
            replace(sketch, steps=(*sketch.steps, StepSketch("5", ()))) if len(sketch.steps) < _MOST_STEPS else sketch
        )
    found = _BUTTON.fullmatch(do)
    if found is None or int(found[2]) >= len(sketch.steps):
        return sketch
    n = int(found[2])
    steps = list(sketch.steps)
    match found[1]:
        case "remove-step":
            return replace(sketch, steps=(*steps[:n], *steps[n + 1 :])) if len(steps) > 1 else sketch
        case "add-target":
            return sketch
        case "remove-target":
            return _put(sketch, n, replace(steps[n], targets=tuple(key for key in steps[n].targets if key != found[3])))
        case _:
            other = n - 1 if found[1] == "up" else n + 1
            if 0 <= other < len(steps):
                steps[n], steps[other] = steps[other], steps[n]
            return replace(sketch, steps=tuple(steps))


async def _delete(tx: Tx, who: Actor, id: str, form: Form) -> None:
    """Remove a policy that nothing uses, or let another take its place. Form field: replace_by."""
    replace_by = form.optional_id("replace_by", POLICY_ID)
    await routing.delete_policy(tx, who, POLICY_ID.read(id), replace_by=replace_by)


HANDLERS = [
    new_policy,
    policy_page,
    *dialogs.HANDLERS,
    create,
    update,
    *Actions("/policies/{id:str}", _show, needs=P.ONCALL_MANAGE).handlers(
        Action("delete", _delete, "Policy deleted.", form="delete-form", leads_to="/policies", show=DELETE.show),
    ),
]
