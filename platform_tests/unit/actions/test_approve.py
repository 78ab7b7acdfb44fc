"""Approving and rejecting: who may, what it is bound to, and what is believed."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from office import MODEL, Office
from product_fixtures import after_trained, tiny_product

from interlock.actions.approve import decide, deliver, obstacles, prepare, sign
from interlock.actions.case import open_case
from interlock.actions.deciders import known_deciders, who_may_decide
from interlock.actions.deploy_check import deploy_check
from interlock.actions.register import register
from interlock.adapters.believed_keys import BelievedKey
from interlock.adapters.model_registry import ModelRegistry
from interlock.adapters.signer import LocalSigner, new_private_key
from interlock.errors import (
    AccessDenied,
    ApprovalError,
    DeploymentRefused,
    EvidenceError,
    IdentityError,
    InterlockError,
    RegistryError,
    RegistryUnavailable,
)
from interlock.governance.approval import (
    SERVER,
    Proof,
    State,
    Statement,
    Verdict,
    read_statement,
)
from interlock.governance.audit import AuditRecord, Outcome, RecordedPrincipal, decision_ledger
from interlock.governance.dsse import Envelope, Signature, read_envelope
from interlock.governance.policy import Action, PolicyEngine, Resource
from interlock.governance.principal import IdentitySource, Principal, Role
from interlock.settings import scheduler_principal

DECISION = [("model:approve", "started"), ("model:approve", "succeeded")]


def refused(
    office: Office, act: Callable[[], object], *, error: type[InterlockError] = ApprovalError
) -> str:
    """The message of a refusal, which is on record and changed nothing."""
    before, decided = office.world.state(), office.world.decisions()
    with pytest.raises(error) as refusal:
        act()
    assert office.world.state() == before
    assert office.world.decisions() == decided
    record = office.last_refusal()
    assert record.outcome is Outcome.DENIED
    if not isinstance(refusal.value, AccessDenied):
        assert record.reason == str(refusal.value)
    return str(refusal.value)


@pytest.fixture
def other_key(tmp_path: Path) -> LocalSigner:
    """A key that nobody believes."""
    path = tmp_path / "other.pem"
    path.touch(mode=0o600)
    path.write_bytes(new_private_key())
    return LocalSigner(path)


def test_version_waits_until_its_quorum_agrees(office: Office) -> None:
    assert office.tags() == ("pending", "true")
    first = office.approve("grace")
    assert (first.assessment.state, first.assessment.lacking) == (State.PENDING, 1)
    assert office.tags() == ("pending", "true")
    second = office.approve("henry")
    assert second.assessment.approved
    assert office.tags() == ("approved", "false")
    assert office.world.decisions() == DECISION * 2
    assert office.world.audit.verify().intact


def test_record_of_a_decision_holds_what_was_signed(office: Office) -> None:
    decided = office.approve(reason="holdout and plots reviewed", lifetime=timedelta(days=30))
    record = office.world.ledger(decision_ledger(MODEL, "1"))[-1]
    assert (record.principal.name, record.principal.role) == ("grace", "approver")
    assert record.evidence["meaning"] == "validated for use in staging"
    assert record.evidence["reason"] == "holdout and plots reviewed"
    envelope = read_envelope(record.evidence["envelope"])
    assert office.world.workspace().who_signed(envelope) == {SERVER}
    statement = read_statement(envelope.payload)
    assert statement == decided.statement
    assert statement.expires is not None
    assert statement.expires - statement.issued == timedelta(days=30)
    seen = statement.seen
    registered = office.made.registration
    assert seen.registration == registered.event_key
    assert seen.model_digest == registered.version.tags["model_digest"]
    assert seen.data_hash == office.made.validated.data_hash
    assert seen.metrics == dict(office.made.trained.metrics)
    assert [gate.metric for gate in seen.gates] == [gate.metric for gate in registered.gates]
    assert (seen.tier, seen.quorum) == ("high", 2)
    assert (seen.fairness, seen.signed, seen.model_card) == ("not_assessed", False, None)


def test_what_is_signed_is_shown_before(office: Office) -> None:
    shown: list[Statement] = []
    work = office.as_("grace", Role.APPROVER)
    wanted = {"model": MODEL, "version": "1", "reason": "fine"}

    def stop(statement: Statement) -> None:
        shown.append(statement)
        raise ApprovalError("not signed", remedy="say yes")

    with pytest.raises(ApprovalError, match="not signed"):
        decide(work, office.at("grace"), office.key, show=stop, verdict=Verdict.APPROVE, **wanted)
    assert office.world.decisions() == []
    decided = decide(
        work,
        office.at("grace"),
        office.key,
        show=shown.append,
        verdict=Verdict.APPROVE,
        **wanted,
    )
    assert decided.statement == shown[1]


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.APPROVER])
def test_only_approvers_decide(office: Office, role: Role) -> None:
    source = IdentitySource.SCHEDULE if role.is_platforms else IdentitySource.LOCAL
    text = refused(
        office, lambda: office.approve("grace", role=role, source=source), error=AccessDenied
    )
    assert f"no policy permits it to the role {role}" in text


@pytest.mark.parametrize("name", ["ada", "Ada", " ADA ", "\uff41da"])
@pytest.mark.parametrize("verdict", Verdict)
def test_nobody_decides_on_their_own_model_under_another_role(
    office: Office, name: str, verdict: Verdict
) -> None:
    text = refused(office, lambda: office.decide(verdict, name), error=AccessDenied)
    assert "nobody decides on their own version: trained by ada" in text


def test_who_registered_the_model_of_another_does_not_approve_it(office: Office) -> None:
    register(
        office.world.workspace(name="eve"),
        tiny_product(tier="high"),
        office.at("eve"),
        after_trained(office.made.trained),
    )
    text = refused(office, lambda: office.approve("eve", version="2"), error=AccessDenied)
    assert "approval asked for by eve" in text
    office.approve("grace", version="2")


def test_who_enabled_the_schedule_does_not_approve_what_it_made(office: Office) -> None:
    scheduled = office.world.workspace().acting_as(
        scheduler_principal(), standing={"on_behalf_of": "Grace"}
    )
    register(
        scheduled, tiny_product(tier="high"), office.at("7"), after_trained(office.made.trained)
    )
    text = refused(office, lambda: office.approve("grace", version="2"), error=ApprovalError)
    assert "grace enabled its schedule" in text
    case = office.case("2")
    people = [Principal(name, Role.APPROVER, "local") for name in ("grace", "henry")]
    assert who_may_decide(office.world.workspace(), case, people) == ("henry",)
    assert case.excluded.reason_against("grace", ()) == "enabled its schedule"
    office.approve("henry", version="2")


@pytest.mark.parametrize("teams", [("tests",), ("TESTS",), ("risk", "tests")], ids=str)
def test_member_of_the_owning_team_does_not_decide(office: Office, teams: tuple[str, ...]) -> None:
    text = refused(
        office, lambda: office.approve("grace", teams=frozenset(teams)), error=AccessDenied
    )
    assert "a product that they or their team own" in text
    office.approve("grace", teams=frozenset({"risk"}))


def test_owner_by_address_does_not_decide(office: Office) -> None:
    version = office.another_version(owners=["grace@example.com"])
    text = refused(
        office, lambda: office.approve("Grace@Example.com", version=version), error=AccessDenied
    )
    assert "their team own" in text


@pytest.mark.parametrize("name", ["grace", "GRACE", " grace"])
def test_second_approval_by_the_same_person_is_refused(office: Office, name: str) -> None:
    office.approve("grace")
    assert "grace approved it already" in refused(office, lambda: office.approve(name))
    assert office.case().assessment.lacking == 1


def test_expired_approval_can_be_renewed(office: Office) -> None:
    office.approve("grace", lifetime=timedelta(days=1))
    office.approve("henry", lifetime=timedelta(days=9))
    office.world.clock.advance(days=2)
    assert office.case().assessment.state is State.EXPIRED
    assert office.approve("grace").assessment.approved


def test_rejection_stands_against_every_later_approval(office: Office) -> None:
    office.approve("grace")
    rejected = office.reject("henry", reason="leaks the target")
    assert rejected.assessment.state is State.REJECTED
    assert office.tags() == ("rejected", "true")
    for name in ("grace", "henry", "judy"):
        again = functools.partial(office.approve, name)
        assert "henry rejected it, which stands" in refused(office, again)
    assert "henry rejected it" in refused(office, lambda: office.reject("henry"))
    office.reject("judy")
    version = office.another_version()
    assert office.approve("henry", version=version).assessment.state is State.PENDING


def test_who_approved_may_still_reject(office: Office) -> None:
    office.approve_all()
    assert office.reject("grace", reason="the data was wrong").assessment.state is State.REJECTED
    assert office.tags() == ("rejected", "true")


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"reason": " "}, "the reason is blank"),
        ({"lifetime": timedelta(days=366)}, "at most 365 days"),
        ({"lifetime": timedelta(0)}, "at most 365 days"),
    ],
    ids=str,
)
def test_decision_without_reason_or_within_no_time_is_refused(
    office: Office, wanted: dict[str, Any], says: str
) -> None:
    assert says in refused(office, lambda: office.approve(**wanted))


def test_version_that_does_not_exist_is_not_decided_on(office: Office) -> None:
    before = office.world.state()
    with pytest.raises(RegistryError):
        office.approve(version="9")
    assert office.world.state() == before
    assert office.last_refusal().evidence["version"] == "9"


def test_version_whose_gates_failed_is_not_approved_and_may_be_rejected(office: Office) -> None:
    version = office.another_version(gates=[{"metric": "roc_auc", "min": 0.999}])
    assert "its gates did not pass" in refused(office, lambda: office.approve(version=version))
    office.reject(version=version)
    assert office.tags(version) == ("rejected_by_gates", "true")


def test_version_made_in_mlflow_alone_is_not_approved(office: Office) -> None:
    good = office.client.get_model_version(MODEL, "1")
    office.client.create_model_version(MODEL, good.source, tags=dict(good.tags))
    text = refused(office, lambda: office.approve(version="2"), error=EvidenceError)
    assert "registers TinyModel version 1" in text


def test_version_whose_files_changed_is_not_approved(office: Office) -> None:
    (found,) = office.world.artifacts.rglob("model.pkl")
    found.write_bytes(b"another model")
    before = office.world.state()
    with pytest.raises(EvidenceError, match="the audit trail recorded"):
        office.approve()
    assert office.world.state() == before
    assert office.world.decisions() == []
    assert "the audit trail recorded" in office.last_refusal().reason


def test_key_that_nobody_believes_decides_nothing(office: Office, other_key: LocalSigner) -> None:
    assert "no believed key signed it" in refused(office, lambda: office.approve(key=other_key))


def prepared(office: Office, name: str = "grace", version: str = "1") -> Statement:
    return prepare(
        office.as_(name, Role.APPROVER),
        office.at(name),
        verdict=Verdict.APPROVE,
        model=MODEL,
        version=version,
        reason="reviewed",
    )


def test_signed_decision_is_delivered_by_a_run_that_may_decide_nothing(office: Office) -> None:
    envelope = sign(prepared(office), office.key)
    carrier = office.as_("scheduler", Role.SCHEDULER)
    decided = deliver(carrier, office.at("scheduler"), envelope)
    record = office.world.ledger(decision_ledger(MODEL, "1"))[-1]
    assert (record.principal.name, record.principal.role) == ("grace", "approver")
    assert record.evidence["delivered_by"] == "scheduler"
    assert [each.statement.subject for each in decided.assessment.counted] == ["grace"]


def test_decision_that_is_delivered_twice_counts_once(office: Office) -> None:
    envelope = sign(prepared(office), office.key)
    deliver(office.as_("x", Role.SCHEDULER), office.at("x"), envelope)
    text = refused(
        office, lambda: deliver(office.as_("x", Role.SCHEDULER), office.at("x"), envelope)
    )
    assert "grace approved it already" in text


def test_decision_that_the_policies_do_not_permit_any_more_is_not_recorded(office: Office) -> None:
    """Signed before; the list of roles was narrowed since."""
    envelope = sign(prepared(office), office.key)
    narrowed = office.as_(
        "x",
        Role.SCHEDULER,
        roles_restricted=True,
        allowed_roles=frozenset({Role.SCHEDULER}),
    )
    refused(office, lambda: deliver(narrowed, office.at("x"), envelope), error=AccessDenied)


def test_decision_on_something_that_changed_is_refused(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    envelope = sign(prepared(office), office.key)
    monkeypatch.setattr(PolicyEngine, "policy_hash", "00" * 32)
    text = refused(
        office, lambda: deliver(office.as_("x", Role.SCHEDULER), office.at("x"), envelope)
    )
    assert "what was decided on changed since" in text


def test_approvals_are_void_after_the_policies_changed(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.approve_all()
    monkeypatch.setattr(PolicyEngine, "policy_hash", "00" * 32)
    found = office.case().assessment
    assert found.state is State.VOID
    assert all("policy_hash changed since" in each.why for each in found.ignored)
    assert office.approve("grace").assessment.lacking == 1


@pytest.mark.parametrize(
    ("seconds", "says"), [(-60, "decided in the future"), (91 * 86_400, "has expired already")]
)
def test_decision_from_a_clock_that_is_off_is_refused(
    office: Office, seconds: float, says: str
) -> None:
    envelope = sign(prepared(office), office.key)
    office.world.clock.advance(seconds=seconds)
    text = refused(
        office, lambda: deliver(office.as_("x", Role.SCHEDULER), office.at("x"), envelope)
    )
    assert says in text


@pytest.mark.parametrize(
    "tamper",
    [
        lambda e: Envelope(e.payload.replace(b'"grace"', b'"trudy"'), e.signatures),
        lambda e: Envelope(e.payload, (Signature("x", b"\x00"),)),
        lambda e: Envelope(b"{}", e.signatures),
    ],
    ids=["another subject", "another signature", "another payload"],
)
def test_envelope_that_was_changed_is_refused(
    office: Office, tamper: Callable[[Envelope], Envelope]
) -> None:
    envelope = tamper(sign(prepared(office), office.key))
    refused(office, lambda: deliver(office.as_("x", Role.SCHEDULER), office.at("x"), envelope))


@pytest.mark.parametrize(
    "changes", [{"role": "boss"}, {"verified_by": "hearsay"}, {"role": "approver", "subject": "A"}]
)
def test_signed_statement_in_words_of_another_version_is_refused(
    office: Office, changes: dict[str, Any]
) -> None:
    statement = prepared(office).model_copy(update=changes)
    envelope = sign(statement, office.key)
    refused(office, lambda: deliver(office.as_("x", Role.SCHEDULER), office.at("x"), envelope))


def forge(office: Office, name: str, envelope: object) -> None:
    """A decision as code in a run can write it: everything but the signature."""
    world = office.world
    real = office.made.registration.event_key
    for outcome in (Outcome.STARTED, Outcome.SUCCEEDED):
        world.audit.append(
            decision_ledger(MODEL, "1"),
            AuditRecord(
                id=f"forged-{name}-{outcome.value}",
                time=world.clock(),
                environment="staging",
                principal=RecordedPrincipal(name, "approver", "env"),
                action="model:approve",
                resource=f"model/{MODEL}",
                outcome=outcome,
                evidence={"envelope": envelope, "registration": real},
            ),
        )


def test_forged_event_is_no_approval_and_is_reported(
    office: Office, other_key: LocalSigner
) -> None:
    forge(office, "henry", None)
    forge(office, "judy", sign(prepared(office, "judy"), other_key).document())
    forge(office, "kim", sign(prepared(office, "kim"), office.key).document() | {"payload": "e30="})
    office.approve("grace")
    case = office.case()
    assert [each.statement.subject for each in case.assessment.counted] == ["grace"]
    assert [each.subject for each in case.forged] == ["henry", "judy", "kim"]
    assert all(each.forged for each in case.forged)
    assert not case.assessment.approved
    with pytest.raises(DeploymentRefused) as refusal:
        deploy_check(office.world.workspace(), f"{MODEL}@challenger", office.at("ci"))
    assert sum("was not decided by anybody" in each for each in refusal.value.reasons) == 3


def test_real_signature_under_a_forged_name_counts_for_who_signed(office: Office) -> None:
    envelope = sign(prepared(office, "grace"), office.key)
    for name in ("henry", "judy", "kim"):
        forge(office, name, envelope.document())
    found = office.case().assessment
    assert [each.statement.subject for each in found.counted] == ["grace"]
    assert found.lacking == 1


def test_two_approvals_at_once_are_both_recorded(office: Office) -> None:
    gate = threading.Barrier(4)
    errors: list[BaseException] = []

    def one(name: str) -> None:
        gate.wait()
        try:
            office.approve(name)
        except BaseException as error:  # noqa: BLE001 - shown below
            errors.append(error)

    threads = [threading.Thread(target=one, args=(f"p{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(office.case().assessment.counted) == 4
    assert office.world.audit.verify().intact


def test_one_person_who_approves_twice_at_once_counts_once(office: Office) -> None:
    """Both checks pass before either is on record."""
    envelopes = [sign(prepared(office), office.key) for _ in range(2)]
    first = open_case(office.world.workspace(), MODEL, "1")
    assert first.assessment.counted == ()
    forge(office, "grace", envelopes[0].document())
    forge(office, "grace-", envelopes[1].document())
    found = office.case().assessment
    assert len(found.counted) == 1
    assert [each.why for each in found.ignored] == ["is a second one by the same person"]


class TagsAway(ModelRegistry):
    """A registry that sets no tags."""

    def set_tags(self, *_: Any) -> None:
        raise RegistryUnavailable("MLflow does not answer", remedy="start it")


def test_decision_stands_when_its_view_cannot_be_refreshed(office: Office) -> None:
    office.approve("grace")
    work = replace(office.as_("henry", Role.APPROVER), registry=TagsAway(office.world.connection))
    decided = decide(
        work,
        office.at("henry"),
        office.key,
        verdict=Verdict.APPROVE,
        model=MODEL,
        version="1",
        reason="fine",
    )
    assert decided.assessment.approved
    assert office.tags() == ("pending", "true")
    assert "do not show the decision yet" in office.world.reports[-1]


def test_store_that_goes_away_at_any_request_leaves_a_whole_decision_or_none(
    office: Office,
) -> None:
    """Cut off anywhere, a decision is on record whole or not at all, and can be made again."""
    outcomes = set()
    for number in range(0, office.requests(office.approve), 2):
        with office.unchanged_store():
            with office.cut_off(number), contextlib.suppress(InterlockError):
                office.approve()
            office.world.audit.flush_spool()
            counted = len(office.case().assessment.counted)
            outcomes.add(counted)
            if not counted:
                office.approve()
            assert len(office.case().assessment.counted) == 1
            assert office.world.audit.verify().all_findings == ()
    assert outcomes == {0, 1}


def test_registration_without_owners_or_tier_is_held_to_the_strictest(office: Office) -> None:
    world = office.world
    record = next(each for each in world.records("run-1") if "gates" in each.evidence)
    kept = {
        name: value
        for name, value in record.evidence.items()
        if name not in {"tier", "quorum", "demands"}
    }
    with world.authority().govern(
        Action.MODEL_REGISTER, Resource("model", MODEL), world.run("older")
    ) as governed:
        governed.evidence |= kept
    office.client.set_model_version_tag(MODEL, "1", "audit_event", governed.event_key)
    assert (office.case().seen.tier, office.case().seen.quorum) == ("high", 2)
    facts = office.case().facts(world.authority().context, world.authority().principal)
    assert (facts.fairness_demanded, facts.signature_demanded) == (True, True)
    with world.authority().govern(
        Action.MODEL_REGISTER, Resource("model", MODEL), world.run("oldest")
    ) as governed:
        governed.evidence |= {name: kept[name] for name in kept if name != "owners"}
    office.client.set_model_version_tag(MODEL, "1", "audit_event", governed.event_key)
    with pytest.raises(EvidenceError, match="does not say who owns the product"):
        office.case()


# --- who decided is shown by a key of their own, or by a server where they signed in ---


def at_the_word(office: Office, name: str, **options: Any) -> Callable[[], object]:
    """Somebody sets RUN_OWNER, where nobody signs in, and approves with a key."""
    return functools.partial(office.approve, name, source=IdentitySource.ENV, **options)


@pytest.mark.parametrize("verdict", Verdict)
def test_holder_of_the_key_decides_for_nobody_by_setting_a_name(
    office: Office, verdict: Verdict
) -> None:
    """RUN_OWNER=somebody-else, and the file of APPROVAL_KEY: not even one of them counts."""
    wanted: dict[str, Any] = {"verdict": verdict, "model": MODEL, "version": "1", "reason": "why"}
    for name in ("grace", "henry"):
        work, run = office.as_(name, Role.APPROVER, source=IdentitySource.ENV), office.at(name)
        shown: list[Statement] = []
        signed = sign(prepare(work, run, **wanted), office.key)
        for act in (
            functools.partial(decide, work, run, office.key, show=shown.append, **wanted),
            functools.partial(deliver, work, run, signed),
        ):
            text = refused(office, act)
            assert f"rests on the operator's word alone (env): nobody verified that {name}" in text
            assert f"a key that APPROVAL_PUBLIC_KEYS gives to {name}" in text
        assert shown == []
    assert office.case().assessment.counted == ()


def test_decisions_that_rest_on_a_word_do_not_count_where_they_are_found(office: Office) -> None:
    """Signed, and put into the ledger around Interlock; a promotion is denied."""
    for name in ("grace", "henry"):
        statement = prepare(
            office.as_(name, Role.APPROVER, source=IdentitySource.ENV),
            office.at(name),
            verdict=Verdict.APPROVE,
            model=MODEL,
            version="1",
            reason="reviewed",
        )
        forge(office, name, sign(statement, office.key).document())
    found = office.case().assessment
    assert (found.counted, found.state) == ((), State.PENDING)
    assert all("rests on the operator's word alone (env)" in each.why for each in found.ignored)
    assert "nobody verified that grace decided" in found.reasons_against()[0]
    with pytest.raises(AccessDenied, match="needs a valid approval"):
        office.promote()
    assert office.champion() is None


def test_rejection_that_rests_on_a_word_still_blocks(office: Office) -> None:
    statement = prepared(office).model_copy(
        update={"verdict": Verdict.REJECT, "expires": None, "verified_by": "env"}
    )
    forge(office, "grace", sign(statement, office.key).document())
    assert office.case().assessment.state is State.REJECTED


def test_own_keys_prove_people_where_nobody_signs_in(
    office: Office, other_key: LocalSigner
) -> None:
    office.believe(
        BelievedKey(office.key.public_key, "grace"), BelievedKey(other_key.public_key, "henry")
    )
    at_the_word(office, "Grace")()
    assert office.case().assessment.lacking == 1
    text = refused(office, at_the_word(office, "henry"))
    assert "the key of grace signed it for henry" in text
    at_the_word(office, "henry", key=other_key)()
    found = office.case().assessment
    assert found.approved
    assert [each.proof for each in found.counted] == [Proof.OWN_KEY] * 2
    record = office.world.ledger(decision_ledger(MODEL, "1"))[-1]
    assert (record.principal.name, record.principal.verified_by) == ("henry", "env")
    assert record.evidence["proof"] == "a key of their own"
    assert known_deciders(office.as_("otto", Role.ML_ENGINEER, source=IdentitySource.ENV)) == tuple(
        Principal(name, Role.APPROVER, "env") for name in ("grace", "henry")
    )


def test_signature_with_the_key_of_another_is_reported_as_a_forgery(
    office: Office, other_key: LocalSigner
) -> None:
    office.believe(BelievedKey(office.key.public_key, "grace"))
    forge(office, "henry", sign(prepared(office, "henry"), office.key).document())
    case = office.case()
    assert case.signed == ()
    assert "the key of grace signed it for henry" in case.forged[0].why


def test_people_of_a_server_and_people_with_own_keys_are_not_added_up(
    office: Office, other_key: LocalSigner
) -> None:
    """One person may have a name in each."""
    office.believe(
        BelievedKey(office.key.public_key, SERVER), BelievedKey(other_key.public_key, "henry")
    )
    office.approve("grace@example.com")
    at_the_word(office, "henry", key=other_key)()
    assert office.case().assessment.lacking == 1


@pytest.mark.parametrize(
    ("changes", "says", "error"),
    [
        ({"disabled": True}, "grace is disabled", IdentityError),
        ({"role": Role.VIEWER}, "role, teams or source of grace changed", ApprovalError),
        ({"teams": frozenset({"tests"})}, "role, teams or source of grace changed", ApprovalError),
        ({"source": IdentitySource.OIDC_PROXY}, "role, teams or source", ApprovalError),
        ({"service": True}, "grace is a service account", ApprovalError),
    ],
    ids=str,
)
def test_who_changed_between_signing_and_delivery_decides_nothing(
    office: Office, changes: dict[str, Any], says: str, error: type[InterlockError]
) -> None:
    envelope = sign(prepared(office), office.key)
    office.know("grace", **{"role": Role.APPROVER, **changes})
    carrier = office.as_("x", Role.SCHEDULER)
    text = refused(office, lambda: deliver(carrier, office.at("x"), envelope), error=error)
    assert says in text


def test_statement_about_somebody_who_is_nobody_is_refused(office: Office) -> None:
    """Whoever holds the key of a server can sign for a name; it has to be a person's here."""
    statement = prepared(office).model_copy(update={"subject": "trudy"})
    carrier = office.as_("x", Role.SCHEDULER)
    text = refused(
        office,
        lambda: deliver(carrier, office.at("x"), sign(statement, office.key)),
        error=IdentityError,
    )
    assert "trudy is nobody in the directory" in text


def test_service_account_does_not_approve(office: Office) -> None:
    """Whoever holds its token would be two."""
    work = office.as_("ci", Role.APPROVER)
    office.know("ci", Role.APPROVER, service=True)
    wanted: dict[str, Any] = {"model": MODEL, "version": "1", "reason": "green"}
    text = refused(
        office, lambda: prepare(work, office.at("ci"), verdict=Verdict.APPROVE, **wanted)
    )
    assert "people decide" in text


def test_without_a_directory_nobody_who_signs_in_decides(office: Office) -> None:
    work = replace(office.as_("grace", Role.APPROVER), directory=None)
    wanted: dict[str, Any] = {"model": MODEL, "version": "1", "reason": "fine"}
    text = refused(office, lambda: prepare(work, office.at("g"), verdict=Verdict.APPROVE, **wanted))
    assert "has no directory" in text
    why, remedy = obstacles(work, office.case(), Verdict.APPROVE)[0]
    assert ("no directory" in why, remedy) == (True, "decide where people sign in")
    assert known_deciders(work) == ()
