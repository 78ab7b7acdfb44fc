"""The errors of MLflow and of what it stands on, in Interlock's own words."""

from __future__ import annotations

import errno
import logging

import pytest
from botocore.exceptions import EndpointConnectionError
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import OperationalError

from interlock.adapters.mlflow_connection import no_progress_bar, quiet, translated
from interlock.errors import InterlockError, RegistryError, RegistryUnavailable, SourceError


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_full_disk_is_told_as_such(number: int) -> None:
    with (
        pytest.raises(RegistryUnavailable, match="MLflow could not store it") as refusal,
        translated("store it"),
    ):
        raise OSError(number, "no room")
    assert refusal.value.remedy == "make room on that disk and materialize again"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ECONNREFUSED, "Connection refused"),
        OperationalError("select", {}, Exception("unable to open database file")),
        EndpointConnectionError(endpoint_url="http://127.0.0.1:1"),
        MlflowException("API request to http://x failed with exception Connection refused"),
        MlflowException("too many 503 error responses"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_does_not_answer_is_unavailable(error: Exception) -> None:
    with pytest.raises(RegistryUnavailable) as refusal, translated("ask"):
        raise error
    assert "MLflow could not ask" in refusal.value.message
    assert refusal.value.__cause__ is error


def test_what_answers_no_is_a_refusal() -> None:
    with (
        pytest.raises(RegistryError, match="MLflow refused to ask: no such model") as refusal,
        translated("ask"),
    ):
        raise MlflowException("no such model")
    assert not isinstance(refusal.value, RegistryUnavailable)


def test_error_without_words_is_named_by_its_type() -> None:
    with (
        pytest.raises(InterlockError, match="MLflow refused to ask: MlflowException"),
        translated("ask"),
    ):
        raise MlflowException("")


def test_errors_of_our_own_pass_unchanged() -> None:
    ours = SourceError("not there", remedy="look elsewhere")
    with pytest.raises(SourceError) as refusal, translated("ask"):
        raise ours
    assert refusal.value is ours


def test_quiet_gives_the_loggers_their_levels_back() -> None:
    logger = logging.getLogger("interlock.tests.quiet")
    logger.setLevel(logging.INFO)
    with quiet(logger.name):
        assert logger.level == logging.ERROR
    assert logger.level == logging.INFO
    with pytest.raises(ValueError, match="x"), quiet(logger.name):
        raise ValueError("x")
    assert logger.level == logging.INFO


@pytest.mark.parametrize("before", [None, "true"])
def test_progress_bars_are_off_for_a_while(
    before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.environment_variables import MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR as BARS

    monkeypatch.delenv(BARS.name, raising=False)
    if before is not None:
        monkeypatch.setenv(BARS.name, before)
    with no_progress_bar():
        assert BARS.get() is False
    assert BARS.get_raw() == before
