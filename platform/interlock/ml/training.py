"""Training: candidates compete on equal terms, and the winner is measured once.

Here live the YAML sections ``target`` and ``search``, and ``train``:

- the holdout is split off first, stratified by class; no search, threshold or sample sees it;
- every candidate is searched at random over the same stratified folds; when more than
  ``search.sample_rows`` rows are left, on a stratified sample of that many;
- the best mean over the folds wins, a tie goes to the simpler candidate;
- the decision threshold minimises the product's cost on out-of-fold scores;
- the winner is fitted on all rows but the holdout's and evaluated on the holdout;
- the same table, settings, seed and lock file give the same result for any ``jobs``.

Estimators and their spaces live in ``ml.candidates``, the cross-validation in
``ml.cross_validation``, the metrics in ``ml.evaluation``. Reasons: ADR-0005.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from interlock.ml.candidates import MAX_ITERATIONS, Candidates
from interlock.ml.evaluation import Booleans, CostMatrix, Evaluation, Floats
from interlock.ml.search_space import Scalar

if TYPE_CHECKING:
    import pandas as pd

SearchMetric = Literal["roc_auc", "pr_auc", "ks", "log_loss", "brier", "expected_cost"]
"""What a search may optimise: metrics that need no threshold of their own, and the expected
cost at the Bayes threshold of the cost matrix."""

Label = bool | int | float | str


class Target(BaseModel):
    """The YAML section ``target``: what is predicted.

    Attributes:
        column: Column that holds the outcome.
        positive: Value of the class whose probability is predicted.
        negative: Value of the other class.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: Annotated[str, Field(min_length=1)]
    positive: Label
    negative: Label

    @model_validator(mode="after")
    def _classes_differ(self) -> Self:
        if self.positive == self.negative:
            msg = f"positive and negative are both {self.positive!r}; name two values"
            raise ValueError(msg)
        return self


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
        seconds: Wall clock.
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
class Holdout:
    """The rows that nothing but the evaluation saw.

    Attributes:
        table: Feature frame, n rows.
        outcome: Shape (n,), True for the positive class.
        score: Shape (n,), the winner's probability of the positive class.
    """

    table: pd.DataFrame
    outcome: Booleans
    score: Floats


@dataclass(frozen=True)
class TrainingResult:
    """What training hands over.

    Attributes:
        candidates: Every candidate that competed, failed ones included, in fixed order.
        winner: Name of the best.
        pipeline: ``sklearn.pipeline.Pipeline`` fitted on all training rows; its
            ``predict_proba`` takes a feature frame (``ml.features.feature_frame``) and its
            second column is the probability of the positive class.
        threshold: Decision threshold on that probability.
        evaluation: The winner on the holdout.
        holdout: The holdout, scored.
        probe: Feature frame of a few training rows, for fingerprint and input example.
        training_rows: Rows the winner was fitted on.
        search_rows: Rows the search saw.
        seconds: Wall clock.
    """

    candidates: tuple[CandidateResult, ...]
    winner: str
    pipeline: Any
    threshold: float
    evaluation: Evaluation
    holdout: Holdout
    probe: pd.DataFrame
    training_rows: int
    search_rows: int
    seconds: float


def train(
    table: pd.DataFrame,
    *,
    features: Sequence[str],
    target: Target,
    candidates: Candidates,
    search: Search,
    jobs: int,
    on_progress: Callable[[CandidateProgress], None],
) -> TrainingResult:
    """Search all candidates, fit the best and evaluate it.

    Args:
        table: One row per case; ``features`` and ``target.column`` are among its columns.
        features: Columns to learn from.
        target: What to predict.
        candidates: Who competes.
        search: How.
        jobs: Threads to use, ≥ 1; changes the time and nothing else.
        on_progress: Called from the calling thread after each fit.

    Returns:
        The result.

    Raises:
        TrainingError: No features, unknown features or target, the target among the
            features, a class missing or too small for the folds, target values that are
            neither class, columns of no or mixed type or with infinite values, or every
            candidate failed.
    """
    raise NotImplementedError
