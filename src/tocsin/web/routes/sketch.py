"""A route as it is being written, nothing saved yet: what is on the screen, and what a button makes of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tocsin.alerts import building
from tocsin.alerts.building import Row
from tocsin.kit.errors import FieldError, Invalid
from tocsin.web.base.forms import Form

_MOST_ROWS = 20


@dataclass(frozen=True, slots=True)
class Sketch:
    """A route as it is being written. `by_rows`: what counts are the rows, else the expression."""

    name: str = ""
    policy_id: str = ""
    is_enabled: bool = True
    by_rows: bool = True
    any_of_them: bool = False
    rows: tuple[Row, ...] = ()
    expression: str = ""

    @property
    def condition(self) -> str:
        """Return the condition that it has as it stands."""
        return building.write(self.rows, any_of_them=self.any_of_them) if self.by_rows else self.expression


def empty() -> Row:
    return Row("severity", "<=", "")


def read_sketch(form: Form) -> Sketch:
    """Read what is on the screen, whatever it is."""
    count = form.text("row-count")
    number = min(int(count), _MOST_ROWS) if count.isascii() and count.isdecimal() and len(count) < 4 else 0
    rows = [
        Row(form.text(f"row-{n}-field"), form.text(f"row-{n}-operator"), form.text(f"row-{n}-value"))
        for n in range(number)
    ]
    return Sketch(
        name=form.text("name"),
        policy_id=form.text("policy_id"),
        is_enabled=form.text("is_enabled") == "1",
        by_rows=form.text("by") == "rows",
        any_of_them=form.text("any") == "1",
        rows=tuple(_fitting(row) for row in rows),
        expression=form.text("condition"),
    )


def _fitting(row: Row) -> Row:
    """Return a row that asks what can be asked of its field; somebody has chosen another field."""
    known = row.field in building.FIELDS or row.field.startswith("labels.")
    field = row.field if known else "severity"
    operators = building.operators_of(field)
    return Row(field, row.operator if row.operator in operators else operators[0], row.value)


def pressed(form: Form) -> str:
    """Return which button of the editor was pressed; nothing for one that saves.

    Enter presses none in particular: it saves, but for a label that was just typed, which it adds.
    """
    do = form.text("do")
    if do == "enter" and form.text("by") == "rows" and _new_label(form):
        return "add"
    return "" if do in ("save", "enter") else do


def _new_label(form: Form) -> str:
    return form.text("new-label").strip()


def focus_after(sketch: Sketch, do: str, form: Form) -> str:
    """Return the id of what is at hand after a button of the editor was pressed: that which goes on where one was."""
    last = len(sketch.rows) - 1
    match do.partition("-")[0], do.rpartition("-")[2]:
        case "add", _:
            return _value_of(last) if _new_label(form) else f"row-{last}-field"
        case "remove", n if n.isascii() and n.isdecimal():
            return f"row-{min(int(n), last)}-field" if sketch.rows else "add-condition"
        case "as", "text":
            return "as-rows"
        case "as", "rows":
            return "as-text"
        case _:
            return ""


def press(sketch: Sketch, do: str, form: Form) -> Sketch:
    """Apply a button of the editor; one that does not fit what is on the screen changes nothing."""
    match do.partition("-")[0], do.rpartition("-")[2]:
        case "add", _ if len(sketch.rows) < _MOST_ROWS:
            name = _new_label(form)
            row = Row(f"labels.{name}", "==", "") if name else empty()
            return replace(sketch, rows=(*sketch.rows, row))
        case "remove", n if n.isascii() and n.isdecimal() and int(n) < len(sketch.rows):
            return replace(sketch, rows=(*sketch.rows[: int(n)], *sketch.rows[int(n) + 1 :]))
        case "as", "text":
            return replace(sketch, by_rows=False, expression=sketch.condition)
        case "as", "rows":
            read = building.read(sketch.condition)
            if read is None:
                return sketch
            return replace(sketch, by_rows=True, rows=tuple(read[0]) or (empty(),), any_of_them=read[1])
        case _:
            return sketch


def to_save(form: Form) -> tuple[Sketch, Form]:
    """Read what is to be saved: a label that was typed and not added yet is a row, as every other one."""
    sketch = read_sketch(form)
    if not sketch.by_rows or not _new_label(form):
        return sketch, form
    sketch = press(sketch, "add", form)
    return sketch, Form({**form.lists, _value_of(len(sketch.rows) - 1): [""]})


def _value_of(n: int) -> str:
    return f"row-{n}-value"


def unfinished(sketch: Sketch) -> list[str]:
    """Return the fields of rows that say nothing yet."""
    return [_value_of(n) for n in building.unfinished(sketch.rows)] if sketch.by_rows else []


def must_be_finished(sketch: Sketch) -> None:
    """Refuse rows that say nothing: the route would take more than is meant, and nobody would be told."""
    if left := unfinished(sketch):
        raise Invalid.of(
            tuple(FieldError(f"#/{name}", "Say what it has to be, or remove the condition.") for name in left)
        )
