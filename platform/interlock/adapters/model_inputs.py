"""Which columns a stored model reads: its signature, without loading the model.

Only the small file that describes the model is fetched, never the model itself: a pickle that
is loaded runs code. The registry is in ``model_registry.py``.
"""

from __future__ import annotations

from interlock.adapters.mlflow_connection import MlflowConnection, no_progress_bar, translated
from interlock.errors import RegistryError


def input_columns(connection: MlflowConnection, uri: str) -> tuple[str, ...]:
    """The columns that a model's signature names.

    Args:
        connection: The way to MLflow.
        uri: ``models:/m-...``, the source of a version.

    Returns:
        Their names, in order.

    Raises:
        RegistryError: The model cannot be found or says nothing of its inputs.
        RegistryUnavailable: MLflow or its artifact store does not answer.
    """
    import mlflow.models

    _ = connection.client  # opened: the address is set and the mark is right
    with translated(f"read the signature of {uri}"), no_progress_bar():
        signature = mlflow.models.get_model_info(uri).signature
    names = signature.inputs.input_names() if signature is not None and signature.inputs else []
    if not names or not all(isinstance(name, str) for name in names):
        raise RegistryError(
            f"the model {uri} names no input columns",
            remedy="register a model that was stored with its signature",
        )
    return tuple(names)
