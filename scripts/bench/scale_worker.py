"""Run the synthetic product, or some of its assets, and print the seconds of each step."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import dagster as dg

from interlock.assembly import open_workspace
from interlock.definitions import build_defs
from interlock.guard import Guard
from interlock.local.platform import connected
from interlock.settings import load_settings, process_environment

NAME = "synthetic_portfolio"
COLUMNS = {
    "application_id": "text",
    "age": "integer",
    "region": "category",
    "employment_years": "number",
    "income": "number",
    "housing": "category",
    "purpose": "category",
    "loan_amount": "number",
    "term": "integer",
    "utilisation": "number",
    "delinquencies": "integer",
    "debt_to_income": "number",
    "interest": "number",
    "default": "category",
}


def declare(folder: Path, data: Path) -> None:
    """Write the product's YAML."""
    values = {
        "region": ["north", "south", "east", "west", "centre", "coast"],
        "housing": ["own", "rent", "free"],
        "purpose": ["car", "furniture", "renovation", "education", "medical", "debt_consolidation"],
        "default": ["0", "1"],
    }
    ranges = {"age": {"min": 18, "max": 80}, "interest": {"min": 0}, "income": {"min": 0}}
    columns = [
        {
            "name": name,
            "type": kind,
            **({"values": values[name]} if name in values else {}),
            **ranges.get(name, {}),
            **({"nullable": True} if name == "utilisation" else {}),
        }
        for name, kind in COLUMNS.items()
    ]
    features = [name for name in COLUMNS if name not in ("application_id", "default")]
    attributes = {
        "name": NAME,
        "model": "SyntheticPortfolioModel",
        "owners": ["team:benchmark"],
        "tier": "low",
        "source": {"kind": "csv", "path": str(data)},
        "contract": {"columns": columns, "min_rows": 1000, "unique": [["application_id"]]},
        "target": {"column": "default", "positive": "1", "negative": "0"},
        "features": features,
        "candidates": {
            "logistic_regression": {},
            "random_forest": {},
            "hist_gradient_boosting": {},
            "xgboost": {},
        },
        "search": {"metric": "roc_auc"},
        "gates": [{"metric": "roc_auc", "min": 0.6}],
    }
    path = folder / NAME / "defs.yaml"
    path.parent.mkdir(parents=True)
    component = "interlock.components.model_product.ModelProductComponent"
    # JSON is YAML.
    path.write_text(json.dumps({"type": component, "attributes": attributes}, indent=1))


def main() -> None:
    """Declare, run, print."""
    data, folder, only = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    declare(folder, data)
    with connected(load_settings()):
        guard = Guard(lambda: open_workspace(load_settings(), secrets=process_environment()))
        defs = build_defs(folder=folder, guard=guard)
        job = defs.resolve_job_def(f"{NAME}_pipeline")
        with dg.DagsterInstance.get() as instance:
            result = job.execute_in_process(
                instance=instance,
                asset_selection=[dg.AssetKey([NAME, name]) for name in only] or None,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
            stats = instance.get_run_step_stats(result.run_id)
    print(
        json.dumps(
            {
                each.step_key.removeprefix(f"{NAME}__"): each.end_time - each.start_time
                for each in stats
                if each.start_time and each.end_time
            }
        )
    )


if __name__ == "__main__":
    main()
