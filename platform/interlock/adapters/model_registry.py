"""MLflow's registry: versions of models, their files, tags and aliases.

It decides nothing: what a tag or alias means is decided in ``actions``. Runs are opened in
``tracking``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from interlock.adapters.mlflow_connection import MlflowConnection, no_progress_bar, translated
from interlock.errors import RegistryError, RegistryUnavailable

_LARGEST_PAGE = 1_000  # versions that one request brings
_NAMED = 20  # versions that an error names, the newest


@dataclass(frozen=True)
class ModelVersion:
    """A registered version with what MLflow knows of it.

    Attributes:
        name: Registered model.
        version: Counted from 1 by MLflow.
        source: ``models:/m-...``, where its files are.
        run_id: The MLflow run that trained it.
        tags: All tags of the version.
        aliases: Aliases that point at it.
    """

    name: str
    version: str
    source: str
    run_id: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class LoggedRun:
    """What MLflow says of a run; anybody who may use MLflow can have written it.

    Attributes:
        params: Parameters by name, as texts.
        metrics: The last value of each metric, by name.
    """

    params: Mapping[str, str]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class VersionPage:
    """Some versions of a model, and where the next page begins; None after the last."""

    versions: tuple[ModelVersion, ...]
    after: str | None


def digest_of(directory: Path) -> str:
    """Digest of a model's files: integrity of what is stored.

    Args:
        directory: The downloaded model.

    Returns:
        SHA-256, hexadecimal, over each file's relative POSIX path and SHA-256, in the order
        of the paths.
    """
    total = hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        name = path.relative_to(directory).as_posix()
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{content}  {name}\n".encode())
    return total.hexdigest()


class ModelRegistry:
    """The registered models of one MLflow."""

    def __init__(self, connection: MlflowConnection) -> None:
        self._connection = connection

    def download(self, uri: str, directory: Path) -> Path:
        """Fetch a model's files.

        Args:
            uri: ``models:/m-...``.
            directory: An empty folder to put them into.

        Returns:
            The folder with the files.
        """
        import mlflow.artifacts

        with translated(f"read the files of {uri}"), no_progress_bar():
            return Path(
                mlflow.artifacts.download_artifacts(
                    artifact_uri=uri,
                    dst_path=str(directory),
                    # MLflow looks a model up where the opened client is, whatever stands here.
                    tracking_uri=self._connection.client.tracking_uri,
                )
            )

    def loads_its_source(self, version: ModelVersion) -> bool:
        """Whether loading a version by its name reads the very files at its source.

        MLflow keeps the place of a version's files twice: with the version, for those who load
        ``models:/<name>/<version>`` or an alias, and with the logged model that is its source.
        """
        with translated(f"find the files of {version.name} version {version.version}"):
            client = self._connection.client
            named = client.get_model_version_download_uri(version.name, version.version)
            source = client.get_logged_model(version.source.removeprefix("models:/"))
            return str(named) == str(source.artifact_location)

    def register(
        self, *, model: str, source: str, run_id: str, tags: Mapping[str, str]
    ) -> ModelVersion:
        """Create a version with its tags.

        Args:
            model: Registered model, created when it is new.
            source: ``models:/m-...``.
            run_id: The MLflow run that trained it.
            tags: Tags of the version, set in the same call.

        Returns:
            The version.
        """
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode

        with translated(f"register {model}"):
            try:
                self._connection.client.create_registered_model(model)
            except MlflowException as error:
                if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
                    raise
            created = self._connection.client.create_model_version(
                model,
                source,
                run_id=run_id,
                tags=dict(tags),
                model_id=source.removeprefix("models:/"),
            )
        return self.version(model, str(created.version))

    def version(self, model: str, version: str) -> ModelVersion:
        """One version with its tags and aliases.

        Raises:
            RegistryError: There is none; names those that there are.
        """
        try:
            with translated(f"find {model} version {version}"):
                return _version(self._connection.client.get_model_version(model, version))
        except RegistryUnavailable:
            raise
        except RegistryError as error:
            newest = self.page(model, size=_NAMED).versions
            known = ", ".join(each.version for each in newest) or "none"
            remedy = f"choose a version that there is; the newest of {model}: {known}"
            raise RegistryError(error.message, remedy=remedy) from error

    def version_at(self, model: str, alias: str) -> ModelVersion | None:
        """The version an alias points at, or None when there is no such alias or model."""
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import (
            INVALID_PARAMETER_VALUE,
            RESOURCE_DOES_NOT_EXIST,
            ErrorCode,
        )

        absent = {ErrorCode.Name(INVALID_PARAMETER_VALUE), ErrorCode.Name(RESOURCE_DOES_NOT_EXIST)}
        with translated(f"find {model}@{alias}"):
            try:
                found = self._connection.client.get_model_version_by_alias(model, alias)
            except MlflowException as error:
                if error.error_code in absent:
                    return None
                raise
        return self.version(model, str(found.version))

    def models(self) -> Sequence[str]:
        """The names of all registered models."""
        with translated("list the registered models"):
            names: list[str] = []
            token: str | None = None
            while True:
                page = self._connection.client.search_registered_models(page_token=token)
                names += [each.name for each in page]
                token = page.token
                if not token:
                    return names

    def versions(self, model: str) -> Sequence[ModelVersion]:
        """All versions of a model, the newest first."""
        found: list[ModelVersion] = []
        page = self.page(model, size=_LARGEST_PAGE)
        found += page.versions
        while page.after is not None:
            page = self.page(model, size=_LARGEST_PAGE, after=page.after)
            found += page.versions
        return found

    def page(self, model: str, *, size: int, after: str | None = None) -> VersionPage:
        """Some versions of a model, the newest first, in as many requests as for one.

        Args:
            model: Registered model; of an unknown one there are no versions.
            size: How many at most.
            after: Where the page before ended, as it says.
        """
        quote = '"' if "'" in model else "'"
        with translated(f"list {model}"):
            found = self._connection.client.search_model_versions(
                f"name = {quote}{model}{quote}",
                max_results=size,
                order_by=["version_number DESC"],
                page_token=after,
            )
        # What a search gives lacks the aliases, which belong to the model.
        aliases = self.aliases(model) if found else {}
        # Bytes from a database, a text from a server.
        after = found.token.decode() if isinstance(found.token, bytes) else found.token
        return VersionPage(tuple(_version(each, aliases) for each in found), after or None)

    def aliases(self, model: str) -> Mapping[str, str]:
        """The aliases of a model and the version each points at.

        Raises:
            RegistryError: There is no such model.
        """
        with translated(f"find {model}"):
            found = self._connection.client.get_registered_model(model).aliases
        return {str(alias): str(version) for alias, version in found.items()}

    def run_files(self, run_id: str, folder: str) -> Sequence[str]:
        """Paths of the files in a folder of a run's artifacts, by name; none of an unknown one."""
        with translated(f"list the files of run {run_id}"):
            found = self._connection.client.list_artifacts(run_id, folder)
        return sorted(str(each.path) for each in found if not each.is_dir)

    def run_file_size(self, run_id: str, path: str) -> int | None:
        """Bytes of a file of a run's artifacts, as MLflow lists it; None where there is none."""
        with translated(f"list the files of run {run_id}"):
            found = self._connection.client.list_artifacts(run_id, str(PurePosixPath(path).parent))
        return next((int(each.file_size or 0) for each in found if each.path == path), None)

    def run_file(self, run_id: str, path: str, directory: Path) -> Path:
        """Fetch a file of a run's artifacts.

        Args:
            run_id: The MLflow run.
            path: As ``run_files`` names it.
            directory: An empty folder to put it into.

        Returns:
            The file.
        """
        with translated(f"read {path} of run {run_id}"), no_progress_bar():
            return Path(self._connection.client.download_artifacts(run_id, path, str(directory)))

    def set_tags(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        """Set tags of a version, the others stay."""
        with translated(f"tag {version.name} version {version.version}"):
            for key, value in tags.items():
                self._connection.client.set_model_version_tag(
                    version.name, version.version, key, value
                )

    def logged_run(self, version: ModelVersion) -> LoggedRun:
        """The run that trained a version."""
        with translated(f"read run {version.run_id} of {version.name} version {version.version}"):
            found = self._connection.client.get_run(version.run_id).data
        return LoggedRun(params=dict(found.params), metrics=dict(found.metrics))

    def describe(self, version: ModelVersion, text: str) -> None:
        """Set what MLflow's page says of a version, Markdown; for people alone."""
        with translated(f"describe {version.name} version {version.version}"):
            self._connection.client.update_model_version(version.name, version.version, text)

    def set_alias(self, version: ModelVersion, alias: str) -> None:
        """Point an alias at a version, wherever it pointed before."""
        with translated(f"set alias {alias} of {version.name}"):
            self._connection.client.set_registered_model_alias(version.name, alias, version.version)

    def delete_alias(self, model: str, alias: str) -> None:
        """Remove an alias."""
        with translated(f"remove alias {alias} of {model}"):
            self._connection.client.delete_registered_model_alias(model, alias)


def _version(found: Any, aliases: Mapping[str, str] | None = None) -> ModelVersion:
    version = str(found.version)
    own = found.aliases if aliases is None else [a for a, at in aliases.items() if at == version]
    return ModelVersion(
        name=found.name,
        version=version,
        source=found.source,
        run_id=found.run_id or "",
        tags=dict(found.tags),
        aliases=tuple(sorted(own)),
    )
