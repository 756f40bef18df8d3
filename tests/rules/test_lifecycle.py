"""Which way an incident may go: every pair of states, what each move needs and what it stamps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from tocsin.incidents import lifecycle
from tocsin.incidents.lifecycle import Way
from tocsin.incidents.model import OPEN, CancelReason, Incident, IncidentRole, Status
from tocsin.kit.errors import Conflict, Invalid

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=10)
LEAD = uuid4()

# One row per status, one letter per status it may go to, in the order of `Status`:
# . stay, m move, r resolve, c close, x cancel, o reopen, - impossible.
TABLE = {
    Status.DECLARED: ".mmmmrcx",
    Status.INVESTIGATING: "m.mmmrcx",
    Status.IDENTIFIED: "mm.mmrcx",
    Status.MITIGATED: "mmm.mrcx",
    Status.MONITORING: "mmmm.rcx",
    Status.RESOLVED: "-o---.c-",
    Status.CLOSED: "-o----.-",
    Status.CANCELLED: "-o-----.",
}
LETTERS = {
    ".": Way.STAY,
    "m": Way.MOVE,
    "r": Way.RESOLVE,
    "c": Way.CLOSE,
    "x": Way.CANCEL,
    "o": Way.REOPEN,
    "-": None,
}
PAIRS = [(status, to, LETTERS[letter]) for status, row in TABLE.items() for to, letter in zip(Status, row, strict=True)]


def incident(status: Status = Status.INVESTIGATING, *, lead: UUID | None = LEAD) -> Incident:
    over = status not in OPEN
    return Incident(
        id=uuid4(),
        number=7,
        reference="INC-7",
        title="Checkout is down",
        summary="",
        severity=3,
        status=status,
        round=0,
        reporter_name="Ada",
        lead_id=lead,
        commander_id=None,
        communicator_id=None,
        resolution_note="Rolled back." if over else "",
        acknowledged_at=None,
        detected_at=None,
        identified_at=None,
        mitigated_at=None,
        resolved_at=NOW if over else None,
        closed_at=NOW if status is Status.CLOSED else None,
        cancelled_at=NOW if status is Status.CANCELLED else None,
        cancel_reason=None,
        duplicate_of_id=None,
        started_at=NOW,
        declared_at=NOW,
        updated_at=NOW,
        version=1,
    )


def test_the_table_is_complete() -> None:
    assert len(PAIRS) == len(Status) ** 2


@pytest.mark.parametrize(("status", "to", "way"), PAIRS)
def test_every_pair_of_states_has_its_way(status: Status, to: Status, way: Way | None) -> None:
    """F028, F034, F035, F036."""
    assert lifecycle.way(status, to) is way


@pytest.mark.parametrize(("status", "to", "way"), PAIRS)
def test_a_status_change_moves_only_between_open_states(status: Status, to: Status, way: Way | None) -> None:
    """F028: the others say which verb to use, or that the incident has to be reopened."""
    it = incident(status)
    match way:
        case Way.STAY:
            assert not lifecycle.move(it, to, at=LATER)
            assert it.version == 1
        case Way.MOVE:
            assert lifecycle.move(it, to, at=LATER)
            assert (it.status, it.version, it.updated_at) == (to, 2, LATER)
        case Way.RESOLVE | Way.CLOSE | Way.CANCEL:
            with pytest.raises(Invalid, match=f"Use “{way}”"):
                lifecycle.move(it, to, at=LATER)
        case _:
            with pytest.raises(Conflict, match="Reopen it first"):
                lifecycle.move(it, to, at=LATER)


@pytest.mark.parametrize("status", Status)
def test_resolving_works_from_open_states_and_once(status: Status) -> None:
    """F031."""
    it = incident(status)
    if status in OPEN:
        assert lifecycle.resolve(it, " Rolled back. ", at=LATER)
        assert (it.status, it.resolution_note, it.resolved_at) == (Status.RESOLVED, "Rolled back.", LATER)
    elif status is Status.RESOLVED:
        assert not lifecycle.resolve(it, "again", at=LATER)
        assert (it.resolution_note, it.resolved_at) == ("Rolled back.", NOW)
    else:
        with pytest.raises(Conflict, match="cannot become resolved"):
            lifecycle.resolve(it, "x", at=LATER)


@pytest.mark.parametrize("note", ["", "  \n"])
def test_resolving_and_closing_need_a_note(note: str) -> None:
    """F032."""
    for verb in (lifecycle.resolve, lifecycle.close):
        it = incident()
        with pytest.raises(Invalid, match="Say what was done") as refused:
            verb(it, note, at=LATER)
        assert refused.value.errors[0].pointer == "#/resolution_note"
        assert (it.status, it.version) == (Status.INVESTIGATING, 1)


def test_a_note_has_a_limit() -> None:
    with pytest.raises(Invalid, match="longer than 10,000"):
        lifecycle.resolve(incident(), "x" * 10_001, at=LATER)


@pytest.mark.parametrize("status", Status)
def test_closing_an_open_incident_resolves_it_on_the_way(status: Status) -> None:
    """F034."""
    it = incident(status)
    if status in OPEN:
        assert lifecycle.close(it, "Rolled back.", at=LATER)
        assert (it.status, it.resolved_at, it.closed_at) == (Status.CLOSED, LATER, LATER)
    elif status is Status.RESOLVED:
        assert lifecycle.close(it, "", at=LATER)
        assert (it.status, it.resolved_at, it.closed_at) == (Status.CLOSED, NOW, LATER)
    elif status is Status.CLOSED:
        assert not lifecycle.close(it, "", at=LATER)
    else:
        with pytest.raises(Conflict):
            lifecycle.close(it, "x", at=LATER)


@pytest.mark.parametrize("status", Status)
def test_an_incident_is_reopened_into_another_round(status: Status) -> None:
    """F036: stamps of the round that ended are cleared."""
    it = incident(status)
    if status in OPEN:
        assert not lifecycle.reopen(it, at=LATER)
        assert it.round == 0
        return
    assert lifecycle.reopen(it, at=LATER)
    assert (it.status, it.round, it.resolution_note) == (Status.INVESTIGATING, 1, "")
    assert (it.mitigated_at, it.resolved_at, it.closed_at, it.cancelled_at) == (None, None, None, None)


@pytest.mark.parametrize("status", Status)
def test_only_an_open_incident_is_cancelled(status: Status) -> None:
    """F035."""
    it = incident(status)
    if status in OPEN:
        assert lifecycle.cancel(it, CancelReason.FALSE_ALARM, duplicate_of_id=None, at=LATER)
        assert (it.status, it.cancel_reason, it.cancelled_at) == (Status.CANCELLED, "false_alarm", LATER)
    elif status is Status.CANCELLED:
        assert not lifecycle.cancel(it, CancelReason.OTHER, duplicate_of_id=None, at=LATER)
    else:
        with pytest.raises(Conflict):
            lifecycle.cancel(it, CancelReason.OTHER, duplicate_of_id=None, at=LATER)


def test_a_duplicate_names_the_other_incident_and_only_a_duplicate_does() -> None:
    """F035."""
    it, other = incident(), uuid4()
    with pytest.raises(Invalid, match="which incident"):
        lifecycle.cancel(it, CancelReason.DUPLICATE, duplicate_of_id=None, at=LATER)
    with pytest.raises(Invalid, match="Only a duplicate"):
        lifecycle.cancel(it, CancelReason.OTHER, duplicate_of_id=other, at=LATER)
    with pytest.raises(Invalid, match="itself"):
        lifecycle.cancel(it, CancelReason.DUPLICATE, duplicate_of_id=it.id, at=LATER)
    assert lifecycle.cancel(it, CancelReason.DUPLICATE, duplicate_of_id=other, at=LATER)
    assert it.duplicate_of_id == other


def test_nothing_leaves_declared_without_a_lead() -> None:
    """F033: the commander counts as lead when there is none."""
    it = incident(Status.DECLARED, lead=None)
    with pytest.raises(Conflict, match="no lead"):
        lifecycle.move(it, Status.IDENTIFIED, at=LATER)
    with pytest.raises(Conflict, match="no lead"):
        lifecycle.resolve(it, "Done.", at=LATER)
    with pytest.raises(Conflict, match="no lead"):
        lifecycle.close(it, "Done.", at=LATER)
    with pytest.raises(Conflict, match="no lead"):
        lifecycle.cancel(it, CancelReason.OTHER, duplicate_of_id=None, at=LATER)

    lifecycle.give_role(it, IncidentRole.COMMANDER, LEAD, at=LATER)

    assert lifecycle.move(it, Status.IDENTIFIED, at=LATER)


def test_the_first_acknowledgement_counts() -> None:
    """F029."""
    it = incident(Status.DECLARED)
    assert lifecycle.acknowledge(it, at=NOW)
    assert not lifecycle.acknowledge(it, at=LATER)
    assert (it.status, it.acknowledged_at, it.version) == (Status.INVESTIGATING, NOW, 2)


def test_moving_an_incident_on_acknowledges_it() -> None:
    """F029, F030: unless somebody did before."""
    it = incident(Status.DECLARED)
    lifecycle.move(it, Status.IDENTIFIED, at=NOW)
    lifecycle.move(it, Status.MITIGATED, at=LATER)
    assert it.acknowledged_at == NOW


def test_acknowledging_does_not_move_an_incident_back() -> None:
    """F029."""
    it = incident(Status.MITIGATED)
    assert lifecycle.acknowledge(it, at=NOW)
    assert it.status == Status.MITIGATED


def test_mitigated_keeps_its_first_time_in_a_round() -> None:
    """F030."""
    it = incident()
    lifecycle.move(it, Status.MITIGATED, at=NOW)
    lifecycle.move(it, Status.INVESTIGATING, at=NOW)
    lifecycle.move(it, Status.MITIGATED, at=LATER)
    assert it.mitigated_at == NOW


def test_the_commander_answers_for_an_incident_without_a_lead() -> None:
    """F041, F042."""
    it, other = incident(lead=LEAD), uuid4()
    lifecycle.give_role(it, IncidentRole.COMMANDER, other, at=NOW)
    assert lifecycle.effective_lead(it) == LEAD
    lifecycle.give_role(it, IncidentRole.LEAD, None, at=NOW)
    lifecycle.give_role(it, IncidentRole.COMMUNICATOR, other, at=NOW)
    assert lifecycle.effective_lead(it) == other
    assert lifecycle.roles_of(it, other) == [IncidentRole.COMMANDER, IncidentRole.COMMUNICATOR]
