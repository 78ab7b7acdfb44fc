"""Which settings are compared, and what holds each of them up.

How a round is simulated is in ``scaling_model.py``, what is told of it in ``scaling_report.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scaling_inputs import Inputs
from scaling_model import PERIOD, Round, Setting

HOUR: Final = 3600.0
MOST: Final = 10_000  # products
SCALES: Final = (3, 30, 300, 1_000, 3_000, MOST)
FIVE_HOURS: Final = 5 * HOUR  # an hour is left for what came last
PER_LOCATION: Final = 100  # products
PLACES: Final = "places"
ONE_RUN: Final = "one run, stopped after four hours"

# environments/prod as it is: one run for all products without a schedule of their own.
DELIVERED: Final = Setting(
    products=1,
    products_per_run=0,
    max_concurrent_runs=50,
    start_threads=4,
    mlflow_servers=(2, 8),
    database_cores=8,
    vcpu_per_run=4,
    vcpu_services=12.25,
)


@dataclass(frozen=True)
class Rung:
    """One change more.

    Attributes:
        name: What is changed, for the table.
        setting: Everything so far; its number of products does not count.
        per_location: Products of one code location, where that is fixed.
    """

    name: str
    setting: Setting
    per_location: int | None = None

    def at(self, products: int) -> Setting:
        """The setting for so many products."""
        chosen = replace(self.setting, products=products)
        if self.per_location is None:
            return chosen
        return replace(chosen, code_locations=math.ceil(chosen.own_products / self.per_location))


def ladder() -> list[Rung]:
    """From what is delivered to what ten thousand products need, one change after the other."""
    own = replace(DELIVERED, products_per_run=1)
    threads = replace(own, start_threads=16, tick_threads=8)
    places = replace(threads, max_concurrent_runs=200)
    spread = replace(threads, spread=FIVE_HOURS)
    return [
        Rung("environments/prod: one run for all", DELIVERED),
        Rung("a schedule for each product", own),
        Rung(f"code locations of {PER_LOCATION} products", own, PER_LOCATION),
        Rung("16 threads start runs, 8 evaluate schedules", threads, PER_LOCATION),
        Rung("200 places instead of 50", places, PER_LOCATION),
        Rung("50 places, the round spread over five hours", spread, PER_LOCATION),
        Rung("100 places, spread", replace(spread, max_concurrent_runs=100), PER_LOCATION),
        Rung(
            "four deployments of 100 places, spread",
            replace(spread, max_concurrent_runs=100, deployments=4),
            PER_LOCATION,
        ),
    ]


def recommended(products: int) -> Setting:
    """What to choose at a scale; the page's table says it in words."""
    own = replace(DELIVERED, products=products, products_per_run=1)
    own = replace(own, start_threads=16, tick_threads=4, spread=FIVE_HOURS)
    own = replace(own, code_locations=math.ceil(products / PER_LOCATION))
    if products <= 3:  # noqa: PLR2004 - one team
        own = replace(own, vcpu_per_run=1, vcpu_services=2, database_cores=1)
        return replace(own, max_concurrent_runs=4, start_threads=4, tick_threads=1, spread=0)
    if products <= 30:  # noqa: PLR2004 - some teams
        return replace(own, max_concurrent_runs=10, spread=0.0)
    if products <= 1_000:  # noqa: PLR2004 - a division
        return replace(own, max_concurrent_runs=25)
    if products <= 3_000:  # noqa: PLR2004 - a company
        return replace(own, max_concurrent_runs=50, tick_threads=8)
    own = replace(own, deployments=4, max_concurrent_runs=50, tick_threads=8)
    return replace(own, code_locations=math.ceil(own.own_products / PER_LOCATION))


def capacities(inputs: Inputs, setting: Setting) -> dict[str, float]:
    """Products a round that each stage could let through if it were alone, in all deployments."""
    mean = np.exp(inputs.work_sigma**2 / 2)
    work = float(
        mean * (inputs.work[0] * (1 - inputs.large_share) + inputs.work[1] * inputs.large_share)
    )
    asked = inputs.mlflow_requests * inputs.mlflow_seconds
    each = work + asked + inputs.database_seconds
    per_run = setting.products_per_run or setting.own_products
    start = float(np.mean(inputs.task_start)) + inputs.imports
    loading = inputs.load_per_product * setting.loaded_products
    start += loading + inputs.start_daemon + inputs.start_wait
    tick = inputs.tick_daemon + inputs.tick_server + inputs.tick_wait
    tick_rate = min(
        max(1, setting.tick_threads) / tick,
        1 / inputs.tick_daemon,
        setting.code_locations / inputs.tick_server,
    )
    start_rate = min(
        max(1, setting.start_threads) / (inputs.start_daemon + inputs.start_wait),
        1 / inputs.start_daemon,
        setting.start_rate,
    )
    places = setting.max_concurrent_runs * PERIOD / (start + per_run * each) * per_run
    found = {
        "scheduler": tick_rate * PERIOD * per_run,
        "queue and RunTask": start_rate * PERIOD * per_run,
        PLACES: places,
        "MLflow": setting.mlflow_servers[1] * PERIOD / asked,
        "database": setting.database_cores * PERIOD / inputs.database_seconds,
    }
    if not setting.products_per_run:
        del found[PLACES]
        found[ONE_RUN] = setting.max_runtime / each
    return {name: value * setting.deployments for name, value in found.items()}


def narrowest(inputs: Inputs, setting: Setting) -> str:
    """The stage that lets the fewest through, in words, and how many that are."""
    found = capacities(inputs, setting)
    name = min(found, key=lambda stage: found[stage])
    loading = inputs.load_per_product * setting.loaded_products
    if name == PLACES and loading > float(np.mean(inputs.task_start)):
        return f"each run loads {setting.loaded_products:,} products: {loading:.0f} s"
    digits = len(str(int(found[name])))
    return f"{name}: {int(round(found[name], 2 - digits)):,}"


def hours(found: Round) -> float:
    """How long a round took, h; infinite where it did not come to an end."""
    whole = found.ended == len(found.moments)
    return found.seconds / HOUR if whole else math.inf


def duration(value: float) -> str:
    """Hours as text, no more exact than the inputs."""
    if math.isinf(value):
        return "never"
    if value < 1:
        return f"{max(1, round(value * 60))} min"
    return f"{value:.1f} h" if value < 48 else f"{value / 24:.0f} days"  # noqa: PLR2004
