"""Cross-validation: every configuration of every candidate on the same folds.

Here lives one fit in one fold, and what its fits say about a configuration. Which
configurations are drawn and who wins lives in ``ml.training``; estimators in
``ml.candidates``; folds in ``ml.drawing``; how fits are spread over cores in ``ml.workers``.

A fold's rows are encoded once per encoding and process, not once per fit: the encoding has
no parameter that is searched. A fit that fails is a result with its reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from interlock.ml.candidates import (
    CandidateName,
    Encoding,
    build_columns,
    build_model,
    convergence_note,
    encoding_of,
    load_libraries,
)
from interlock.ml.evaluation import CostMatrix, measure
from interlock.ml.features import column_kinds
from interlock.ml.score_cells import Booleans, Floats, ScoreCells
from interlock.ml.search_space import Scalar
from interlock.ml.workers import compute_all, limited_threads

if TYPE_CHECKING:
    import pandas as pd

FIT_ERRORS = (ValueError, TypeError, ArithmeticError, RuntimeError, MemoryError)
"""What estimators raise for data or parameters they cannot fit; XGBoost's and LAPACK's own
errors are ``ValueError``. Everything else is a mistake in Interlock and passes through."""

_LONGEST_REASON = 300  # characters of a foreign error's text

_Encoded = tuple[Floats, Floats]


@dataclass(frozen=True)
class Trial:
    """One configuration of one candidate."""

    candidate: CandidateName
    parameters: Mapping[str, Scalar]
    seed: int


@dataclass(frozen=True)
class TrialResult:
    """What cross-validating one trial gave.

    Attributes:
        trial: The trial.
        failure: Why a fold failed; none when all succeeded.
        scores: The metric in each fold; empty when a fold failed.
        out_of_fold: Score of each row by the fit that did not see it, shape (n,).
        seconds: Sum over its fits.
        notes: What its fits have to say, e.g. that they did not converge.
    """

    trial: Trial
    failure: str | None
    scores: tuple[float, ...]
    out_of_fold: Floats
    seconds: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Fit:
    """One fit, of a trial in a fold; either it failed or it has scores."""

    seconds: float
    failure: str | None = None
    score: float = float("nan")
    out_of_fold: Floats | None = None
    note: str | None = None


def cross_validate(
    trials: Sequence[Trial],
    frame: pd.DataFrame,
    outcome: Booleans,
    fold: NDArray[np.int8],
    *,
    metric: str,
    cost: CostMatrix,
    jobs: int,
    on_fit: Callable[[Trial], None],
) -> tuple[TrialResult, ...]:
    """Fit every trial once per fold on the other folds, and score the fold left out.

    Args:
        trials: What to fit.
        frame: Feature frame, n rows.
        outcome: Shape (n,).
        fold: Fold of each row, shape (n,).
        metric: What to measure in each fold; a threshold metric uses the Bayes threshold.
        cost: Costs of wrong decisions.
        jobs: Processes, ≥ 1.
        on_fit: Called from the calling thread after each fit.

    Returns:
        One result per trial, in their order.

    Raises:
        TrainingError: A helper process died.
    """
    folds = int(fold.max()) + 1
    tasks = [(trial, left_out) for trial in trials for left_out in range(folds)]
    fitter = _Fitter(
        frame=frame,
        outcome=outcome,
        fold=fold,
        candidates=tuple(dict.fromkeys(trial.candidate for trial in trials)),
        metric=metric,
        cost=cost,
    )
    with limited_threads():
        fits = compute_all(fitter, tasks, jobs=jobs, on_done=lambda index: on_fit(tasks[index][0]))
    return tuple(
        _trial_result(trial, fits[index * folds : (index + 1) * folds], fold)
        for index, trial in enumerate(trials)
    )


def describe(error: BaseException) -> str:
    """An estimator's error in one line, its kind first."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:_LONGEST_REASON]}"


@dataclass(kw_only=True)
class _Fitter:
    """Fits a trial in a fold; picklable, so that a helper process gets the table once."""

    frame: pd.DataFrame
    outcome: Booleans
    fold: NDArray[np.int8]
    candidates: tuple[CandidateName, ...]
    metric: str
    cost: CostMatrix
    encoded: dict[tuple[Encoding, int], _Encoded] = field(default_factory=dict)

    @contextmanager
    def session(self) -> Iterator[Callable[[tuple[Trial, int]], _Fit]]:
        """Load the candidates' libraries and hold each to one thread."""
        load_libraries(self.candidates)
        with limited_threads():
            yield self._compute

    def _compute(self, task: tuple[Trial, int]) -> _Fit:
        trial, left_out = task
        started = time.perf_counter()
        try:
            score, note = self._fit(trial, left_out)
        except FIT_ERRORS as error:
            return _Fit(failure=describe(error), seconds=time.perf_counter() - started)
        cells = ScoreCells.of(self.outcome[self.fold == left_out], score)
        measured = measure(cells, threshold=self.cost.bayes_threshold, cost=self.cost)
        return _Fit(
            score=float(measured[self.metric]),
            out_of_fold=score,
            note=note,
            seconds=time.perf_counter() - started,
        )

    def _fit(self, trial: Trial, left_out: int) -> tuple[Floats, str | None]:
        train, test = self._encode(encoding_of(trial.candidate), left_out)
        numeric, categorical = column_kinds(self.frame)
        model: Any = build_model(
            trial.candidate,
            trial.parameters,
            numeric=len(numeric),
            categorical=len(categorical),
            rows=len(train),
            seed=trial.seed,
        )
        model.fit(train, self.outcome[self.fold != left_out].astype(np.int64))
        score = model.predict_proba(test)[:, 1].astype(np.float64)
        if not np.isfinite(score).all():
            msg = "its scores are not finite"
            raise ArithmeticError(msg)
        return score, convergence_note(model)

    def _encode(self, encoding: Encoding, left_out: int) -> _Encoded:
        key = (encoding, left_out)
        if key not in self.encoded:
            numeric, categorical = column_kinds(self.frame)
            columns = build_columns(encoding, numeric=numeric, categorical=categorical)
            test = self.fold == left_out
            train = columns.fit_transform(self.frame[~test])
            self.encoded[key] = (train, columns.transform(self.frame[test]))
        return self.encoded[key]


def _trial_result(trial: Trial, fits: Sequence[_Fit], fold: NDArray[np.int8]) -> TrialResult:
    failure = next((fit.failure for fit in fits if fit.failure is not None), None)
    out_of_fold = np.full(len(fold), np.nan)
    if failure is None:
        for left_out, fit in enumerate(fits):
            out_of_fold[fold == left_out] = fit.out_of_fold
    return TrialResult(
        trial=trial,
        failure=failure,
        scores=() if failure is not None else tuple(fit.score for fit in fits),
        out_of_fold=out_of_fold,
        seconds=sum(fit.seconds for fit in fits),
        notes=tuple(dict.fromkeys(fit.note for fit in fits if fit.note is not None)),
    )
