"""The way to MLflow: one client, and one place where its errors become Interlock's own.

Shared by ``tracking`` (runs) and ``model_registry`` (versions), used by nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from interlock.errors import ConfigurationError, RegistryError, RegistryUnavailable
from interlock.governance.principal import Environment

_SQLITE = "sqlite:///"
MARK_EXPERIMENT = "interlock"
MARK_TAG = "interlock.environment"
_HTTP_RETRIES = "2"  # of MLflow's client; its default of 7 waits for more than two minutes
_HTTP_TIMEOUT = "20"  # seconds
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")  # an address in an error may carry them
_UNAVAILABLE = (
    "failed with exception",
    "Connection refused",
    "unable to open database",
    "OperationalError",
    "too many 5",
)


class MlflowConnection:
    """MLflow at one address.

    Args:
        tracking_uri: A server's address, or ``sqlite:///`` in embedded mode.
        artifact_root: Where artifacts go when MLflow is a database in this process, e.g.
            ``s3://bucket/mlflow``; None when a server knows that itself.
        environment: The environment of this process. A registry that was created for another
            one is never opened; an empty one is marked for this one.
    """

    def __init__(
        self, *, tracking_uri: str, artifact_root: str | None, environment: Environment
    ) -> None:
        self.tracking_uri = tracking_uri
        self.environment = environment
        self.artifact_root = artifact_root
        self._opened: Any = None

    @property
    def client(self) -> Any:
        """MLflow's client; importing it takes seconds, so it is made when first needed."""
        if self._opened is None:
            import mlflow
            from mlflow.environment_variables import (
                MLFLOW_HTTP_REQUEST_MAX_RETRIES,
                MLFLOW_HTTP_REQUEST_TIMEOUT,
            )

            MLFLOW_HTTP_REQUEST_MAX_RETRIES.set(_HTTP_RETRIES)
            MLFLOW_HTTP_REQUEST_TIMEOUT.set(_HTTP_TIMEOUT)
            logging.getLogger("alembic").setLevel(logging.WARNING)
            with translated("open"), quiet("mlflow.store.db.utils"):
                _create_whole(self.tracking_uri)
                mlflow.set_tracking_uri(self.tracking_uri)
                mlflow.set_registry_uri(self.tracking_uri)
                client = mlflow.MlflowClient(self.tracking_uri, self.tracking_uri)
                self._require_mark(client)
            self._opened = client
        return self._opened

    def _require_mark(self, client: Any) -> None:
        """Refuse a registry of another environment; mark one that is still empty."""
        marked = client.get_experiment_by_name(MARK_EXPERIMENT)
        mark = marked.tags.get(MARK_TAG) if marked is not None else None
        if mark == self.environment.value:
            return
        if mark is not None:
            raise ConfigurationError(
                f"this MLflow was created for {mark}, this process runs in {self.environment}",
                remedy="set MLFLOW_TRACKING_URI to the MLflow of this environment",
            )
        names = [each.name for each in client.search_experiments(max_results=2)]
        if [name for name in names if name != "Default"] or client.search_registered_models():
            raise ConfigurationError(
                f"this MLflow holds experiments and carries no environment mark, expected one "
                f"for {self.environment}",
                remedy="use an MLflow that Interlock created, or an empty one, which it marks",
            )
        client.create_experiment(
            MARK_EXPERIMENT,
            artifact_location=self.artifact_root,
            tags={MARK_TAG: self.environment.value},
        )


def _create_whole(tracking_uri: str) -> None:
    """Make a new SQLite database appear complete or not at all.

    MLflow creates its tables one by one, and does not go on with a database in which a killed
    process left only some of them.
    """
    path = Path(tracking_uri.removeprefix(_SQLITE))
    if not tracking_uri.startswith(_SQLITE) or path.exists():
        return
    import mlflow

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        draft = Path(folder) / path.name
        mlflow.MlflowClient(f"{_SQLITE}{draft}", f"{_SQLITE}{draft}").search_experiments()
        with contextlib.suppress(FileExistsError):  # another process was first
            path.hardlink_to(draft)


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn the errors of MLflow and of what it stands on into Interlock's own."""
    from botocore.exceptions import BotoCoreError, ClientError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, BotoCoreError, ClientError, OSError) as error:
        text = _first_line(error)
        if isinstance(error, OSError) and error.errno in _FULL:
            raise RegistryUnavailable(
                f"MLflow could not {what}: {text}",
                remedy="make room on that disk and materialize again",
            ) from error
        gone = not isinstance(error, MlflowException) or any(
            sign in str(error) for sign in _UNAVAILABLE
        )
        if gone:
            raise RegistryUnavailable(
                f"MLflow could not {what}: {text}",
                remedy="start MLflow and its artifact store (`interlock doctor` says which is "
                "away) and materialize again",
            ) from error
        raise RegistryError(
            f"MLflow refused to {what}: {text}", remedy="check the name and MLflow's own log"
        ) from error


def _first_line(error: Exception) -> str:
    """What an error says first, without SQLAlchemy's remarks about its own session.

    Errors are recorded and shown, so the credentials of an address in them are left out.
    """
    lines = (line.strip() for line in str(error).splitlines())
    said = (line for line in lines if line and not line.startswith("(raised as a result of"))
    return _CREDENTIALS.sub("***@", next(said, type(error).__name__))


@contextlib.contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """Keep MLflow's advice about formats we chose on purpose out of the logs."""
    before = {name: logging.getLogger(name).level for name in loggers}
    for name in loggers:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@contextlib.contextmanager
def no_progress_bar() -> Iterator[None]:
    """Keep MLflow's download bars off standard error."""
    from mlflow.environment_variables import MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR

    before = MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.get_raw()
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(False)
    try:
        yield
    finally:
        if before is None:
            MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.unset()
        else:
            MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(before)
