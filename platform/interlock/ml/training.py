"""Training: candidates compete on equal terms, and the winner is measured once.

Here lives ``train`` and the order of its steps:

- the holdout is split off first, stratified by class; no search, threshold or sample sees it;
- every candidate is searched at random over the same stratified folds; when more than
  ``search.sample_rows`` rows are left, on a stratified sample of that many;
- the best mean over the folds wins, a tie goes to the simpler candidate;
- the decision threshold minimises the product's cost on out-of-fold scores;
- the winner is fitted on all rows but the holdout's and evaluated on the holdout;
- the same table, settings, seed and lock file give the same result for any ``jobs``.

The comparison of candidates lives in ``ml.search``, estimators and their spaces in
``ml.candidates``, the metrics in ``ml.evaluation``. Reasons: ADR-0005.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from interlock.errors import TrainingError
from interlock.ml.candidates import Candidates, build_pipeline
from interlock.ml.cross_validation import FIT_ERRORS, Trial, describe
from interlock.ml.drawing import draw_stratified
from interlock.ml.evaluation import Evaluation, choose_threshold, evaluate
from interlock.ml.features import column_kinds, feature_frame, probe_of
from interlock.ml.score_cells import Booleans, Floats
from interlock.ml.search import (
    CandidateProgress,
    CandidateResult,
    Search,
    Stage,
    generator_for,
    search_candidates,
)
from interlock.ml.target import Target, outcomes_of
from interlock.ml.workers import limited_threads

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CandidateProgress",
    "CandidateResult",
    "Candidates",
    "Holdout",
    "Search",
    "Stage",
    "Target",
    "TrainingResult",
    "train",
]


@dataclass(frozen=True)
class Holdout:
    """The rows that nothing but the evaluation saw.

    Attributes:
        places: Shape (n,), of its rows in the table that training was given.
        table: Feature frame, n rows.
        outcome: Shape (n,), True for the positive class.
        score: Shape (n,), the winner's probability of the positive class.
    """

    places: npt.NDArray[np.intp]
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
        probe: Feature frame of a few made-up rows, for fingerprint and input example.
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
        jobs: Processes for the search, ≥ 1; changes the time and nothing else.
        on_progress: Called from the calling thread after each fit.

    Returns:
        The result.

    Raises:
        TrainingError: No features, unknown features or target, the target among the
            features, a class missing or too small for the folds, target values that are
            neither class, columns of no or mixed type or with infinite values, or every
            candidate failed.
    """
    started = time.perf_counter()
    if target.column in features:
        raise TrainingError(
            f"target {target.column!r} is among the features", remedy="remove it from `features`"
        )
    outcome = outcomes_of(table, target)
    frame = feature_frame(table, features)
    held = draw_stratified(
        outcome,
        round(search.holdout * len(outcome)),
        least=1,
        rng=generator_for("holdout", seed=search.seed),
    )
    trained = np.delete(np.arange(len(outcome)), held)
    training, training_outcome = frame.iloc[trained], outcome[trained]
    _require_folds(training_outcome, target, search)
    searched = np.arange(len(trained))
    if len(trained) > search.sample_rows:
        searched = draw_stratified(
            training_outcome,
            search.sample_rows,
            least=search.folds,
            rng=generator_for("sample", seed=search.seed),
        )
    found = search_candidates(
        training.iloc[searched],
        training_outcome[searched],
        candidates=candidates,
        search=search,
        jobs=jobs,
        on_progress=on_progress,
    )
    best = found.best
    winner = best.trial.candidate
    threshold = choose_threshold(training_outcome[searched], best.out_of_fold, cost=search.cost)
    on_progress(CandidateProgress(winner, Stage.FIT, 0, 1))
    pipeline = _fit_winner(best.trial, training, training_outcome)
    on_progress(CandidateProgress(winner, Stage.FIT, 1, 1))
    holdout = _scored(pipeline, held, frame.iloc[held].reset_index(drop=True), outcome[held])
    return TrainingResult(
        candidates=found.candidates,
        winner=winner,
        pipeline=pipeline,
        threshold=threshold,
        evaluation=evaluate(
            holdout.outcome,
            holdout.score,
            threshold=threshold,
            cost=search.cost,
            rng=generator_for("bootstrap", seed=search.seed),
        ),
        holdout=holdout,
        probe=probe_of(training, rng=generator_for("probe", seed=search.seed)),
        training_rows=len(trained),
        search_rows=len(searched),
        seconds=time.perf_counter() - started,
    )


def _require_folds(outcome: Booleans, target: Target, search: Search) -> None:
    for label, count in (
        (target.positive, int(outcome.sum())),
        (target.negative, int((~outcome).sum())),
    ):
        if count < search.folds:
            raise TrainingError(
                f"class {label!r} has {count} rows outside the holdout; {search.folds} folds need "
                f"{search.folds}",
                remedy="bring more rows, or lower `search.folds`",
            )


def _fit_winner(trial: Trial, frame: pd.DataFrame, outcome: Booleans) -> Any:
    """The winner fitted on all training rows; a failure here is the run's failure."""
    numeric, categorical = column_kinds(frame)
    pipeline = build_pipeline(
        trial.candidate,
        trial.parameters,
        numeric=numeric,
        categorical=categorical,
        rows=len(frame),
        seed=trial.seed,
    )
    with limited_threads():
        try:
            pipeline.fit(frame, outcome.astype(np.int64))
        except FIT_ERRORS as error:
            raise TrainingError(
                f"{trial.candidate} won the search and could not be fitted on all "
                f"{len(frame)} rows ({describe(error)})",
                remedy="correct the data, or leave this candidate out",
            ) from error
    return pipeline


def _scored(
    pipeline: Any, places: npt.NDArray[np.intp], table: pd.DataFrame, outcome: Booleans
) -> Holdout:
    return Holdout(places, table, outcome, scores_of(pipeline, table))


def scores_of(pipeline: Any, table: pd.DataFrame) -> Floats:
    """The probability of the positive class of each row of a feature frame."""
    with limited_threads():
        scores: Floats = pipeline.predict_proba(table)[:, 1].astype(np.float64)
    return scores
