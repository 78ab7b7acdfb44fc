"""Which data a version is held against: a snapshot, a declared source, or a file somebody names.

Fetching alone, inside a governed action. What the columns mean is decided by the reference;
rows are read by ``adapters.scored_rows``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from interlock.actions.champions import history_of
from interlock.actions.evidence import Upstream, fetch_accepted, require_text, require_validated
from interlock.actions.files import require_digest_in
from interlock.actions.ingest import require_permitted
from interlock.actions.reference import Reference
from interlock.actions.workspace import Workspace
from interlock.adapters.new_file import file_sha256
from interlock.adapters.scored_rows import load_pipeline, scored_batches
from interlock.adapters.sources import spool
from interlock.errors import DataError
from interlock.ml.monitoring import day_of, source_of
from interlock.ml.source import ParquetSource, Source
from interlock.product import ModelProduct


@dataclass(frozen=True)
class NewestSnapshot:
    """The product's validated rows.

    Attributes:
        upstream: Which, by hash and audit event; None when there is none.
    """

    upstream: Upstream | None


@dataclass(frozen=True)
class Declared:
    """The source that the product's ``monitoring`` names.

    Attributes:
        partition: The day or batch; None where it has none.
    """

    partition: str | None = None


@dataclass(frozen=True)
class GivenFile:
    """A file on this machine, which somebody named.

    Attributes:
        path: Where it is.
        source: How to read it.
        more: Further files of the same rows, in this order.
    """

    path: Path
    source: Source
    more: tuple[GivenFile, ...] = ()


Current = NewestSnapshot | Declared | GivenFile


@dataclass(frozen=True)
class Fetched:
    """The bytes, on this machine.

    Attributes:
        path: The file.
        source: How to read it.
        data_hash: SHA-256 of the bytes.
        label: What people are told it is.
        event_key: Audit event that proves it; None where nothing does.
        more: Further files of the same rows.
    """

    path: Path
    source: Source
    data_hash: str
    label: str
    event_key: str | None = None
    more: tuple[GivenFile, ...] = ()

    @property
    def evidence(self) -> dict[str, Any]:
        """What records say of it."""
        return {"data_hash": self.data_hash, "data": self.label, "upstream_event": self.event_key}


def decides_on(workspace: Workspace, product: ModelProduct, version: str, current: Current) -> bool:
    """Whether a version is the champion and data such as it decides on.

    A file that somebody names is not, nor a day before the newest move to it, a promotion or a
    rollback: another version decided then, or none. Days of an earlier time as champion are past.

    Args:
        workspace: Where the trail is.
        product: Whose data it is.
        version: Number of the version.
        current: Which data.

    Raises:
        EvidenceError: The ledger of the champion's moves does not verify.
    """
    champion = history_of(workspace, product.model).champion
    if isinstance(current, GivenFile) or champion is None or champion.version != version:
        return False
    daily = product.watched.partitions == "daily"  # a batch's name says nothing about its time
    day = day_of(current.partition) if daily and isinstance(current, Declared) else None
    return day is None or day >= champion.decides_since.astimezone(product.watched.clock).date()


def fetch(workspace: Workspace, product: ModelProduct, current: Current, scratch: Path) -> Fetched:
    """Copy the bytes here.

    Args:
        workspace: Where they are.
        product: Whose data it is.
        current: Which.
        scratch: Where to put them.

    Raises:
        EvidenceError: A snapshot is not proven.
        DataError: A source cannot be read, is not for products, or a partition is missing.
        StoreUnavailable: The object store does not answer.
    """
    if isinstance(current, NewestSnapshot):
        return _snapshot(workspace, product, current.upstream, scratch)
    if isinstance(current, GivenFile):
        return _given(current)
    declared = product.watched.current
    if declared is None:
        raise DataError(
            f"{product.name} declares no data to hold a version against",
            remedy="add monitoring.current to its defs.yaml, or check its newest snapshot",
        )
    source = source_of(declared, current.partition)
    label = current.partition or declared.kind
    return fetch_source(workspace, source, scratch, label)


def fetch_source(workspace: Workspace, source: Source, scratch: Path, label: str) -> Fetched:
    """Copy a declared source's bytes here; see ``fetch``."""
    require_permitted(workspace, source)
    found = spool(
        source,
        directory=scratch,
        root=workspace.root,
        store=workspace.store,
        secret=workspace.secret,
    )
    return Fetched(found.path, source, found.sha256, label)


def scored(
    workspace: Workspace,
    product: ModelProduct,
    reference: Reference,
    fetched: Fetched,
    *,
    scratch: Path,
    keep: tuple[str, ...] = (),
) -> Iterator[pl.DataFrame]:
    """The rows with the version's scores, in batches.

    Args:
        workspace: Where the model is.
        product: Whose version it is.
        reference: The version.
        fetched: The rows.
        scratch: For the model's files.
        keep: Columns to hand on besides the features.

    Raises:
        EvidenceError: The model's files are others than were registered.
        DataError: Columns or values are others than the reference's.
    """
    evidence: Mapping[str, Any] = reference.record.evidence
    folder = scratch / "model"
    folder.mkdir(exist_ok=True)
    files = require_digest_in(
        workspace,
        require_text(evidence, "model_uri", "registered_version"),
        require_text(evidence, "model_digest", "registered_version"),
        folder,
    )
    pipeline = load_pipeline(files)

    def read(path: Path, source: Source) -> Iterator[pl.DataFrame]:
        return scored_batches(
            path,
            source,
            plan=reference.profile.plan,
            pipeline=pipeline,
            features=[each.name for each in reference.profile.plan.columns][:-1],
            null_values=product.contract.null_values,
            decimal=product.contract.decimal,
            keep=keep,
        )

    first = GivenFile(fetched.path, fetched.source)
    if not fetched.more:
        return _one_by_one([(fetched.label, first)], read)
    return _one_by_one([(each.path.name, each) for each in (first, *fetched.more)], read)


def _one_by_one(
    files: Sequence[tuple[str, GivenFile]],
    read: Callable[[Path, Source], Iterator[pl.DataFrame]],
) -> Iterator[pl.DataFrame]:
    """The rows of files, which are all good: a verdict on record is of all data or none.

    What is wrong with one is said of it by name.
    """
    for name, each in files:
        try:
            yield from read(each.path, each.source)
        except DataError as error:
            named = f"{name}: {error.message}"
            raise type(error)(named, remedy=error.remedy) from error


def _given(current: GivenFile) -> Fetched:
    """Files that are here already; of several, the hash is that of all hashes in their order."""
    hashes = []
    for each in (current, *current.more):
        try:
            hashes.append(file_sha256(each.path))
        except OSError as error:
            raise DataError(
                f"{each.path} cannot be read ({error.strerror or error})",
                remedy="name a CSV or Parquet file",
            ) from error
    label, digest = current.path.name, hashes[0]
    if current.more:
        label = f"{label} and {len(current.more)} more"
        digest = hashlib.sha256(" ".join(hashes).encode()).hexdigest()
    return Fetched(current.path, current.source, digest, label, more=current.more)


def _snapshot(
    workspace: Workspace, product: ModelProduct, upstream: Upstream | None, scratch: Path
) -> Fetched:
    validated = require_validated(workspace, product.name, upstream)
    sha256 = require_text(validated, "data_hash", "validated_data")
    path = scratch / "current.parquet"
    fetch_accepted(workspace, validated, path)
    return Fetched(
        path,
        ParquetSource(kind="parquet", path=path.name),
        sha256,
        f"snapshot {sha256[:12]}",
        upstream.event_key if upstream else None,
    )
