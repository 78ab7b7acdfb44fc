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

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from interlock.errors import TrainingError
from interlock.ml.candidates import (
    CANDIDATES,
    MAX_ITERATIONS,
    CandidateName,
    Candidates,
    build_pipeline,
    space_of,
)
from interlock.ml.cross_validation import (
    FIT_ERRORS,
    Trial,
    TrialResult,
    cross_validate,
    describe,
)
from interlock.ml.drawing import assign_folds, draw_stratified
from interlock.ml.evaluation import CostMatrix, Evaluation, choose_threshold, evaluate
from interlock.ml.features import column_kinds, feature_frame, probe_of
from interlock.ml.score_cells import Booleans, Floats
from interlock.ml.search_space import Scalar, draw_configurations
from interlock.ml.workers import limited_threads

if TYPE_CHECKING:
    import pandas as pd

SearchMetric = Literal["roc_auc", "pr_auc", "ks", "log_loss", "brier", "expected_cost"]
"""What a search may optimise: metrics that need no threshold of their own, and the expected
cost at the Bayes threshold of the cost matrix."""

_HIGHER_IS_BETTER = frozenset({"roc_auc", "pr_auc", "ks"})

Label = bool | int | float | str

_Purpose = Literal["holdout", "sample", "folds", "probe", "bootstrap"]
_STREAMS: tuple[str, ...] = (*get_args(_Purpose), *CANDIDATES)

_SHOWN_VALUES = 5  # unexpected values of a target that an error shows


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
        jobs: Processes for the search and threads for the last fit, ≥ 1; changes the time
            and nothing else.
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
    outcome = _outcome(table, target)
    _require_trainable(table, features, target, search, outcome)
    frame = feature_frame(table, features)
    held = draw_stratified(
        outcome,
        round(search.holdout * len(outcome)),
        least=1,
        rng=_generator(search.seed, "holdout"),
    )
    trained = np.delete(np.arange(len(outcome)), held)
    training, training_outcome = frame.iloc[trained], outcome[trained]
    searched = np.arange(len(trained))
    if len(trained) > search.sample_rows:
        searched = draw_stratified(
            training_outcome,
            search.sample_rows,
            least=search.folds,
            rng=_generator(search.seed, "sample"),
        )
    trials = _search(
        training.iloc[searched],
        training_outcome[searched],
        candidates=candidates,
        search=search,
        jobs=jobs,
        on_progress=on_progress,
    )
    results = {name: _candidate_result(name, trials[name], search) for name in trials}
    winner, best = _winner(results, trials, search)
    threshold = choose_threshold(training_outcome[searched], best.out_of_fold, cost=search.cost)
    on_progress(CandidateProgress(winner, Stage.FIT, 0, 1))
    pipeline = _fit_winner(best.trial, training, training_outcome, jobs=jobs)
    on_progress(CandidateProgress(winner, Stage.FIT, 1, 1))
    holdout = _scored(pipeline, frame.iloc[held].reset_index(drop=True), outcome[held])
    return TrainingResult(
        candidates=tuple(results.values()),
        winner=winner,
        pipeline=pipeline,
        threshold=threshold,
        evaluation=evaluate(
            holdout.outcome,
            holdout.score,
            threshold=threshold,
            cost=search.cost,
            rng=_generator(search.seed, "bootstrap"),
        ),
        holdout=holdout,
        probe=probe_of(training, rng=_generator(search.seed, "probe")),
        training_rows=len(trained),
        search_rows=len(searched),
        seconds=time.perf_counter() - started,
    )


