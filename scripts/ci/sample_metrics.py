"""Trains the sample's product under all its gates and writes what came of it as JSON.

usage: sample_metrics.py --commit COMMIT --out FILE

Works in a home of its own that is gone afterwards. Ends with 1 when a gate failed, the trail is
not intact, or the run itself failed: the same limits that hold on the platform.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
SCHEMA: Final = "interlock.metrics/v1"
PRODUCT: Final = "credit_risk"
RUN_SECONDS: Final = 900
# Where the sample is trained is not to be chosen by the variables of whoever calls.
FOREIGN: Final = (
    "AWS_ENDPOINT_URL_S3",
    "MLFLOW_TRACKING_URI",
    "ENVIRONMENT",
    "IDENTITY_SOURCE",
    "RUN_ROLE",
    "DAGSTER_HOME",
)


def metrics_document(run: Mapping[str, Any], commit: str) -> dict[str, Any]:
    """What is kept of a run.

    Args:
        run: The document of ``interlock run --json``.
        commit: What was checked out.
    """
    tags = (run["model"] or {}).get("tags", {})
    return {
        "schema": SCHEMA,
        "commit": commit,
        "product": run["product"],
        "metrics": run["metrics"],
        "intervals": run["intervals"],
        "gates": [
            {key: gate[key] for key in ("metric", "value", "limit", "direction", "passed")}
            for gate in run["gates"]
        ],
        "data_hash": tags.get("data_hash", ""),
        "model_fingerprint": tags.get("model_fingerprint", ""),
        "deployment_blocked": tags.get("deployment_blocked", "true"),
        "audit_verified": run["audit"]["verified"],
        "seconds": run["seconds"]["total"],
    }


def reasons_against(document: Mapping[str, Any]) -> list[str]:
    """Why a build with these metrics must not pass; empty when it may."""
    reasons = [
        f"the gate on {gate['metric']} failed: {gate['value']:.4g}, limit {gate['limit']:.4g}"
        for gate in document["gates"]
        if gate["passed"] is not True
    ]
    if not document["gates"]:
        reasons.append("no gate was asked")
    if document["deployment_blocked"] != "false":
        reasons.append("the version that was registered is blocked")
    if document["audit_verified"] is not True:
        reasons.append("the audit trail of the run is not intact")
    return reasons


def train(product: str) -> tuple[int, str]:
    """Runs a product in a home of its own.

    Returns:
        Exit code and standard output.
    """
    with tempfile.TemporaryDirectory(prefix="interlock-sample-") as folder:
        variables = {key: value for key, value in os.environ.items() if key not in FOREIGN}
        done = subprocess.run(
            [Path(sys.executable).with_name("interlock"), "run", product, "--json"],
            cwd=ROOT,
            env=variables | {"INTERLOCK_HOME": f"{folder}/home"},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            timeout=RUN_SECONDS,
        )
    return done.returncode, done.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains and writes.

    Returns:
        0 when the version may be deployed in dev, else 1.
    """
    made = argparse.ArgumentParser(prog="sample_metrics.py", description="Train the sample.")
    made.add_argument("--commit", required=True)
    made.add_argument("--out", type=Path, required=True)
    options = made.parse_args(arguments)
    code, output = train(PRODUCT)
    try:
        document = metrics_document(json.loads(output), options.commit)
    except (ValueError, KeyError, TypeError) as error:
        print(f"the run ended with {code} and without a document: {error!r}", file=sys.stderr)
        return 1
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=2) + "\n")
    reasons = reasons_against(document)
    if code and not reasons:
        reasons.append(f"the run ended with {code}")
    for reason in reasons:
        print(f"error: {reason}", file=sys.stderr)
    gates, seconds = len(document["gates"]), document["seconds"]
    print(f"{options.out}: {gates} gates, {len(document['metrics'])} metrics, {seconds:.0f} s")
    return 1 if reasons else 0


if __name__ == "__main__":
    sys.exit(main())
