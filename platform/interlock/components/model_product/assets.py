"""The four assets of a model product: thin, they read, call an action, and show the result.

What happens is in ``interlock.actions``; who may is decided behind the guard; what a person
sees in Dagit of it is in ``presentation``.

Dagster reads the annotations of assets as types, so they are not postponed here.
"""

from logging import Logger
from typing import TYPE_CHECKING, Any

import dagster as dg

from interlock.actions.authority import RunContext
from interlock.actions.ingest import ingest
from interlock.actions.register import Registration, register
from interlock.actions.train import train_candidates
from interlock.actions.validate import validate
from interlock.actions.workspace import Workspace
from interlock.components.model_product import presentation
from interlock.errors import RegistryError
from interlock.guard import Guard
from interlock.ml.contract import contract_rules
from interlock.product import ModelProduct

RAW, VALIDATED, TRAINED, REGISTERED = (
    "raw_data",
    "validated_data",
    "trained_model",
    "registered_version",
)
GATES_CHECK = "gates"

if TYPE_CHECKING:
    Made = dg.MaterializeResult[Any]
else:
    Made = dg.MaterializeResult  # Dagster compares the annotation with the bare class


class UpstreamChoice(dg.Config):
    """Which upstream to build on; part of no guard, only of lineage.

    Attributes:
        upstream_hash: The data version of an earlier materialization of the upstream asset;
            none takes this run's own, or else the one that Dagster recorded last.
    """

    upstream_hash: str | None = None


def product_assets(product: ModelProduct) -> list[dg.AssetsDefinition]:
    """The assets of one product, in the order of their dependence."""
    names = (RAW, VALIDATED, TRAINED, REGISTERED)
    keys = {name: dg.AssetKey([product.name, name]) for name in names}
    common: dict[str, Any] = {
        "group_name": product.name,
        "owners": list(product.owners),
        "required_resource_keys": {"guard"},
        "tags": {"interlock/tier": product.tier.value, "interlock/model": product.model},
    }

    @dg.asset(
        key=keys[RAW],
        description="The source exactly as it was: an immutable snapshot named by its SHA-256.",
        kinds={product.source.kind},
        **common,
    )
    def raw_data(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        guard: Guard = context.resources.guard
        with guard.step(context, product) as (workspace, run):
            snapshot = ingest(workspace, product, run)
        guard.keep(product, RAW, snapshot)
        return presentation.raw_data(snapshot, protected=product.protected)

    @dg.asset(
        key=keys[VALIDATED],
        deps=[keys[RAW]],
        description="Rows that satisfy the data contract; the others are in quarantine.",
        kinds={"parquet"},
        code_version=product.contract.digest,
        check_specs=[
            dg.AssetCheckSpec(
                name=rule.name,
                asset=keys[VALIDATED],
                description=presentation.rule_meaning(rule),
                blocking=rule.blocking,
            )
            for rule in contract_rules(product.contract, product.target)
        ],
        **common,
    )
    def validated_data(
        context: dg.AssetExecutionContext, config: UpstreamChoice
    ) -> dg.MaterializeResult:
        guard: Guard = context.resources.guard
        with guard.step(context, product) as (workspace, run):
            upstream = guard.upstream(context, keys[RAW], config.upstream_hash)
            snapshot = validate(workspace, product, run, upstream)
        guard.keep(product, VALIDATED, snapshot)
        return presentation.validated_data(snapshot)

    @dg.asset(
        key=keys[TRAINED],
        deps=[keys[VALIDATED]],
        description="The best of several candidates, evaluated on data that no search saw.",
        kinds={"scikitlearn", "mlflow"},
        **common,
    )
    def trained_model(
        context: dg.AssetExecutionContext, config: UpstreamChoice
    ) -> dg.MaterializeResult:
        guard: Guard = context.resources.guard
        with guard.step(context, product) as (workspace, run):
            upstream = guard.upstream(context, keys[VALIDATED], config.upstream_hash)
            model = train_candidates(workspace, product, run, upstream)
        guard.keep(product, TRAINED, model)
        return presentation.trained_model(model)

    @dg.asset(
        key=keys[REGISTERED],
        deps=[keys[TRAINED]],
        description="An MLflow model version with its gates' verdict and governance tags.",
        kinds={"mlflow"},
        check_specs=[
            dg.AssetCheckSpec(
                name=GATES_CHECK,
                asset=keys[REGISTERED],
                description=presentation.GATES_MEANING,
            )
        ],
        **common,
    )
    def registered_version(
        context: dg.AssetExecutionContext, config: UpstreamChoice
    ) -> dg.MaterializeResult:
        guard: Guard = context.resources.guard
        with guard.step(context, product) as (workspace, run):
            upstream = guard.upstream(context, keys[TRAINED], config.upstream_hash)
            registration = register(workspace, product, run, upstream)
            describe_version(context.log, workspace, product, run, registration)
        guard.keep(product, REGISTERED, registration)
        return presentation.registered_version(registration)

    return [raw_data, validated_data, trained_model, registered_version]


def describe_version(
    log: Logger,
    workspace: Workspace,
    product: ModelProduct,
    run: RunContext,
    registration: Registration,
) -> None:
    """Write what MLflow's page says of a version; nothing reads it but people."""
    registry, version = workspace.registry, registration.version
    try:
        text = presentation.version_description(
            registration, product, run.ref, registry.logged_run(version)
        )
        registry.describe(version, text)
    except RegistryError as error:
        # The version is registered and on record; a missing sentence does not undo that.
        log.warning(f"{version.name} {version.version} has no description: {error}")
