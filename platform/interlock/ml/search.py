"""The search: which configurations compete, how they are compared, and which one is best.

Here lives the YAML section ``search`` and the comparison of candidates on training rows.
What comes before and after (holdout, threshold, the last fit, the evaluation) lives in
``ml.training``; single fits in ``ml.cross_validation``; spaces in ``ml.candidates``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from interlock.errors import TrainingError
from interlock.ml.candidates import (
    CANDIDATES,
    MAX_ITERATIONS,
    CandidateName,
    Candidates,
    space_of,
)
from interlock.ml.cross_validation import Trial, TrialResult, cross_validate
from interlock.ml.drawing import assign_folds
from interlock.ml.evaluation import CostMatrix
from interlock.ml.score_cells import Booleans
from interlock.ml.search_space import Scalar, draw_configurations

if TYPE_CHECKING:
    import pandas as pd

SearchMetric = Literal["roc_auc", "pr_auc", "ks", "log_loss", "brier", "expected_cost"]
"""What a search may optimise: metrics that need no threshold of their own, and the expected
cost at the Bayes threshold of the cost matrix."""

_HIGHER_IS_BETTER = frozenset({"roc_auc", "pr_auc", "ks"})

_Purpose = Literal["holdout", "sample", "folds", "probe", "bootstrap"]
_Later = Literal["calibration"]  # at the end, so that no stream changes by it
_STREAMS: tuple[str, ...] = (*get_args(_Purpose), *CANDIDATES, *get_args(_Later))


class Search(BaseModel):
    """The YAML section ``search``: how candidates compete.

    Attributes:
        metric: What decides, as mean over the folds.
        iterations: Configurations drawn per candidate.
        folds: Stratified folds of the cross-validation.
        holdout: Share of rows kept for the evaluation.
        seed: Seed of everything random in training and evaluation.
        sample_rows: Most rows to search on; the winner is fitted on all training rows.
        cost: Costs of wrong decisions; they set the decision threshold.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: SearchMetric = "roc_auc"
    iterations: Annotated[int, Field(ge=1, le=MAX_ITERATIONS)] = 8
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    holdout: Annotated[float, Field(ge=0.05, le=0.5)] = 0.2
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 20260101
    sample_rows: Annotated[int, Field(ge=1_000)] = 50_000
    cost: CostMatrix = CostMatrix()


class Stage(StrEnum):
    """What a candidate is going through."""

    SEARCH = "search"
    FIT = "fit"


@dataclass(frozen=True)
class CandidateProgress:
    """One step forward; ``fits_done`` of ``fits_total`` in this stage of this candidate."""

    candidate: str
    stage: Stage
    fits_done: int
    fits_total: int


@dataclass(frozen=True)
class CandidateResult:
    """What the search found for one candidate.

    Attributes:
        name: One of ``CANDIDATES``.
        failure: Why no configuration could be fitted; none when one could.
        parameters: The best configuration; empty when it failed.
        mean: Mean of the search's metric over the folds of the best configuration.
        deviation: Standard deviation over those folds (n - 1).
        scores: The search's metric for every configuration drawn and every fold; NaN-free:
            a configuration that failed in any fold is left out.
        configurations: The configurations of ``scores``, in the same order.
        fits: Fits made, those that failed included.
        seconds: Time of its fits added up; they run side by side.
        notes: What a reader should know: configurations that failed and why, no convergence.
    """

    name: str
    failure: str | None
    parameters: Mapping[str, Scalar]
    mean: float | None
    deviation: float | None
    scores: tuple[tuple[float, ...], ...]
    configurations: tuple[Mapping[str, Scalar], ...]
    fits: int
    seconds: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """What a search found: every candidate's report, and the best configuration of all."""

    candidates: tuple[CandidateResult, ...]
    best: TrialResult


def generator_for(purpose: _Purpose | CandidateName | _Later, *, seed: int) -> np.random.Generator:
    """A stream of its own for each purpose, so that none depends on how much others drew."""
    sequence = np.random.SeedSequence(seed, spawn_key=(_STREAMS.index(purpose),))
    return np.random.default_rng(sequence)


def search_candidates(
    frame: pd.DataFrame,
    outcome: Booleans,
    *,
    candidates: Candidates,
    search: Search,
    jobs: int,
    on_progress: Callable[[CandidateProgress], None],
) -> Found:
    """Cross-validate all drawn configurations of all candidates on the same folds.

    Args:
        frame: Feature frame, n rows, of training rows alone.
        outcome: Shape (n,), at least ``search.folds`` rows of each class.
        candidates: Who competes.
        search: How.
        jobs: Processes, ≥ 1; changes the time and nothing else.
        on_progress: Called from the calling thread after each fit.

    Returns:
        What was found; a candidate that failed is among it.

    Raises:
        TrainingError: Every candidate failed, or a helper process died.
    """
    trials = {name: _draw_trials(name, candidates, search) for name in candidates.chosen}
    done = dict.fromkeys(trials, 0)

    def count_fit(trial: Trial) -> None:
        name = trial.candidate
        done[name] += 1
        total = len(trials[name]) * search.folds
        on_progress(CandidateProgress(name, Stage.SEARCH, done[name], total))

    results = cross_validate(
        [trial for drawn in trials.values() for trial in drawn],
        frame,
        outcome,
        assign_folds(outcome, folds=search.folds, rng=generator_for("folds", seed=search.seed)),
        metric=search.metric,
        cost=search.cost,
        jobs=jobs,
        on_fit=count_fit,
    )
    reports = tuple(
        _report(name, [result for result in results if result.trial.candidate == name], search)
        for name in trials
    )
    fitted = [result for result in results if result.failure is None]
    if not fitted:
        reasons = "; ".join(f"{report.name}: {report.failure}" for report in reports)
        raise TrainingError(
            f"every candidate failed in every configuration ({reasons})",
            remedy="correct the data or the spaces under `candidates`",
        )
    return Found(candidates=reports, best=_best(fitted, search))


def _draw_trials(name: CandidateName, candidates: Candidates, search: Search) -> list[Trial]:
    settings = candidates.chosen[name]
    rng = generator_for(name, seed=search.seed)
    seed = int(rng.integers(2**32))
    drawn = draw_configurations(
        space_of(name, settings), count=settings.iterations or search.iterations, rng=rng
    )
    return [Trial(name, parameters, seed) for parameters in drawn]


def _report(name: CandidateName, trials: Sequence[TrialResult], search: Search) -> CandidateResult:
    fitted = [result for result in trials if result.failure is None]
    failed = Counter(result.failure for result in trials if result.failure is not None)
    best = _best(fitted, search) if fitted else None
    notes = [f"{count} configurations failed: {reason}" for reason, count in failed.items()]
    notes += dict.fromkeys(note for result in trials for note in result.notes)
    return CandidateResult(
        name=name,
        failure=None if fitted else next(iter(failed)),
        parameters=best.trial.parameters if best else {},
        mean=float(np.mean(best.scores)) if best else None,
        deviation=float(np.std(best.scores, ddof=1)) if best else None,
        scores=tuple(result.scores for result in fitted),
        configurations=tuple(result.trial.parameters for result in fitted),
        fits=len(trials) * search.folds,
        seconds=sum(result.seconds for result in trials),
        notes=tuple(notes),
    )


def _best(fitted: Sequence[TrialResult], search: Search) -> TrialResult:
    """The best mean; of equals the first, which is the simpler candidate's."""
    sign = 1.0 if search.metric in _HIGHER_IS_BETTER else -1.0
    return max(fitted, key=lambda result: sign * float(np.mean(result.scores)))
