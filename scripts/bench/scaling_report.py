"""The generated tables of docs/autoscaling.md."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from scaling_costs import PARTS, Load, monthly, read_costs, rounded
from scaling_inputs import Given
from scaling_model import (
    ENDED,
    LAUNCHED,
    WORKING,
    Round,
    Setting,
    largest_kept_up,
    simulate,
)
from scaling_settings import (
    DELIVERED,
    HOUR,
    MOST,
    PER_LOCATION,
    SCALES,
    duration,
    hours,
    ladder,
    narrowest,
    recommended,
)

BEYOND: Final = 50_000  # products; limits beyond are not looked for
OTHER_CONNECTIONS: Final = 40  # web servers, code servers, exporters; assumed


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def inputs_table(given: Given) -> str:
    """Every figure that was taken as given."""
    rows = [
        [f"`{each.name}`", _value(each.value), each.unit, each.kind, each.what]
        for section in given.figures.values()
        for each in section.values()
    ]
    return table(["name", "value", "unit", "origin", "what"], rows)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_value(each)}" for key, each in value.items())
    if isinstance(value, list):
        return " and ".join(_value(each) for each in value)
    return f"{value:,}"


def calibrated(given: Given) -> list[tuple[Mapping[str, float], float]]:
    """Each measured way to empty a queue, with the seconds that the simulation says."""
    found = []
    for case in given.cases:
        inputs = replace(
            given.inputs,
            tick_daemon=0,
            tick_server=0,
            imports=0,
            load_per_product=0,
            task_start=(case["run_seconds"], case["run_seconds"]),
            work=(0, 0),
            mlflow_requests=0,
            database_seconds=0,
            start_wait=case["launch_seconds"] + given.overhead - given.inputs.start_daemon,
        )
        setting = Setting(
            products=int(case["runs"]),
            max_concurrent_runs=int(case["max_concurrent_runs"]),
            start_threads=int(case["workers"]),
            tick_threads=int(case["runs"]),
            start_rate=1e9,
            start_burst=1e9,
        )
        moments = simulate(inputs, setting).moments
        # The first look is at an empty queue, the second finds all of it.
        found.append((case, float(moments[:, LAUNCHED].max() - setting.interval)))
    return found


def calibration_table(given: Given) -> str:
    """Measured against simulated."""
    rows = []
    for number, (case, simulated) in enumerate(calibrated(given)):
        ratios = [f"{simulated / case[key]:.2f}" for key in ("seconds", "again")]
        rows.append(
            [
                f"{case['runs']:.0f}",
                f"{case['workers']:.0f}" if case["workers"] else "none",
                f"{case['launch_seconds']:g} s",
                f"{case['max_concurrent_runs']:.0f} for {case['run_seconds']:g} s",
                f"{case['seconds']:.1f} s ({case['load']:.0f})",
                f"{case['again']:.1f} s ({case['load_again']:.0f})",
                f"{simulated:.1f} s",
                " and ".join(ratios) if number else f"(fitted) and {ratios[1]}",
            ]
        )
    head = ["runs", "threads", "a start sleeps", "places", "measured (load)", "again (load)"]
    return table([*head, "simulated", "simulated / measured"], rows)


def ladder_table(given: Given) -> str:
    """What each change does at ten thousand products, and how far it moves the limit."""
    rows = []
    for rung in ladder():
        found = simulate(given.inputs, rung.at(MOST))
        limit = largest_kept_up(given.inputs, rung.at, most=BEYOND)
        rows.append(
            [
                rung.name,
                duration(hours(found)),
                f"{found.peak_active:,}",
                f"{round(limit, 2 - len(str(limit))):,}" + (" or more" if limit == BEYOND else ""),
                narrowest(given.inputs, rung.at(MOST)),
            ]
        )
    head = ["change", "a round of 10,000 takes", "runs at once, each deployment"]
    return table([*head, "products in six hours", "held up by"], rows)


@dataclass(frozen=True)
class Demand:
    """What a round asks of services that are not simulated.

    Attributes:
        vcpu: Fargate processors of one account at most.
        connections: To the database at most.
        new_connections: Per second at most.
        acu: Aurora capacity units for the processor time, at most.
        s3_writes: Per second at most, one bucket.
        audit_events: Per second at most.
    """

    vcpu: float
    connections: float
    new_connections: float
    acu: float
    s3_writes: float
    audit_events: float


def demand(given: Given, setting: Setting, found: Round) -> Demand:
    """What one deployment asks for while the most runs work.

    Args:
        given: Figures.
        setting: What was chosen.
        found: The simulated round.
    """
    work = max(1.0, found.between(WORKING, ENDED)) / (setting.products_per_run or 1)
    if not setting.products_per_run:
        work = max(1.0, found.between(WORKING, ENDED)) / setting.own_products
    rate = found.peak_working / work
    return Demand(
        vcpu=found.peak_active * setting.vcpu_per_run + setting.vcpu_services,
        connections=found.peak_working * given.per_run("connections")
        + found.mlflow_servers * given.per_run("mlflow_connections")
        + setting.start_threads
        + setting.tick_threads
        + OTHER_CONNECTIONS,
        new_connections=rate * given.per_run("sessions"),
        acu=rate * given.inputs.database_seconds * given.limit("acu_per_core"),
        s3_writes=rate * given.per_run("s3_writes"),
        audit_events=rate * given.per_run("audit_events"),
    )


def scales_table(given: Given) -> str:
    """What breaks first at each scale as delivered, and with a schedule for each product."""
    rows = []
    for products in SCALES:
        one = replace(DELIVERED, products=products)
        each = replace(one, products_per_run=1)
        rows.append(
            [
                f"{products:,}",
                duration(hours(simulate(given.inputs, one))),
                narrowest(given.inputs, one),
                duration(hours(simulate(given.inputs, each))),
                narrowest(given.inputs, each),
            ]
        )
    head = ["products", "one run for all takes", "held up by"]
    return table([*head, "a schedule each, all due at once, takes", "held up by"], rows)


def recommended_table(given: Given) -> str:
    """What to choose at each scale, and what it gives."""
    rows = []
    for products in SCALES:
        chosen = recommended(products)
        found = simulate(given.inputs, chosen)
        rows.append(
            [
                f"{products:,}",
                f"{chosen.deployments} of {chosen.max_concurrent_runs}",
                f"{chosen.start_threads} + {chosen.tick_threads}",
                "five hours" if chosen.spread else "at once",
                f"{chosen.deployments} of {chosen.code_locations}",
                duration(found.usual_delay / HOUR),
                f"{found.peak_active:,}",
                narrowest(given.inputs, chosen),
            ]
        )
    head = ["products", "deployments of places each", "start + tick threads", "due"]
    head += ["code locations", "19 of 20 end within", "runs at once", "next limit"]
    return table(head, rows)


def demand_table(given: Given) -> str:
    """What each scale asks of the services around, next to what they give."""
    rows = []
    cases = [(f"{each:,}", recommended(each)) for each in SCALES]
    all_at_once = replace(recommended(MOST), deployments=1, spread=0.0, max_concurrent_runs=200)
    all_at_once = replace(all_at_once, code_locations=MOST // PER_LOCATION)
    cases.append((f"{MOST:,} at once, one deployment, 200 places", all_at_once))
    for name, chosen in cases:
        found = simulate(given.inputs, chosen)
        asked = demand(given, chosen, found)
        rows.append(
            [
                name,
                f"{asked.vcpu:,.0f}",
                f"{asked.connections:,.0f}",
                f"{asked.new_connections:,.0f}/s",
                f"{max(0.5, math.ceil(asked.acu * 2) / 2):g}",
                str(found.mlflow_servers),
                f"{found.daemon_busy:.0%}",
                f"{asked.s3_writes:,.0f}/s",
                f"{asked.audit_events:,.0f}/s",
            ]
        )
    head = ["products", "vCPU", "connections", "new connections", "ACU", "MLflow servers"]
    return table([*head, "daemon busy", "S3 writes", "audit events"], rows)


def costs_table(given: Given) -> str:
    """Dollars per month by size and part."""
    document = read_costs()
    columns: dict[str, dict[str, float]] = {}
    for name, size in document["sizes"].items():
        chosen = replace(recommended(size["products"]), deployments=size["deployments"])
        found = simulate(given.inputs, chosen)
        runs = len(found.moments) * chosen.deployments
        paid = float(np.nansum(found.moments[:, ENDED] - found.moments[:, LAUNCHED]))
        load = Load(
            runs=runs,
            task_seconds=paid * chosen.deployments,
            s3_writes=runs * given.per_run("s3_writes"),
            s3_reads=runs * given.per_run("s3_reads"),
            statements=runs * given.per_run("statements"),
        )
        columns[name] = monthly(document, name, load)
    rows = [[part, *(rounded(column[part]) for column in columns.values())] for part in PARTS]
    totals = {name: sum(column.values()) for name, column in columns.items()}
    rows.append(["**together**", *(f"**{rounded(each)}**" for each in totals.values())])
    per_product = [rounded(totals[name] / document["sizes"][name]["products"]) for name in columns]
    rows.append(["per product", *per_product])
    what = [f"{name}: {size['what']}" for name, size in document["sizes"].items()]
    caption = f"US dollars a month, {document['region']}, list prices of {document['as_of']}"
    return f"{table([caption, *what], rows)}"
