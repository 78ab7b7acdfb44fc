"""Who may do what, where: the decisions that the shipped policies take."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.errors import AccessDenied
from interlock.governance.facts import wrong_fact
from interlock.governance.gates import Gate, GateResult, evaluate_gates
from interlock.governance.policy import (
    Action,
    Decision,
    Fairness,
    PolicyEngine,
    RequestContext,
    Resource,
    favourable_context,
)
from interlock.governance.policy_files import SHIPPED
from interlock.governance.principal import Environment, IdentitySource, Principal, Role

ENGINE = PolicyEngine.load()
FACTS = tuple(field.name for field in dataclasses.fields(RequestContext))
PIPELINE = (
    Action.DATA_INGEST,
    Action.DATA_VALIDATE,
    Action.MODEL_TRAIN,
    Action.MODEL_REGISTER,
)
ALL = (Environment.DEV, Environment.STAGING, Environment.PROD)
DEV = (Environment.DEV,)

MATRIX: dict[Role, dict[Action, tuple[Environment, ...]]] = {
    Role.VIEWER: {},
    Role.DATA_SCIENTIST: {
        **dict.fromkeys(PIPELINE, DEV),
        Action.MODEL_MONITOR: DEV,
        Action.MODEL_PROMOTE: DEV,
        Action.MODEL_SERVE: DEV,
        Action.AUDIT_READ: DEV,
    },
    Role.ML_ENGINEER: {
        **dict.fromkeys(PIPELINE, ALL),
        Action.MODEL_MONITOR: ALL,
        Action.MODEL_PROMOTE: ALL,
        Action.MODEL_ROLLBACK: ALL,
        Action.MODEL_SERVE: ALL,
        Action.AUDIT_READ: DEV,
    },
    Role.APPROVER: {
        Action.MODEL_APPROVE: ALL,
        Action.MODEL_REJECT: ALL,
        Action.AUDIT_READ: DEV,
    },
    Role.AUDITOR: {Action.AUDIT_READ: ALL, Action.AUDIT_EXPORT: ALL},
    Role.PLATFORM_ADMIN: {
        Action.MODEL_ROLLBACK: ALL,
        Action.MODEL_RECONCILE: ALL,
        Action.AUDIT_READ: ALL,
        Action.PLATFORM_ADMINISTER: ALL,
    },
    Role.SCHEDULER: {
        **dict.fromkeys(PIPELINE, ALL),
        Action.MODEL_PROMOTE: DEV,
        Action.MODEL_RECONCILE: ALL,
        Action.MODEL_MONITOR: ALL,
    },
    Role.MONITOR: {Action.MODEL_SUSPEND: ALL},
}


def decide(
    role: Role | str,
    action: Action | str,
    environment: Environment | str,
    *,
    name: str = "ann",
    kind: str | None = None,
    base: RequestContext | None = None,
    **facts: Any,
) -> Decision:
    """A decision under facts that are favourable but for the given ones."""
    if base is None:
        base = favourable_context(environment)  # type: ignore[arg-type]
    return ENGINE.decide(
        principal=Principal(name, role, "env"),  # type: ignore[arg-type]
        action=action,  # type: ignore[arg-type]
        resource=Resource(kind or Action(action).resource_kind, "credit_risk"),
        environment=environment,  # type: ignore[arg-type]
        context=dataclasses.replace(base, **facts),
    )


def promote(environment: Environment | str = Environment.PROD, **facts: Any) -> Decision:
    return decide(Role.ML_ENGINEER, Action.MODEL_PROMOTE, environment, **facts)


@pytest.mark.parametrize("environment", Environment)
@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("role", Role)
def test_role_may_what_the_table_says(role: Role, action: Action, environment: Environment) -> None:
    decision = decide(role, action, environment)
    assert decision.allowed is (environment in MATRIX[role].get(action, ()))
    assert decision.policy_hash == ENGINE.policy_hash
    if decision.allowed:
        assert len(decision.policies) == 1
        assert decision.remedy == ""
        decision.require()
    else:
        assert f"no policy permits it to the role {role}" in decision.reason
        assert "ask somebody who is" in decision.remedy or action is Action.MODEL_PROMOTE


def test_matrix_says_the_same() -> None:
    assert ENGINE.matrix() == {
        role: {
            action: {env: env in MATRIX[role].get(action, ()) for env in Environment}
            for action in Action
        }
        for role in Role
    }
    json.dumps(ENGINE.matrix())


def test_decision_record_shows_the_same_table() -> None:
    record = Path(__file__).parents[3] / "docs" / "adr" / "0002-cedar-policies.md"
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in record.read_text(encoding="utf-8").splitlines()
        if line.startswith(("| | viewer", *(f"| {action}" for action in Action)))
    ]
    header, *body = (row for row in rows if len(row) == len(Role) + 1)
    words = {(): "", DEV: "dev", ALL: "everywhere"}
    shown = {
        (action, role): cell
        for actions, *cells in body
        for action in actions.split(", ")
        for role, cell in zip(header[1:], cells, strict=True)
    }
    assert shown == {
        (action, role): words[MATRIX[role].get(action, ())] for action in Action for role in Role
    }


def test_denial_says_who_what_where_which_policy_and_what_to_do() -> None:
    decision = decide(Role.APPROVER, Action.MODEL_APPROVE, Environment.PROD, author="Ann")
    with pytest.raises(AccessDenied) as denied:
        decision.require()
    assert denied.value.principal == "ann"
    assert denied.value.policies == ("four-eyes",)
    assert str(denied.value) == (
        "ann (approver) may not model:approve on credit_risk in prod: nobody decides on their "
        "own version: trained by Ann, approval asked for by somebody else [four-eyes]; "
        "ask an approver who neither trained it nor asked for the approval"
    )


def test_denial_for_the_role_names_the_roles_that_may() -> None:
    decision = decide(Role.VIEWER, Action.MODEL_ROLLBACK, Environment.PROD)
    assert decision.policies == ()
    assert decision.remedy == "ask somebody who is ml_engineer or platform_admin"


def test_denial_gives_the_role_and_the_missing_facts() -> None:
    decision = decide(Role.VIEWER, Action.MODEL_PROMOTE, Environment.PROD, approved=False)
    assert decision.reason == (
        "no policy permits it to the role viewer and "
        "prod needs a valid approval of this version (found: no)"
    )
    assert decision.policies == ("approval-required",)


# The five attacks that the first version of most promotion policies lets through.


@pytest.mark.parametrize("environment", Environment)
@pytest.mark.parametrize("gates", [None, ()])
def test_model_with_missing_metrics_is_not_promoted(
    environment: Environment, gates: tuple[GateResult, ...] | None
) -> None:
    decision = promote(environment, gates=gates)
    assert decision.policies == ("gates-must-pass",)
    assert "(found: no results)" in decision.reason


@pytest.mark.parametrize("environment", Environment)
def test_model_with_one_metric_missing_is_not_promoted(environment: Environment) -> None:
    gates = [Gate(metric="roc_auc", min=0.7), Gate(metric="f1", min=0.4)]
    decision = promote(environment, gates=evaluate_gates(gates, {"roc_auc": 0.9}))
    assert decision.policies == ("gates-must-pass",)
    assert "(found: f1 failed)" in decision.reason


@pytest.mark.parametrize("environment", ["", "production", "Dev", "moon"])
def test_nothing_is_promoted_in_an_unknown_environment(environment: str) -> None:
    decision = promote(environment)
    assert not decision.allowed
    assert decision.policies == ()
    assert "could not be evaluated" in decision.reason


@pytest.mark.parametrize("environment", [Environment.STAGING, Environment.PROD])
@pytest.mark.parametrize("fairness", [None, Fairness.FAILED, Fairness.NOT_ASSESSED])
def test_model_without_passed_fairness_is_not_promoted(
    environment: Environment, fairness: Fairness | None
) -> None:
    assert promote(environment, fairness=fairness).policies == ("fairness-required",)


@pytest.mark.parametrize("environment", [Environment.STAGING, Environment.PROD])
@pytest.mark.parametrize(
    ("facts", "policy"),
    [
        ({"fairness": Fairness.NOT_ASSESSED, "fairness_demanded": False}, ""),
        ({"fairness": Fairness.NOT_ASSESSED, "fairness_demanded": None}, "fairness-required"),
        ({"fairness": Fairness.FAILED, "fairness_demanded": False}, "fairness-required"),
        ({"fairness": None, "fairness_demanded": False}, "fairness-required"),
        ({"signed": False, "signature_demanded": False}, ""),
        ({"signed": False, "signature_demanded": None}, "signature-required"),
        ({"signed": None, "signature_demanded": False}, "signature-required"),
    ],
    ids=str,
)
def test_evidence_may_be_absent_only_where_it_is_known_not_to_be_demanded(
    environment: Environment, facts: dict[str, Any], policy: str
) -> None:
    decision = promote(environment, **facts)
    assert decision.allowed is (policy == "")
    assert policy in {"", *decision.policies}


@pytest.mark.parametrize("environment", Environment)
@pytest.mark.parametrize("rejected", [True, None])
@pytest.mark.parametrize("action", [Action.MODEL_PROMOTE, Action.MODEL_ROLLBACK])
def test_rejected_version_is_never_the_champion(
    environment: Environment, rejected: bool | None, action: Action
) -> None:
    decision = decide(Role.ML_ENGINEER, action, environment, rejected=rejected)
    assert decision.policies == ("rejection-stands",)


@pytest.mark.parametrize("environment", Environment)
@pytest.mark.parametrize("inside", [True, None])
@pytest.mark.parametrize("action", [Action.MODEL_APPROVE, Action.MODEL_REJECT])
def test_owning_team_does_not_decide_on_its_own_version(
    environment: Environment, inside: bool | None, action: Action
) -> None:
    decision = decide(Role.APPROVER, action, environment, in_owning_team=inside)
    assert decision.policies == ("other-team",)


@pytest.mark.parametrize("fairness", ["", "ok", True])
def test_fairness_in_other_words_is_not_promoted(fairness: object) -> None:
    decision = promote(fairness=fairness)
    assert not decision.allowed
    assert "could not be evaluated" in decision.reason


@pytest.mark.parametrize("environment", Environment)
def test_metric_given_as_text_is_not_promoted(environment: Environment) -> None:
    measured = evaluate_gates([Gate(metric="f1", min=0.4)], {"f1": "0.99"})
    forged = (GateResult("f1", "0.99", 0.4, "min", True, ""),)  # type: ignore[arg-type]
    assert promote(environment, gates=measured).policies == ("gates-must-pass",)
    assert promote(environment, gates=forged).policies == ("gates-must-pass",)


@pytest.mark.parametrize("environment", Environment)
@pytest.mark.parametrize("fact", ["signed", "approved", "identity_chosen", "roles_restricted"])
@pytest.mark.parametrize("value", ["no", "yes", "true", "", 0, 1, 1.0, []])
def test_flag_that_is_no_truth_value_is_not_promoted(
    environment: Environment, fact: str, value: object
) -> None:
    decision = promote(environment, **dict[str, Any]({fact: value}))
    assert not decision.allowed
    assert decision.policies == ()
    assert f"{fact} is {value!r}" in decision.reason


@pytest.mark.parametrize("environment", [Environment.STAGING, Environment.PROD])
@pytest.mark.parametrize("value", [None, False])
@pytest.mark.parametrize(
    ("fact", "policy"), [("signed", "signature-required"), ("approved", "approval-required")]
)
def test_unapproved_or_unsigned_model_is_not_promoted_outside_dev(
    environment: Environment, value: bool | None, fact: str, policy: str
) -> None:
    assert promote(environment, **dict[str, Any]({fact: value})).policies == (policy,)


def test_dev_promotes_on_gates_alone() -> None:
    facts: dict[str, Any] = dict.fromkeys(("fairness", "signed", "approved", "author", "requester"))
    for role in (Role.DATA_SCIENTIST, Role.ML_ENGINEER, Role.SCHEDULER):
        assert decide(role, Action.MODEL_PROMOTE, Environment.DEV, **facts).allowed


# Environment, identity, lists of allowed roles.


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("mark", [None, "", "dev", "staging", "production", " prod", "PROD"])
def test_store_of_another_environment_is_not_touched(action: Action, mark: str | None) -> None:
    role = next(role for role in Role if Environment.PROD in MATRIX[role].get(action, ()))
    decision = decide(role, action, Environment.PROD, mark=mark)
    assert decision.policies == ("mark-must-match",)
    found = {None: "unknown", "": "none"}.get(mark, mark)
    assert f"the mark of its buckets and registry is {found}" in decision.reason


@pytest.mark.parametrize("environment", [Environment.STAGING, Environment.PROD])
@pytest.mark.parametrize("chosen", [None, False])
def test_operators_word_is_no_identity_outside_dev_unless_chosen(
    environment: Environment, chosen: bool | None
) -> None:
    facts: dict[str, Any] = {"identity_source": IdentitySource.ENV, "identity_chosen": chosen}
    decision = decide(Role.ML_ENGINEER, Action.MODEL_TRAIN, environment, **facts)
    assert decision.policies == ("identity-must-be-chosen",)
    assert "from env: it must be verified, or outside dev be chosen explicitly" in decision.reason


@pytest.mark.parametrize("environment", Environment)
def test_operators_word_is_an_identity_where_it_is_chosen(environment: Environment) -> None:
    facts: dict[str, Any] = {"identity_source": IdentitySource.ENV, "identity_chosen": True}
    assert decide(Role.ML_ENGINEER, Action.MODEL_TRAIN, environment, **facts).allowed


def test_operators_word_is_the_default_in_dev() -> None:
    facts: dict[str, Any] = {"identity_source": IdentitySource.ENV, "identity_chosen": False}
    assert decide(Role.ML_ENGINEER, Action.MODEL_TRAIN, Environment.DEV, **facts).allowed


@pytest.mark.parametrize("source", [IdentitySource.LOCAL, IdentitySource.OIDC_PROXY])
def test_verified_identity_needs_no_choice(source: IdentitySource) -> None:
    facts: dict[str, Any] = {"identity_source": source, "identity_chosen": False}
    assert decide(Role.ML_ENGINEER, Action.MODEL_TRAIN, Environment.PROD, **facts).allowed


@pytest.mark.parametrize("source", ["", "ENV", "header"])
def test_unknown_identity_source_is_denied(source: str) -> None:
    decision = decide(Role.ML_ENGINEER, Action.MODEL_TRAIN, Environment.DEV, identity_source=source)
    assert not decision.allowed
    assert "could not be evaluated" in decision.reason


def test_list_of_allowed_roles_narrows() -> None:
    facts: dict[str, Any] = {
        "roles_restricted": True,
        "allowed_roles": frozenset({Role.SCHEDULER, Role.AUDITOR}),
    }
    engineer = decide(Role.ML_ENGINEER, Action.MODEL_TRAIN, Environment.PROD, **facts)
    assert engineer.policies == ("role-must-be-listed",)
    assert "the roles allowed in prod are auditor, scheduler" in engineer.reason
    assert decide(Role.SCHEDULER, Action.MODEL_TRAIN, Environment.PROD, **facts).allowed


@pytest.mark.parametrize("roles", [None, frozenset()])
def test_empty_or_missing_list_allows_nobody(roles: frozenset[Role] | None) -> None:
    facts: dict[str, Any] = {"roles_restricted": True, "allowed_roles": roles}
    decision = decide(Role.ML_ENGINEER, Action.MODEL_TRAIN, Environment.PROD, **facts)
    assert decision.policies == ("role-must-be-listed",)


@pytest.mark.parametrize("roles", [frozenset({"boss"}), frozenset({object()}), "ml_engineer"])
def test_list_with_anything_but_roles_denies(roles: object) -> None:
    facts: dict[str, Any] = {"roles_restricted": True, "allowed_roles": roles}
    assert not decide(Role.ML_ENGINEER, Action.MODEL_TRAIN, Environment.PROD, **facts).allowed


@given(st.sampled_from(Role), st.sampled_from(Action), st.sampled_from(Environment),
       st.frozensets(st.sampled_from(Role)))  # fmt: skip
@settings(deadline=None)
def test_list_of_allowed_roles_never_widens(
    role: Role, action: Action, environment: Environment, roles: frozenset[Role]
) -> None:
    facts: dict[str, Any] = {"roles_restricted": True, "allowed_roles": roles}
    narrowed = decide(role, action, environment, **facts).allowed
    # No list is a switch that turns suspensions off.
    listed = role in roles or action is Action.MODEL_SUSPEND
    assert narrowed is (decide(role, action, environment).allowed and listed)


# Four eyes.


@pytest.mark.parametrize("action", [Action.MODEL_APPROVE, Action.MODEL_REJECT])
@pytest.mark.parametrize("fact", ["author", "requester"])
@pytest.mark.parametrize("name", [None, "", "  ", "ann", "ANN", " Ann ", "\uff41nn"])
def test_approver_cannot_decide_on_their_own_version(
    action: Action, fact: str, name: str | None
) -> None:
    decision = decide(Role.APPROVER, action, Environment.PROD, **dict[str, Any]({fact: name}))
    assert decision.policies == ("four-eyes",)


@given(st.text(min_size=1).filter(lambda s: s.isprintable() and s.strip()))
@settings(deadline=None)
def test_no_name_lets_anybody_approve_their_own(name: str) -> None:
    facts: dict[str, Any] = {"author": name, "requester": "somebody else"}
    assert not decide(
        Role.APPROVER, Action.MODEL_APPROVE, Environment.PROD, name=name, **facts
    ).allowed


# Errors of evaluation deny.


@given(st.text().filter(lambda s: s not in set(Role)), st.sampled_from(Action),
       st.sampled_from(Environment))  # fmt: skip
@settings(deadline=None)
def test_unknown_role_is_denied_everything(
    role: str, action: Action, environment: Environment
) -> None:
    decision = decide(role, action, environment)
    assert not decision.allowed
    assert "could not be evaluated" in decision.reason


def test_unknown_action_is_denied() -> None:
    decision = ENGINE.decide(
        principal=Principal("ann", Role.ML_ENGINEER, "env"),
        action="model:delete",  # type: ignore[arg-type]
        resource=Resource("model", "CreditRiskModel"),
        environment=Environment.DEV,
        context=favourable_context(Environment.DEV),
    )
    assert not decision.allowed
    assert "model:delete" in decision.reason


@pytest.mark.parametrize("kind", ["product", "audit", "platform", "Model", "User", "bucket"])
def test_action_on_another_kind_of_resource_is_denied(kind: str) -> None:
    decision = decide(Role.ML_ENGINEER, Action.MODEL_REGISTER, Environment.DEV, kind=kind)
    assert not decision.allowed
    assert "could not be evaluated" in decision.reason


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("gates", (object(),)),
        ("gates", [GateResult("f1", 0.9, 0.5, "min", True, "")]),
        ("mark", 1),
        ("author", "\ud800"),
        ("requester", b"bob"),
    ],
)
def test_fact_that_cannot_be_read_denies(fact: str, value: object) -> None:
    assert not promote(**dict[str, Any]({fact: value})).allowed


def test_long_errors_are_cut() -> None:
    decision = promote(fairness="x" * 10_000)
    assert not decision.allowed
    assert len(decision.reason) < 500


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "policies"))


def decide_with(engine: PolicyEngine, action: Action, **facts: Any) -> Decision:
    return engine.decide(
        principal=Principal("ann", Role.ML_ENGINEER, "env"),
        action=action,
        resource=Resource(action.resource_kind, "any"),
        environment=Environment.DEV,
        context=dataclasses.replace(favourable_context(Environment.DEV), **facts),
    )


def test_forbid_that_fails_while_it_is_evaluated_denies(folder: Path) -> None:
    # Cedar skips such a policy, and the permit beside it would stand.
    (folder / "extra.cedar").write_text(
        '@id("overflow")\n@reason("too many gates")\n@remedy("remove some")\n'
        'forbid (principal, action == Action::"model:train", resource)\n'
        "when { context has gates_evaluated &&\n"
        "       context.gates_evaluated * 9223372036854775807 < 0 };\n"
    )
    engine = PolicyEngine.load(folder)
    passed = GateResult("f1", 1.0, 0.0, "min", True, "")
    assert decide_with(engine, Action.MODEL_TRAIN).allowed
    decision = decide_with(engine, Action.MODEL_TRAIN, gates=(passed, passed))
    assert not decision.allowed
    assert decision.policies == ()
    assert "overflow" in decision.reason


def test_permit_that_misses_its_facts_says_so(folder: Path) -> None:
    path = folder / "platform.cedar"
    path.write_text(
        '@id("administer")\n@reason("approved changes")\npermit (principal, action == '
        'Action::"platform:administer", resource)\nwhen { context has approved && '
        "context.approved };\n"
    )
    decision = decide_with(PolicyEngine.load(folder), Action.PLATFORM_ADMINISTER, approved=False)
    assert not decision.allowed
    assert decision.reason == "no policy permits it with these facts"
    assert "policy explain" in decision.remedy


def test_action_that_no_role_may_names_the_policies_as_remedy(folder: Path) -> None:
    (folder / "platform.cedar").unlink()
    decision = decide_with(PolicyEngine.load(folder), Action.PLATFORM_ADMINISTER)
    assert decision.remedy == "change the policies"


# Missing facts never help.


def test_nobody_may_do_anything_without_facts() -> None:
    for role in Role:
        for action in Action:
            for environment in Environment:
                assert not decide(role, action, environment, base=RequestContext()).allowed


gate_results = st.builds(
    GateResult,
    metric=st.just("f1"),
    value=st.one_of(st.none(), st.floats(), st.text(max_size=3)),
    limit=st.floats(),
    direction=st.sampled_from(["min", "max"]),
    passed=st.booleans(),
    reason=st.just(""),
)
contexts = st.builds(
    RequestContext,
    mark=st.one_of(st.none(), st.sampled_from(["", "dev", "staging", "prod", "moon"])),
    identity_source=st.one_of(st.none(), st.sampled_from(IdentitySource)),
    identity_chosen=st.one_of(st.none(), st.booleans(), st.just("no")),
    roles_restricted=st.one_of(st.none(), st.booleans()),
    allowed_roles=st.one_of(st.none(), st.frozensets(st.sampled_from(Role))),
    gates=st.one_of(st.none(), st.lists(gate_results, max_size=2).map(tuple)),
    fairness=st.one_of(st.none(), st.sampled_from(Fairness)),
    signed=st.one_of(st.none(), st.booleans(), st.just("no")),
    approved=st.one_of(st.none(), st.booleans()),
    author=st.one_of(st.none(), st.sampled_from(["", "ann", "bob"])),
    requester=st.one_of(st.none(), st.sampled_from(["", "ann", "bob"])),
)
questions = st.tuples(st.sampled_from(Role), st.sampled_from(Action), st.sampled_from(Environment))


@st.composite
def nearly_favourable(draw: st.DrawFn) -> RequestContext:
    """All facts favourable but one: nearly every wholly random request is denied anyway."""
    base = favourable_context(draw(st.sampled_from(Environment)))
    name = draw(st.sampled_from(FACTS))
    changed: dict[str, Any] = {name: getattr(draw(contexts), name)}
    return dataclasses.replace(base, **changed)


@given(questions, st.one_of(contexts, nearly_favourable()), st.sets(st.sampled_from(FACTS)))
@settings(deadline=None, max_examples=300)
def test_removing_facts_never_turns_a_denial_into_a_permission(
    question: tuple[Role, Action, Environment],
    base: RequestContext,
    removed: set[str],
) -> None:
    # A fact of a wrong type denies by itself; taking it away may heal that.
    gone: dict[str, Any] = {name: None for name in removed if not wrong_fact(base)}
    before = decide(*question, base=base)
    after = decide(*question, base=base, **gone)
    assert before.allowed or not after.allowed


@given(st.sampled_from(Role), st.sampled_from(Action), st.sampled_from(Environment), contexts)
@settings(deadline=None)
def test_no_facts_widen_what_the_matrix_permits(
    role: Role, action: Action, environment: Environment, context: RequestContext
) -> None:
    decision = decide(role, action, environment, base=context)
    assert not decision.allowed or environment in MATRIX[role][action]
    assert decision.reason
    assert decision.allowed or decision.remedy


# Explanations.


def test_explanation_of_a_permitted_action_lists_its_conditions() -> None:
    explanation = ENGINE.explain(
        role=Role.ML_ENGINEER, action=Action.MODEL_PROMOTE, environment=Environment.PROD
    )
    assert explanation.allowed
    assert [rule.id for rule in explanation.policies] == ["promote-outside-dev"]
    assert explanation.reason == "ML engineers promote in staging and prod"
    assert [rule.id for rule in explanation.conditions] == [
        "mark-must-match",
        "identity-must-be-chosen",
        "role-must-be-listed",
        "gates-must-pass",
        "rejection-stands",
        "approval-required",
        "fairness-required",
        "signature-required",
    ]
    approval = explanation.conditions[5]
    assert approval.reason == "prod needs a valid approval of this version (found: …)"
    assert approval.file == "promotion.cedar"


def test_explanation_of_a_denied_action_says_who_may() -> None:
    explanation = ENGINE.explain(
        role=Role.VIEWER, action=Action.AUDIT_EXPORT, environment=Environment.DEV
    )
    assert not explanation.allowed
    assert explanation.policies == ()
    assert explanation.remedy == "ask somebody who is auditor"


def test_explanation_with_facts_shows_what_was_found() -> None:
    facts = dataclasses.replace(
        favourable_context(Environment.PROD),
        roles_restricted=True,
        allowed_roles=frozenset({Role.AUDITOR}),
    )
    explanation = ENGINE.explain(
        role=Role.ML_ENGINEER,
        action=Action.MODEL_TRAIN,
        environment=Environment.PROD,
        context=facts,
    )
    assert [rule.id for rule in explanation.policies] == ["role-must-be-listed"]
    assert explanation.policies[0].reason == "the roles allowed in prod are auditor"


def test_roles_that_may_come_in_the_order_of_the_roles() -> None:
    assert ENGINE.roles_that_may(Action.AUDIT_READ, Environment.PROD) == (
        Role.AUDITOR,
        Role.PLATFORM_ADMIN,
    )
