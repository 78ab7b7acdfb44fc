"""Register a trained model as a version, with its gates' verdict.

A version is created blocked. When every gate passed it becomes ``challenger``; a version
that fails a gate is kept as ``rejected_by_gates`` and gets no alias. Tags are a view: the
audit event of the registration is the authority, and ``deploy_check`` reads both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from interlock.actions.approve import NOT_REQUIRED, REJECTED_BY_GATES
from interlock.actions.authority import RunContext
from interlock.actions.evidence import Upstream, require_text, require_upstream
from interlock.actions.files import require_digest
from interlock.actions.promote import promote_first_champion
from interlock.actions.workspace import Workspace
from interlock.adapters.model_registry import ModelVersion
from interlock.errors import EvidenceError
from interlock.governance.gates import GateResult, evaluate_gates
from interlock.governance.policy import Action, Resource
from interlock.governance.principal import Environment
from interlock.product import ModelProduct

CHALLENGER = "challenger"
PENDING = "pending"


@dataclass(frozen=True)
class Registration:
    """A registered version.

    Attributes:
        version: As MLflow holds it now.
        gates: Every gate's verdict, in the product's order.
        event_key: The audit event of the registration.
    """

    version: ModelVersion
    gates: tuple[GateResult, ...]
    event_key: str

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return all(gate.passed for gate in self.gates)


def register(
    workspace: Workspace, product: ModelProduct, run: RunContext, upstream: Upstream | None
) -> Registration:
    """Create the version, its tags and its alias.

    Args:
        workspace: The outside world.
        product: What is registered.
        run: Where this happens.
        upstream: The trained model, by fingerprint and audit event.

    Returns:
        The version with its gates.

    Raises:
        AccessDenied: The principal may not register here.
        EvidenceError: The model is not the one that the audit trail knows.
        RegistryError: MLflow refused.
    """
    resource = Resource("model", product.model)
    environment = workspace.authority.environment
    with workspace.authority.govern(Action.MODEL_REGISTER, resource, run) as governed:
        trained = require_upstream(
            workspace,
            product=product.name,
            action=Action.MODEL_TRAIN,
            upstream=upstream,
            hash_field="model_fingerprint",
            asset="trained_model",
        ).record.evidence
        _require_same_declaration(product, trained)
        with workspace.lease(product.name, run.stream.name) as lease:
            uri = require_text(trained, "model_uri", "trained_model")
            digest = require_text(trained, "model_digest", "trained_model")
            run.report(f"reading {uri} back")
            require_digest(workspace, uri, digest)
            gates = evaluate_gates(product.effective_gates(workspace.floors), _gate_values(trained))
            passed = all(gate.passed for gate in gates)
            tags = {
                "owner": ",".join(product.owners),
                "environment": environment.value,
                "approval_state": _approval_state(passed, environment),
                "data_hash": require_text(trained, "data_hash", "trained_model"),
                "audit_owner": workspace.authority.principal.name,
                "audit_env": environment.value,
                "audit_timestamp": workspace.clock().isoformat(timespec="seconds"),
                "deployment_blocked": "true",
                "model_digest": digest,
                "model_fingerprint": require_text(trained, "model_fingerprint", "trained_model"),
                "policy_hash": workspace.authority.engine.policy_hash,
                "audit_stream": run.stream.name,
            }
            run.report(f"registering {product.model}")
            lease.check()
            version = workspace.registry.register(
                model=product.model,
                source=uri,
                run_id=require_text(trained, "mlflow_run", "trained_model"),
                tags=tags,
            )
            if passed:
                lease.check()
                workspace.registry.set_alias(version, CHALLENGER)
            governed.run = run.with_mlflow_run(version.run_id).ref
            governed.evidence |= {
                "model": version.name,
                "version": version.version,
                "model_uri": uri,
                "model_digest": digest,
                "model_fingerprint": tags["model_fingerprint"],
                "data_hash": tags["data_hash"],
                "metrics": trained.get("metrics"),
                "reference": trained.get("reference"),
                "gates": [asdict(gate) for gate in gates],
                "gates_passed": passed,
                "approval_state": tags["approval_state"],
                "product": product.name,
                "product_digest": product.digest,
                "owners": list(product.owners),
                "tier": product.tier.value,
                "quorum": product.quorum,
                "demands": list(product.demands),
                "upstream_event": upstream.event_key if upstream else None,
            }
    # Only a registration that is on record may be unblocked, and only dev needs no approval.
    workspace.registry.set_tags(version, {"audit_event": governed.event_key})
    if passed and environment is Environment.DEV:
        workspace.registry.set_tags(version, {"deployment_blocked": "false"})
        promote_first_champion(
            workspace, product, run, version, gates=gates, registration_event=governed.event_key
        )
    return Registration(
        version=workspace.registry.version(version.name, version.version),
        gates=gates,
        event_key=governed.event_key,
    )


def _require_same_declaration(product: ModelProduct, trained: Mapping[str, Any]) -> None:
    """Refuse a model that another version of the YAML trained: its gates would judge a stranger."""
    if trained.get("training_digest") != product.training_digest:
        raise EvidenceError(
            f"contract, target, features, candidates or search of {product.name} changed since "
            "the model was trained",
            remedy="materialize trained_model again",
        )


def _gate_values(trained: Mapping[str, Any]) -> dict[str, object]:
    metrics = trained.get("metrics")
    values: dict[str, object] = dict(metrics) if isinstance(metrics, Mapping) else {}
    return values | {name: trained.get(name) for name in ("data_quality_score", "rows")}


def _approval_state(passed: bool, environment: Environment) -> str:
    if not passed:
        return REJECTED_BY_GATES
    return NOT_REQUIRED if environment is Environment.DEV else PENDING
