"""Decisions about a version: what binds them, who counts, and what they come to."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import pytest
from approvals import GATE, NOW, seen, signed, statement
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import ApprovalError
from interlock.governance.approval import (
    CLOCK_TOLERANCE,
    DEFAULT_LIFETIME,
    MAX_LIFETIME,
    SERVER,
    Assessment,
    Excluded,
    Proof,
    Seen,
    Signed,
    State,
    Statement,
    Tier,
    Verdict,
    assess,
    quorum_of,
    read_statement,
)

TRAINER = Excluded({"ada": "trained it", "eve": "registered it"}, frozenset({"Credit"}))
CHANGES: list[dict[str, Any]] = [
    {"registration": "governance/audit/2040/01/02/tiny-run-2/000008.json"},
    {"model_fingerprint": "00" * 32},
    {"data_hash": "00" * 32},
    {"metrics": {"roc_auc": 0.79, "brier": 0.18}},
    {"metrics": {"roc_auc": 0.8}},
    {"metrics": {"roc_auc": 0.8, "brier": None}},
    {"gates": [GATE, GATE]},
    {"gates": [GATE | {"limit": 0.6}]},
    {"policy_hash": "00" * 32},
    {"tier": "low"},
    {"quorum": 1},
    {"fairness": "passed"},
    {"signed": True},
    {"model_card": "00" * 32},
]
OTHER_VERSION: list[dict[str, Any]] = [
    {"environment": "staging"},
    {"model": "OtherModel"},
    {"version": "4"},
    {"model_digest": "00" * 32},
]


def judged(
    *statements: Statement,
    on: Seen | None = None,
    now: datetime = NOW,
    excluded: Excluded = TRAINER,
) -> Assessment:
    return assess(signed(*statements), seen=on or seen(), now=now, excluded=excluded)


def subjects(found: Assessment) -> list[str]:
    return [each.statement.subject for each in found.counted]


@pytest.mark.parametrize(
    ("tier", "raised", "expected"),
    [
        (Tier.LOW, None, 1),
        (Tier.MEDIUM, None, 1),
        (Tier.HIGH, None, 2),
        (Tier.LOW, 3, 3),
        (Tier.HIGH, 1, 2),
        (Tier.HIGH, 0, 2),
        (Tier.LOW, -5, 1),
    ],
)
def test_quorum_is_raised_and_never_lowered(tier: Tier, raised: int | None, expected: int) -> None:
    assert quorum_of(tier, raised) == expected


def test_two_people_approve_a_high_tier_and_one_does_not() -> None:
    one = judged(statement("grace"))
    assert (one.state, one.approved, one.lacking) == (State.PENDING, False, 1)
    assert one.valid_until is None
    assert one.reasons_against() == ["1 of 2 approvals are valid"]
    two = judged(statement("grace"), statement("henry"))
    assert (two.state, two.approved, two.lacking) == (State.APPROVED, True, 0)
    assert subjects(two) == ["grace", "henry"]
    assert two.reasons_against() == []


def test_nobody_is_no_quorum() -> None:
    assert judged().state is State.PENDING
    assert judged().reasons_against() == ["0 of 2 approvals are valid"]


def test_quorum_ends_when_too_few_are_left() -> None:
    days = [10, 20, 30]
    given_by = [statement(f"p{number}", lifetime=timedelta(days=number)) for number in days]
    assert judged(*given_by).valid_until == NOW + timedelta(days=20)
    assert judged(*given_by, now=NOW + timedelta(days=20)).state is State.EXPIRED
    assert judged(*given_by, now=NOW + timedelta(days=20, seconds=-1)).approved


def test_person_counts_once_however_often() -> None:
    found = judged(statement("grace"), statement("grace", reason="again"), statement("grace"))
    assert subjects(found) == ["grace"]
    assert {each.why for each in found.ignored} == {"is a second one by the same person"}


def test_name_in_another_spelling_is_no_statement() -> None:
    for name in ("Grace", " grace", "\uff47race", "GRACE"):
        with pytest.raises(ApprovalError, match="no canonical account name"):
            statement(name)


def test_people_of_different_identity_sources_are_not_added_up() -> None:
    """Who signs in another way may be the same person under another name."""
    found = judged(statement("grace"), statement("grace@example.com", verified_by="oidc-proxy"))
    assert subjects(found) == ["grace"]
    assert found.state is State.PENDING
    assert "was vouched for by oidc-proxy, the others by local" in found.ignored[0].why
    more = judged(
        statement("grace"),
        statement("g@example.com", verified_by="oidc-proxy"),
        statement("h@example.com", verified_by="oidc-proxy"),
    )
    assert subjects(more) == ["g@example.com", "h@example.com"]
    assert more.approved


@pytest.mark.parametrize(
    ("subject", "teams", "why"),
    [
        ("ada", (), "ada trained it"),
        ("eve", (), "eve registered it"),
        ("grace", ("credit",), "grace belongs to the owning team credit"),
        ("grace", ("x", "CREDIT"), "grace belongs to the owning team credit"),
    ],
)
def test_trainer_launcher_and_owning_team_do_not_count(
    subject: str, teams: tuple[str, ...], why: str
) -> None:
    found = judged(statement(subject, teams=teams), statement("henry", teams=("risk",)))
    assert subjects(found) == ["henry"]
    assert found.ignored[0].why == f"does not count: {why}"
    assert found.state is State.PENDING


def test_trainer_under_another_role_or_source_does_not_count() -> None:
    assert subjects(judged(statement("ada", role="platform_admin"))) == []
    assert subjects(judged(statement("ada", verified_by="oidc-proxy"))) == []


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_approval_is_void_when_anything_seen_changes(change: dict[str, Any]) -> None:
    both = (statement("grace"), statement("henry"))
    assert judged(*both).approved
    found = judged(*both, on=seen(**change))
    assert found.counted == ()
    assert found.state is State.VOID
    (name,) = change
    assert {each.why for each in found.ignored} == {f"is void: {name} changed since"}


@pytest.mark.parametrize("change", OTHER_VERSION, ids=str)
def test_approval_of_another_version_or_environment_does_not_count(change: dict[str, Any]) -> None:
    found = judged(statement("grace"), statement("henry"), on=seen(**change))
    assert found.counted == ()
    assert found.state is State.PENDING
    expected = "is for prod, this is staging" if "environment" in change else "is about other files"
    assert {each.why for each in found.ignored} == {expected}


@pytest.mark.parametrize("change", [{}, *CHANGES], ids=str)
def test_rejection_stands_whatever_else_changes_and_whoever_agrees(change: dict[str, Any]) -> None:
    no = statement("ivan", verdict=Verdict.REJECT, reason="leaks the target")
    found = judged(
        statement("grace"),
        no,
        statement("henry"),
        statement("judy", at=NOW + timedelta(days=400)),
        on=seen(**change),
        now=NOW + timedelta(days=400),
    )
    assert found.state is State.REJECTED
    assert not found.approved
    assert found.reasons_against() == ["ivan rejected it: leaks the target"]


@pytest.mark.parametrize("change", OTHER_VERSION, ids=str)
def test_rejection_of_another_version_says_nothing_about_this_one(change: dict[str, Any]) -> None:
    no = statement("ivan", verdict=Verdict.REJECT, on=seen(**change))
    found = judged(no, statement("grace"), statement("henry"))
    assert found.approved
    assert found.ignored[0].why in {"rejects another version", "is for staging, this is prod"}


def test_rejection_by_who_may_not_approve_stands() -> None:
    """Nobody knows better what is wrong with a model than who made it."""
    found = judged(statement("ada", verdict=Verdict.REJECT), statement("grace"), statement("henry"))
    assert found.state is State.REJECTED


def test_approval_ends_at_its_second() -> None:
    both = (statement("grace"), statement("henry"))
    end = NOW + DEFAULT_LIFETIME
    assert judged(*both, now=end - timedelta(microseconds=1)).approved
    late = judged(*both, now=end)
    assert late.state is State.EXPIRED
    assert late.ignored[0].why == "expired at 2040-04-01T09:00:00Z"


def test_clock_that_is_ahead_gives_no_approval_beyond_its_time() -> None:
    """Issued on a machine whose clock runs ahead, it does not begin before its time."""
    ahead = statement("grace", at=NOW + timedelta(days=300), lifetime=MAX_LIFETIME)
    found = judged(ahead, statement("henry"))
    assert subjects(found) == ["henry"]
    assert "which is still to come" in found.ignored[0].why
    near = statement("grace", at=NOW + CLOCK_TOLERANCE)
    assert judged(near, statement("henry")).approved
    too_far = statement("grace", at=NOW + CLOCK_TOLERANCE + timedelta(seconds=1))
    assert not judged(too_far, statement("henry")).approved


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"reason": ""}, "reason"),
        ({"reason": "  "}, "the reason is blank"),
        ({"reason": "x" * 2_001}, "reason"),
        ({"lifetime": timedelta(days=365, seconds=1)}, "at most 365 days"),
        ({"lifetime": timedelta(0)}, "at most 365 days"),
        ({"lifetime": timedelta(days=-1)}, "at most 365 days"),
        ({"lifetime": timedelta.max}, "date value out of range"),
        ({"role": ""}, "role"),
    ],
    ids=str,
)
def test_what_cannot_be_decided_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ApprovalError, match=says):
        statement(**changes)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"metrics": {"roc_auc": "0.8"}}, "metrics.roc_auc"),
        ({"metrics": {"roc_auc": float("nan")}}, "JSON compliant"),
        ({"metrics": None}, "metrics"),
        ({"gates": [{"metric": "roc_auc"}]}, "gates.0"),
        ({"gates": [{1}]}, "set is no JSON value"),
        ({"signed": "no"}, "signed"),
        ({"quorum": 0}, "quorum"),
        ({"model_digest": ""}, "model_digest"),
        ({"more": 1}, "more"),
    ],
    ids=str,
)
def test_what_cannot_be_read_cannot_be_decided_on(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ApprovalError, match=says):
        seen(**changes)


def test_statement_is_an_in_toto_statement_that_says_what_it_means() -> None:
    document = statement(teams=("risk",)).document()
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["subject"] == [{"name": "TinyModel/3", "digest": {"sha256": "ab" * 32}}]
    predicate = document["predicate"]
    assert predicate["meaning"] == "validated for use in prod"
    assert predicate["seen_digest"] == seen().digest
    assert (predicate["issued"], predicate["expires"]) == (
        "2040-01-02T09:00:00Z",
        "2040-04-01T09:00:00Z",
    )
    assert statement(verdict=Verdict.REJECT).document()["predicate"]["meaning"] == (
        "not to be used in prod"
    )


@pytest.mark.parametrize("verdict", Verdict)
def test_statement_comes_back_from_its_bytes(verdict: Verdict) -> None:
    made = statement(verdict=verdict, teams=("risk", "audit"), reason="größer als 0.7 ✓")
    assert read_statement(made.payload) == made
    assert read_statement(made.payload).seen.digest == seen().digest


def edited(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(statement().payload)
    change(document)
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"predicate": []}',
        statement().payload + b" ",
        statement().payload.replace(b'"verdict":"approve"', b'"verdict":"reject"'),
        statement().payload.replace(b'"verdict":"approve"', b'"verdict":"maybe"'),
        statement().payload.replace(b"2040-04-01T09:00:00Z", b"2049-04-01T09:00:00Z"),
        statement().payload.replace(b'"2040-04-01T09:00:00Z"', b"null"),
        statement().payload.replace(b"2040-04-01T09:00:00Z", b"2040-04-01T09:00:00"),
        statement().payload.replace(b"2040-01-02T09:00:00Z", b"2040-01-02T09:00:00"),
        statement().payload.replace(b"2040-01-02T09:00:00Z", b"2040-01-02T09:00:00.5Z"),
        statement().payload.replace(b"2040-01-02T09:00:00Z", b"2040-01-02T10:00:00+01:00"),
        statement().payload.replace(b'"grace"', b'"Grace"'),
        statement().payload.replace(b"validated for use", b"validated for play"),
        edited(lambda d: d.update(_type="https://in-toto.io/Statement/v0.1")),
        edited(lambda d: d["subject"][0].update(name="Other/3")),
        edited(lambda d: d["subject"].append(d["subject"][0])),
        edited(lambda d: d["predicate"].update(more=1)),
        edited(lambda d: d["predicate"].pop("reason")),
        edited(lambda d: d["predicate"].update(seen_digest="00")),
        edited(lambda d: d["predicate"]["seen"].update(quorum=True)),
    ],
)
def test_bytes_that_are_not_the_one_form_are_refused(payload: bytes) -> None:
    with pytest.raises(ApprovalError, match="no statement of a decision"):
        read_statement(payload)


@given(st.data())
def test_any_single_byte_edit_is_another_statement_or_none(data: st.DataObject) -> None:
    payload = statement().payload
    place = data.draw(st.integers(0, len(payload) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda found: found != payload[place]))
    changed = payload[:place] + bytes([byte]) + payload[place + 1 :]
    try:
        found = read_statement(changed)
    except ApprovalError:
        return
    assert found != statement()


@given(st.dictionaries(st.text(max_size=5), st.integers(-3, 3), max_size=4))
def test_equal_things_seen_have_equal_bytes(metrics: dict[str, int]) -> None:
    as_floats = {name: float(metrics[name]) for name in reversed(metrics)}
    frozen = MappingProxyType(as_floats)
    assert seen(metrics=metrics).canonical == seen(metrics=frozen).canonical


people = st.sampled_from(["grace", "henry", "judy", "ada", "eve"])
decisions = st.builds(
    statement,
    people,
    verdict=st.sampled_from([Verdict.APPROVE] * 9 + [Verdict.REJECT]),
    on=st.sampled_from([seen()] * 4 + [seen(**each) for each in CHANGES[:3] + OTHER_VERSION]),
    at=st.sampled_from([NOW, NOW - timedelta(days=30), NOW + timedelta(days=1)]),
    lifetime=st.sampled_from([DEFAULT_LIFETIME, timedelta(days=20)]),
    verified_by=st.sampled_from(["local", "oidc-proxy"]),
    teams=st.sampled_from([(), ("credit",), ("risk",)]),
)
bundles = st.lists(decisions, max_size=7)


def outcome(found: Assessment) -> tuple[object, ...]:
    return (
        found.state,
        subjects(found),
        found.valid_until,
        {each.statement.subject for each in found.rejections},
    )


@given(bundles, st.permutations(range(7)))
def test_order_does_not_matter(statements: list[Statement], order: list[int]) -> None:
    every = signed(*statements)
    shuffled = [every[each] for each in order if each < len(every)]
    first = assess(every, seen=seen(), now=NOW, excluded=TRAINER)
    assert assess(shuffled, seen=seen(), now=NOW, excluded=TRAINER) == first


@given(bundles, st.integers(0, 6))
def test_duplicate_never_raises_the_count(statements: list[Statement], which: int) -> None:
    if not statements:
        return
    again = statements[which % len(statements)]
    assert outcome(judged(*statements, again)) == outcome(judged(*statements))


@given(bundles)
def test_no_walk_of_decisions_is_approved_without_its_quorum(statements: list[Statement]) -> None:
    found = judged(*statements)
    real = {
        each.subject
        for each in statements
        if each.verdict is Verdict.APPROVE
        and each.seen == seen()
        and each.issued <= NOW
        and each.expires is not None
        and each.expires > NOW
        and each.subject not in {"ada", "eve"}
        and "credit" not in each.teams
    }
    assert set(subjects(found)) <= real
    if found.approved:
        assert len(real) >= 2
    assert len(found.counted) + len(found.rejections) + len(found.ignored) == len(statements)


@given(bundles, decisions)
def test_one_more_approval_never_lowers_the_count(
    statements: list[Statement], more: Statement
) -> None:
    before, after = judged(*statements), judged(*statements, more)
    assert len(after.counted) >= len(before.counted)
    if more.verdict is Verdict.REJECT:
        assert after.approved <= before.approved


@given(bundles, st.integers(1, 4))
def test_higher_quorum_never_approves_more(statements: list[Statement], quorum: int) -> None:
    def at(number: int) -> bool:
        every = [
            Signed(each.model_copy(update={"seen": seen(quorum=number)}), place.place)
            for each, place in zip(statements, signed(*statements), strict=True)
        ]
        found = assess(every, seen=seen(quorum=number), now=NOW, excluded=TRAINER)
        return found.approved

    assert at(quorum + 1) <= at(quorum)


@given(bundles, st.sampled_from(CHANGES))
def test_any_change_of_what_was_seen_voids_every_approval(
    statements: list[Statement], change: dict[str, Any]
) -> None:
    on = seen(**change)
    fresh = [each for each in statements if each.seen != on]
    assert judged(*fresh, on=on).counted == ()


def test_longest_of_a_persons_approvals_counts() -> None:
    short, long = (statement("grace", lifetime=timedelta(days=each)) for each in (5, 50))
    for pair in itertools.permutations((short, long)):
        found = judged(*pair, on=None)
        assert [each.statement.expires for each in found.counted] == [long.expires]


@pytest.mark.parametrize(
    ("verified_by", "signed_for", "proof", "counts"),
    [
        ("local", SERVER, Proof.SIGN_IN, True),
        ("oidc-proxy", SERVER, Proof.SIGN_IN, True),
        ("env", SERVER, Proof.WORD, False),
        ("schedule", SERVER, Proof.WORD, False),
        ("hearsay", SERVER, Proof.WORD, False),
        ("env", "grace", Proof.OWN_KEY, True),
        ("local", "grace", Proof.OWN_KEY, True),
        ("local", "henry", Proof.WORD, False),
    ],
)
@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_outside_dev_it_has_to_be_shown_who_decided(
    verified_by: str, signed_for: str, proof: Proof, environment: str, *, counts: bool
) -> None:
    on = seen(environment=environment, quorum=1)
    one = Signed(statement("grace", on=on, verified_by=verified_by), "event-1", signed_for)
    assert one.proof is proof
    found = assess([one], seen=on, now=NOW, excluded=Excluded())
    assert found.approved is (counts or environment == "dev")
    if not found.approved:
        assert found.state is State.PENDING
        assert "nobody verified that grace decided" in found.ignored[0].why


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=8))
def test_no_number_of_names_with_one_key_makes_a_quorum(said: list[tuple[str, bool]]) -> None:
    """Whoever holds a server's key and sets RUN_OWNER to any name."""
    every = [
        Signed(statement(name, verified_by="env" if renewed else "schedule"), f"event-{number}")
        for number, (name, renewed) in enumerate(said)
    ]
    found = assess(every, seen=seen(), now=NOW, excluded=Excluded())
    assert found.counted == ()
