"""What the simulation takes as given: the YAML beside this, with the origin of each figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

PATH: Final = Path(__file__).with_name("scaling_inputs.yaml")
KINDS: Final = ("measured", "stated", "assumed")


@dataclass(frozen=True)
class Figure:
    """One figure and where it is from.

    Attributes:
        name: As in the YAML.
        value: A number, a range, or numbers by something.
        unit: Of it.
        kind: One of ``KINDS``.
        what: What it says, in words.
    """

    name: str
    value: Any
    unit: str
    kind: str
    what: str


@dataclass(frozen=True)
class Inputs:
    """What things take; ``scaling_inputs.yaml`` says of each whether it was measured.

    Attributes:
        tick_daemon: Processor of the daemon for one schedule's tick, s.
        tick_wait: What it waits for the database, s.
        tick_server: Processor of the code server for it, s.
        look: Processor of the daemon for one look at an empty queue, s.
        look_per_queued: More of it for every run that waits, s.
        look_per_active: More of it for every run under way, s.
        start_daemon: Processor of the daemon for one start, s.
        start_wait: What a start waits for AWS and the database, s.
        task_start: Shortest and longest time from RunTask to the first line of Python, s.
        imports: Processor of a run for its imports, s; part of no product's work.
        load_per_product: More of it for every product of the code location, s.
        work: Median of one product's work, of a usual and of a large one, s.
        work_sigma: Spread of both, sigma of the lognormal distribution.
        large_share: Share of large products.
        mlflow_requests: Requests to MLflow for one product.
        mlflow_seconds: Processor of the MLflow server for one, s.
        mlflow_delay: From high load to one more server that answers, s.
        database_seconds: Processor of the database for one product, s.
    """

    tick_daemon: float
    tick_wait: float
    tick_server: float
    look: float
    look_per_queued: float
    look_per_active: float
    start_daemon: float
    start_wait: float
    task_start: tuple[float, float]
    imports: float
    load_per_product: float
    work: tuple[float, float]
    work_sigma: float
    large_share: float
    mlflow_requests: int
    mlflow_seconds: float
    mlflow_delay: float
    database_seconds: float


@dataclass(frozen=True)
class Given:
    """The whole file.

    Attributes:
        as_of: When it was put together.
        inputs: For the simulation.
        figures: Every figure by section and name.
        overhead: What a start takes beside the launcher's sleep, while calibrating, s.
        cases: Measured ways to empty a queue.
    """

    as_of: str
    inputs: Inputs
    figures: Mapping[str, Mapping[str, Figure]]
    overhead: float
    cases: tuple[Mapping[str, float], ...]

    def per_run(self, name: str) -> float:
        """One figure of what a run asks for."""
        return float(self.figures["per_run"][name].value)

    def limit(self, name: str) -> float:
        """One limit that is a single number."""
        return float(self.figures["limits"][name].value)


def read_given(path: Path = PATH) -> Given:
    """Read and check the file.

    Args:
        path: The file.

    Returns:
        What it says.

    Raises:
        ValueError: A figure's origin is none of ``KINDS``.
    """
    document = yaml.safe_load(path.read_text())
    figures = {
        section: {name: Figure(name=name, **figure) for name, figure in document[section].items()}
        for section in ("inputs", "per_run", "limits")
    }
    for section in figures.values():
        for figure in section.values():
            if figure.kind not in KINDS:
                msg = f"{figure.name} is {figure.kind!r}, expected one of {', '.join(KINDS)}"
                raise ValueError(msg)
    values = {name: figure.value for name, figure in figures["inputs"].items()}
    pairs = {name: tuple(values[name]) for name in ("task_start", "work")}
    return Given(
        as_of=str(document["as_of"]),
        inputs=Inputs(**{**values, **pairs}),
        figures=figures,
        overhead=float(document["calibration"]["overhead"]),
        cases=tuple(document["calibration"]["cases"]),
    )
