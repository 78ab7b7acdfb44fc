"""The model fingerprint: what a fitted pipeline is, whatever bytes it is stored as.

Equal for the same data, YAML, seed, lock file and architecture; different for any other.
It covers the class and parameters of every step, everything fitted (categories, scales,
coefficients, trees) and the predictions on a fixed probe. Pickles cannot serve: their bytes
differ between thread counts and after a round trip while predictions are bit-identical. The
digest of stored bytes is another thing and lives with the registry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def model_fingerprint(pipeline: Any, probe: pd.DataFrame) -> str:
    """The fingerprint of a fitted pipeline.

    Args:
        pipeline: ``sklearn.pipeline.Pipeline`` of one of the candidates, fitted.
        probe: Feature frame to predict on; ``TrainingResult.probe``.

    Returns:
        SHA-256, 64 hexadecimal digits.

    Raises:
        TrainingError: The pipeline holds a step that has no canonical form.
    """
    raise NotImplementedError
