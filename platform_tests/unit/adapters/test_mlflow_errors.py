"""Errors of MLflow, as they are recorded and shown."""

from __future__ import annotations

import pytest
from mlflow.exceptions import MlflowException

from interlock.adapters.mlflow_connection import translated
from interlock.errors import RegistryError, RegistryUnavailable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "API request to http://ada:s3cret@mlflow:5000/api failed with exception x",
            "API request to http://***@mlflow:5000/api failed with exception x",
        ),
        (
            "Could not parse SQLAlchemy URL from string 'postgresql://ml:s3c@ret@db:5432/mlflow'",
            "Could not parse SQLAlchemy URL from string 'postgresql://***@db:5432/mlflow'",
        ),
        ("no address here, ada@example.org", "no address here, ada@example.org"),
        ("http://mlflow:5000/users/ada@example.org", "http://mlflow:5000/users/ada@example.org"),
    ],
)
def test_credentials_of_an_address_are_left_out(text: str, shown: str) -> None:
    with pytest.raises(RegistryError) as refusal, translated("open"):
        raise MlflowException(text)
    assert shown in str(refusal.value)
    assert "s3c" not in str(refusal.value)


def test_lost_connection_is_told_from_a_refusal() -> None:
    with pytest.raises(RegistryUnavailable), translated("open"):
        raise MlflowException("API request to http://a:b@c failed with exception d")
