"""How far the labels of a window speak for all its predictions.

Labels that came first are seldom a random part: a default is known sooner than its absence. Three
facts are stated, none of which corrects anything: the share with labels; how the labelled rows'
scores differ from the others' (two-sample Kolmogorov-Smirnov); and where the accuracy over all
predictions must lie whatever the missing labels say (Manski 1989, "Anatomy of the selection
problem").
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
from scipy.stats import ks_2samp

from interlock.ml.evaluation import Interval

NOTABLE_DISTANCE = 0.1
"""Distance of the two distributions of scores from which the difference is told; below it, a
tenth of the rows at most would have to move for them to agree."""


@dataclass(frozen=True)
class LabelCoverage:
    """The labels of one window.

    Attributes:
        predictions: Rows.
        labelled: Rows with a usable label.
        labelled_score: Mean score of these; none without any.
        waiting_score: Mean score of the others; none without any.
        distance: Kolmogorov-Smirnov distance of the two groups' scores, in [0, 1]; none when one
            of them is empty.
        p_value: Of that distance, for equal distributions (asymptotic).
        accuracy_bounds: Least and greatest accuracy over all predictions; none without any.
    """

    predictions: int
    labelled: int
    labelled_score: float | None
    waiting_score: float | None
    distance: float | None
    p_value: float | None
    accuracy_bounds: Interval | None

    @property
    def share(self) -> float:
        """Labelled rows of all; 0 without rows."""
        return self.labelled / self.predictions if self.predictions else 0.0

    def statement(self, *, level: float) -> str:
        """All of it for a reader, one sentence.

        Args:
            level: Confidence level at which the scores are said to differ.
        """
        if self.labelled == self.predictions:
            return f"all {self.predictions:,} predictions have a label"
        if self.accuracy_bounds is None or self.distance is None or self.p_value is None:
            return f"none of {self.predictions:,} predictions has a label"
        text = (
            f"labels for {self.labelled:,} of {self.predictions:,} predictions "
            f"({self.share:.1%}); metrics speak for these rows alone, and the accuracy over all "
            f"lies between {self.accuracy_bounds.low:.1%} and {self.accuracy_bounds.high:.1%} "
            "whatever the missing labels say"
        )
        if self.p_value < 1.0 - level and self.distance >= NOTABLE_DISTANCE:
            return (
                f"{text}; labelled rows score differently from the others (mean "
                f"{self.labelled_score:.3f} and {self.waiting_score:.3f}, distance "
                f"{self.distance:.2f}), so they are no random part"
            )
        return f"{text}; their scores show no notable difference (distance {self.distance:.2f})"


def label_coverage(part: pl.DataFrame) -> LabelCoverage:
    """Measure how far labels speak for all predictions.

    Args:
        part: ``score``, ``predicted`` and ``outcome``, null where there is no usable label.

    Returns:
        The figures, which have a statement.
    """
    known = part["outcome"].is_not_null()
    with_label, without = part.filter(known), part.filter(~known)
    scores = with_label["score"].to_numpy(), without["score"].to_numpy()
    distance = p_value = None
    if len(scores[0]) and len(scores[1]):
        compared = ks_2samp(*scores, method="asymp")
        distance, p_value = float(compared.statistic), float(compared.pvalue)
    means = [float(each.mean()) if len(each) else None for each in scores]
    return LabelCoverage(
        predictions=part.height,
        labelled=with_label.height,
        labelled_score=means[0],
        waiting_score=means[1],
        distance=distance,
        p_value=p_value,
        accuracy_bounds=_bounds(with_label, part.height),
    )


def _bounds(labelled: pl.DataFrame, rows: int) -> Interval | None:
    if not rows:
        return None
    right = int((labelled["outcome"] == labelled["predicted"]).sum())
    return Interval(low=right / rows, high=(right + rows - labelled.height) / rows)