def _generator(seed: int, purpose: _Purpose | CandidateName) -> np.random.Generator:
    """A stream of its own for each purpose, so that none depends on how much others drew."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_STREAMS.index(purpose),)))


def _outcome(table: pd.DataFrame, target: Target) -> Booleans:
    """True where the target is its positive value, shape (n,)."""
    if target.column not in table.columns:
        raise TrainingError(
            f"target {target.column!r} is not in the data, which has "
            f"{list(map(str, table.columns))}",
            remedy="correct `target.column`",
        )
    column = table[target.column]
    outcome = (column == target.positive).to_numpy(dtype=bool, na_value=False)
    known = outcome | (column == target.negative).to_numpy(dtype=bool, na_value=False)
    if not known.all():
        others = sorted(map(repr, column[~known].unique()[:_SHOWN_VALUES]))
        raise TrainingError(
            f"target {target.column!r} holds {', '.join(others)} in {int((~known).sum())} of "
            f"{len(known)} rows; expected {target.positive!r} or {target.negative!r}",
            remedy=(
                "write `target.positive` and `target.negative` as the data has them, text in "
                "quotes, and let the contract refuse other values"
            ),
        )
    return outcome


def _require_trainable(
    table: pd.DataFrame,
    features: Sequence[str],
    target: Target,
    search: Search,
    outcome: Booleans,
) -> None:
    if target.column in features:
        raise TrainingError(
            f"target {target.column!r} is among the features",
            remedy="remove it from `features`",
        )
    positives = int(outcome.sum())
    for label, count in (
        (target.positive, positives),
        (target.negative, len(outcome) - positives),
    ):
        if count == 0:
            raise TrainingError(
                f"target {target.column!r} is never {label!r} in {len(table)} rows",
                remedy="train on data with both classes",
            )
        left = count - max(1, round(search.holdout * count))
        if left < search.folds:
            raise TrainingError(
                f"class {label!r} has {count} rows, of which {left} are left for "
                f"{search.folds} folds after the holdout",
                remedy="bring more rows, or lower `search.folds`",
            )


def _search(
    frame: pd.DataFrame,
    outcome: Booleans,
    *,
    candidates: Candidates,
    search: Search,
    jobs: int,
    on_progress: Callable[[CandidateProgress], None],
) -> dict[CandidateName, tuple[TrialResult, ...]]:
    """Cross-validate all drawn configurations of all candidates."""
    trials: dict[CandidateName, list[Trial]] = {}
    for name, settings in candidates.chosen.items():
        rng = _generator(search.seed, name)
        seed = int(rng.integers(2**32))
        count = settings.iterations or search.iterations
        trials[name] = [
            Trial(name, parameters, seed)
            for parameters in draw_configurations(space_of(name, settings), count=count, rng=rng)
        ]
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
        assign_folds(outcome, folds=search.folds, rng=_generator(search.seed, "folds")),
        metric=search.metric,
        cost=search.cost,
        jobs=jobs,
        on_fit=count_fit,
    )
    return {
        name: tuple(result for result in results if result.trial.candidate == name)
        for name in trials
    }


def _candidate_result(
    name: CandidateName, trials: tuple[TrialResult, ...], search: Search
) -> CandidateResult:
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


def _winner(
    results: Mapping[CandidateName, CandidateResult],
    trials: Mapping[CandidateName, tuple[TrialResult, ...]],
    search: Search,
) -> tuple[CandidateName, TrialResult]:
    fitted = [result for drawn in trials.values() for result in drawn if result.failure is None]
    if not fitted:
        reasons = "; ".join(f"{name}: {result.failure}" for name, result in results.items())
        raise TrainingError(
            f"every candidate failed in every configuration ({reasons})",
            remedy="correct the data or the spaces under `candidates`",
        )
    best = _best(fitted, search)
    return best.trial.candidate, best


def _fit_winner(trial: Trial, frame: pd.DataFrame, outcome: Booleans, *, jobs: int) -> Any:
    """The winner fitted on all training rows; a failure here is the run's failure."""
    numeric, categorical = column_kinds(frame)
    pipeline = build_pipeline(
        trial.candidate,
        trial.parameters,
        numeric=numeric,
        categorical=categorical,
        rows=len(frame),
        seed=trial.seed,
        jobs=jobs,
    )
    with limited_threads(jobs):
        try:
            pipeline.fit(frame, outcome.astype(np.int64))
        except FIT_ERRORS as error:
            raise TrainingError(
                f"{trial.candidate} won the search and could not be fitted on all "
                f"{len(frame)} rows ({describe(error)})",
                remedy="correct the data, or leave this candidate out",
            ) from error
    if "n_jobs" in pipeline[-1].get_params():
        # Parallel prediction adds trees up in the order in which threads finish.
        pipeline[-1].set_params(n_jobs=1)
    return pipeline


def _scored(pipeline: Any, table: pd.DataFrame, outcome: Booleans) -> Holdout:
    score = pipeline.predict_proba(table)[:, 1].astype(np.float64)
    return Holdout(table=table, outcome=outcome, score=score)
