"""What a deployment costs a month, from the prices and sizes in ``scaling_costs.yaml``.

List prices times quantities; quantities of runs come from simulated rounds. Nothing is known here
of discounts, of traffic between zones, of support, of tax.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

PATH: Final = Path(__file__).with_name("scaling_costs.yaml")
SCRAPES_PER_HOUR: Final = 120
PARTS: Final = (
    "services",
    "runs",
    "database",
    "network",
    "storage",
    "observability",
    "keys, secrets, images",
)


@dataclass(frozen=True)
class Load:
    """What the runs of one round ask for, in all deployments together.

    Attributes:
        runs: How many.
        task_seconds: Seconds that their tasks are paid for.
        s3_writes: Writes to S3.
        s3_reads: Reads from S3.
        statements: Transactions of the database.
    """

    runs: float
    task_seconds: float
    s3_writes: float
    s3_reads: float
    statements: float


def read_costs(path: Path = PATH) -> Mapping[str, Any]:
    """The YAML as it is."""
    document: Mapping[str, Any] = yaml.safe_load(path.read_text())
    return document


def monthly(document: Mapping[str, Any], name: str, load: Load) -> dict[str, float]:
    """Dollars per month of one size, by part.

    Args:
        document: As ``read_costs`` gives it.
        name: Of the size.
        load: What its rounds ask for.

    Returns:
        One figure for each of ``PARTS``.
    """
    price, fixed, size = document["prices"], document["fixed"], document["sizes"][name]
    hours, rounds = document["hours_per_month"], document["rounds_per_month"]
    stacks = size["deployments"]

    def fargate(vcpu: float, gigabytes: float) -> float:
        return float(vcpu * price["fargate_vcpu_hour"] + gigabytes * price["fargate_gb_hour"])

    services = sum(fargate(vcpu, gb) * tasks for vcpu, gb, tasks in size["services"].values())
    runs = fargate(*size["run"]) * load.task_seconds / 3600 * rounds
    database = (
        size["acu"] * price["aurora_acu_hour"] * hours * size["database_instances"]
        + fixed["database_gb"] * price["aurora_gb_month"]
    ) * stacks + load.statements * rounds / 1e6 * price["aurora_million_io"]
    endpoints, zones = size["endpoints"]
    network = (
        stacks
        * hours
        * (
            size["nat_gateways"] * price["nat_hour"]
            + endpoints * zones * price["endpoint_hour"]
            + price["alb_hour"]
            + fixed["alb_lcu"] * price["alb_lcu_hour"]
        )
    )
    kept = size["snapshot_gb_per_run"] * load.runs * rounds * fixed["kept_months"]
    storage = kept * price["s3_gb_month"] + rounds / 1e3 * (
        load.s3_writes * price["s3_thousand_writes"] + load.s3_reads * price["s3_thousand_reads"]
    )
    samples = fixed["metric_series"] * SCRAPES_PER_HOUR * hours / 1e6
    logs = fixed["log_gb_services_month"] * stacks + fixed["log_gb_per_run"] * load.runs * rounds
    observability = (
        logs * price["logs_gb"]
        + stacks * samples * price["amp_million_samples"]
        + size["editors"] * price["grafana_editor_month"]
    )
    rest = stacks * (
        fixed["kms_keys"] * price["kms_key_month"]
        + fixed["secrets"] * price["secret_month"]
        + fixed["images_gb"] * price["ecr_gb_month"]
    )
    figures = (services * hours * stacks, runs, database, network, storage, observability, rest)
    return dict(zip(PARTS, figures, strict=True))


def rounded(dollars: float) -> str:
    """Two digits that count, as text; a list price times an assumption has no more."""
    if dollars < 1:
        return "< 1"
    digits = len(str(int(dollars)))
    return f"{round(dollars, 2 - digits):,.0f}"
