"""What a suspension does to approvals: those from before end, those that name it count."""

from __future__ import annotations

import json
from datetime import timedelta

from approvals import NOW, seen, signed, statement

from interlock.governance.approval import (
    DEFAULT_LIFETIME,
    Assessment,
    Excluded,
    Seen,
    State,
    Statement,
    Verdict,
    assess,
    was_lifted,
)
from interlock.governance.statement import read_statement

EVENT = "governance/audit/1970/01/01/decisions.TinyModel.3/000007.json"
LATER = NOW + timedelta(hours=1)
SUSPENDED = seen(suspension=EVENT)


def assessed(*statements: object, on: Seen = SUSPENDED) -> Assessment:
    return assess(
        signed(*statements),  # type: ignore[arg-type]
        seen=on,
        now=LATER,
        excluded=Excluded({"ada": "trained it"}),
    )


def test_version_that_was_never_suspended_keeps_its_form() -> None:
    assert "suspension" not in json.loads(seen().canonical)
    assert "suspension" not in json.dumps(statement().document())
    assert json.loads(SUSPENDED.canonical)["suspension"] == EVENT
    assert seen().digest != SUSPENDED.digest


def test_statement_that_names_a_suspension_is_read_back() -> None:
    said = statement(on=SUSPENDED)
    assert read_statement(said.payload) == said


def test_approvals_from_before_end() -> None:
    found = assessed(statement("grace"), statement("henry"))
    assert found.state is State.SUSPENDED
    assert not found.approved
    assert {each.why for each in found.ignored} == {"is from before its approval was suspended"}
    assert found.valid_until is None


def test_quorum_that_names_it_lifts_it_and_less_does_not() -> None:
    grace, henry = (statement(name, on=SUSPENDED) for name in ("grace", "henry"))
    assert assessed(grace).state is State.SUSPENDED
    assert assessed(grace, statement("henry")).state is State.SUSPENDED
    assert assessed(grace, henry).approved


def test_the_next_suspension_ends_what_lifted_the_last_one() -> None:
    again = seen(suspension=EVENT.replace("000007", "000011"))
    lifted = [statement(name, on=SUSPENDED) for name in ("grace", "henry")]
    assert assessed(*lifted, on=again).state is State.SUSPENDED


def test_what_a_quorum_lifted_expires_and_what_one_person_said_lifts_nothing() -> None:
    both = [statement(name, on=SUSPENDED) for name in ("grace", "henry")]
    far = NOW + DEFAULT_LIFETIME + timedelta(days=1)
    nobody = Excluded({})

    def state(*said: Statement) -> State:
        return assess(signed(*said), seen=SUSPENDED, now=far, excluded=nobody).state

    assert state(*both) is State.EXPIRED
    assert state(both[0]) is State.SUSPENDED
    # Never both at once: the first had ended when the second came.
    assert state(both[0], statement("henry", on=SUSPENDED, at=far)) is State.SUSPENDED
    lifted = signed(*both)
    assert was_lifted(lifted, EVENT, SUSPENDED, nobody)
    assert was_lifted(lifted, EVENT, seen(suspension="another"), nobody)
    assert not was_lifted(lifted, "another", SUSPENDED, nobody)
    assert not was_lifted(lifted, EVENT, SUSPENDED, Excluded({"henry": "trained it"}))
    other = seen(suspension=EVENT, model_digest="00" * 32)
    assert not was_lifted(lifted, EVENT, other, nobody)
    more = seen(suspension=EVENT, quorum=3)
    assert not was_lifted(lifted, EVENT, more, nobody)


def test_rejection_outweighs_a_suspension() -> None:
    rejected = statement("grace", verdict=Verdict.REJECT, on=seen())
    assert assessed(rejected).state is State.REJECTED
