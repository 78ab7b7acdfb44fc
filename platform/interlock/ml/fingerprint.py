"""The model fingerprint: what a fitted pipeline is, whatever bytes it is stored as.

Equal for the same data, YAML, seed, lock file and architecture; different for any other
model. (Other data that leads to the very same model keeps it: which data it was is the data
hash's to say.) It covers

- the class and the parameters of every step, those that only steer threads excepted;
- everything fitted: categories, medians, scales, coefficients, trees;
- the predictions on a fixed probe.

Pickles cannot serve: their bytes differ between thread counts and after a round trip while
predictions are bit-identical. The digest of stored bytes is another thing and lives with the
registry.

The canonical form is a stream of tagged, length-prefixed values, so that no two different
models read the same; arrays enter as type, shape and little-endian bytes, structures by
field, as the padding between fields is not defined.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from interlock.errors import TrainingError

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "interlock.model-fingerprint/v1"

_STEERING = frozenset({"n_jobs", "nthread", "verbose", "verbosity", "verbose_feature_names_out"})
"""Parameters that change how a model is computed or printed, and no bit of it."""

_FITTED_PRIVATE = frozenset({"_predictors", "_baseline_prediction", "_fill_dtype"})
"""Fitted state that scikit-learn keeps under private names: the trees and the first guess of
histogram gradient boosting, and the type that an imputer fills with."""


def model_fingerprint(pipeline: Any, probe: pd.DataFrame) -> str:
    """The fingerprint of a fitted pipeline.

    Args:
        pipeline: ``sklearn.pipeline.Pipeline`` of one of the candidates, fitted.
        probe: Feature frame to predict on; ``TrainingResult.probe``.

    Returns:
        SHA-256, 64 hexadecimal digits.

    Raises:
        TrainingError: The pipeline holds something that has no canonical form.
    """
    sha256 = hashlib.sha256()
    _feed(sha256.update, SCHEMA)
    _feed(sha256.update, pipeline)
    _feed(sha256.update, {str(name): probe[name].to_numpy() for name in probe.columns})
    _feed(sha256.update, pipeline.predict_proba(probe).astype(np.float64))
    return sha256.hexdigest()


def _feed(put: Callable[[bytes], object], value: Any) -> None:
    """Write a value's canonical form."""
    from sklearn.base import BaseEstimator

    # XGBClassifier is an estimator of scikit-learn as well; its trees are in its booster.
    if isinstance(value, BaseEstimator):
        _feed_parts(put, f"estimator {_class_of(value)}", _estimator_parts(value))
    elif isinstance(value, np.ndarray):
        _feed_array(put, value)
    elif isinstance(value, np.generic):
        _feed_array(put, np.asarray(value))
    elif isinstance(value, Mapping):
        _feed_parts(put, "mapping", sorted(value.items(), key=lambda item: str(item[0])))
    elif isinstance(value, list | tuple):
        _feed_parts(put, "list", enumerate(value))
    elif isinstance(value, slice):
        _feed_parts(put, "slice", enumerate((value.start, value.stop, value.step)))
    elif isinstance(value, bytes | bytearray):
        _feed_leaf(put, "bytes", bytes(value))
    elif isinstance(value, type):
        _feed_leaf(put, "type", value.__qualname__.encode())
    elif value is None or isinstance(value, bool | int | float | str):
        _feed_leaf(put, type(value).__name__, _scalar_text(value).encode())
    else:
        _feed_native(put, value)


def _estimator_parts(estimator: Any) -> Iterable[tuple[str, Any]]:
    """Parameters and fitted attributes of an estimator, by name."""
    parameters = estimator.get_params(deep=False)
    parts = {
        f"parameter {name}": value for name, value in parameters.items() if name not in _STEERING
    }
    if hasattr(estimator, "get_booster"):
        parts["booster"] = bytes(estimator.get_booster().save_raw("json"))
        return sorted(parts.items())
    for name, value in vars(estimator).items():
        public = name.endswith("_") and not name.startswith("_")
        if public or name in _FITTED_PRIVATE:
            parts[f"fitted {name}"] = value
    return sorted(parts.items())


def _feed_native(put: Callable[[bytes], object], value: Any) -> None:
    """Values of compiled or private types: trees, types, missing markers, steps."""
    import pandas as pd

    name = _class_of(value)
    if value is pd.NA:
        _feed_leaf(put, "missing", b"")
    elif isinstance(value, np.dtype):
        _feed_leaf(put, "dtype", value.str.encode())
    elif name == "sklearn.tree._tree.Tree":
        state = value.__getstate__()
        _feed_parts(put, "tree", [(key, state[key]) for key in ("nodes", "values")])
    elif name == "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor":
        fields = ("nodes", "raw_left_cat_bitsets")
        _feed_parts(put, "tree", [(key, getattr(value, key)) for key in fields])
    else:
        raise TrainingError(
            f"a fitted pipeline holds a {name}, which has no canonical form",
            remedy="teach `interlock.ml.fingerprint` how to write it, with a test",
        )


def _feed_array(put: Callable[[bytes], object], array: np.ndarray) -> None:
    shape = ",".join(map(str, array.shape))
    if array.dtype.names is not None:
        fields = [(name, np.ascontiguousarray(array[name])) for name in array.dtype.names]
        _feed_parts(put, f"records {shape}", fields)
    elif array.dtype.kind == "O":
        _feed_parts(put, f"objects {shape}", enumerate(array.ravel().tolist()))
    else:
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        _feed_leaf(put, f"array {little.dtype.str} {shape}", little.tobytes())


def _feed_parts(
    put: Callable[[bytes], object], kind: str, parts: Iterable[tuple[object, Any]]
) -> None:
    listed = list(parts)
    _feed_leaf(put, kind, str(len(listed)).encode())
    for name, value in listed:
        _feed_leaf(put, "name", str(name).encode())
        _feed(put, value)


def _feed_leaf(put: Callable[[bytes], object], kind: str, content: bytes) -> None:
    tag = kind.encode()
    put(len(tag).to_bytes(4, "little") + tag + len(content).to_bytes(8, "little") + content)


def _scalar_text(value: float | str | None) -> str:
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value.hex()
    return str(value)


def _class_of(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
