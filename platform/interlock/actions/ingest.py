"""Ingest a source: an immutable snapshot of its bytes, and the same rows as Parquet.

Reading is in ``adapters.sources`` and ``adapters.tables``; where snapshots live in
``snapshots``.
"""

from __future__ import annotations

from dataclasses import dataclass

from interlock.actions.authority import RunContext
from interlock.actions.snapshots import source_key, store_once, table_key
from interlock.actions.workspace import Workspace
from interlock.adapters.sources import spool
from interlock.adapters.tables import TableInfo, to_table
from interlock.errors import SourceError
from interlock.governance.policy import Action, Resource
from interlock.ml.source import S3_SCHEME, PostgresSource, Source
from interlock.product import ModelProduct


@dataclass(frozen=True)
class RawSnapshot:
    """A source as it was.

    Attributes:
        data_hash: SHA-256 of the source's bytes, hexadecimal.
        bytes: How many there are.
        table: The rows, read as declared.
        source_key: Where the bytes are, in the data bucket.
        table_key: Where the rows are, in the data bucket.
        new: Whether this content was seen for the first time.
        event_key: The audit event of the ingestion.
    """

    data_hash: str
    bytes: int
    table: TableInfo
    source_key: str
    table_key: str
    new: bool
    event_key: str


def ingest(workspace: Workspace, product: ModelProduct, run: RunContext) -> RawSnapshot:
    """Take the snapshot.

    Args:
        workspace: The outside world.
        product: Whose source it is.
        run: Where this happens.

    Returns:
        The snapshot.

    Raises:
        AccessDenied: The principal may not ingest here.
        DataError: The source cannot be read as declared, or changed meanwhile.
        StoreUnavailable: The object store does not answer.
    """
    resource = Resource("product", product.name)
    with workspace.authority.govern(Action.DATA_INGEST, resource, run) as governed:
        with (
            workspace.lease(product.name, run.stream.name),
            workspace.scratch_folder() as scratch,
        ):
            run.report("reading the source")
            require_permitted(workspace, product.source)
            spooled = spool(
                product.source,
                directory=scratch,
                root=workspace.root,
                store=workspace.store,
                secret=workspace.secret,
                progress=lambda done: run.progress(f"read {done / 1e6:,.1f} MB"),
            )
            governed.evidence |= {"data_hash": spooled.sha256, "bytes": spooled.bytes}
            table = to_table(
                spooled,
                product.source,
                scratch / "table.parquet",
                progress=lambda rows: run.progress(f"{rows:,} rows"),
            )
            run.report("storing the snapshot")
            keys = (
                source_key(product.name, spooled.sha256),
                table_key(product.name, spooled.sha256, table.sha256),
            )
            new = store_once(workspace, key=keys[0], path=spooled.path, sha256=spooled.sha256)
            store_once(workspace, key=keys[1], path=table.path, sha256=table.sha256)
        governed.evidence |= {
            "source_key": keys[0],
            "table_key": keys[1],
            "table_hash": table.sha256,
            "rows": table.rows,
            "columns": len(table.columns),
            "new": new,
            "product_digest": product.digest,
        }
    return RawSnapshot(
        data_hash=spooled.sha256,
        bytes=spooled.bytes,
        table=table,
        source_key=keys[0],
        table_key=keys[1],
        new=new,
        event_key=governed.event_key,
    )


def require_permitted(workspace: Workspace, source: Source) -> None:
    """Refuse a source that is none of a product's business.

    A snapshot is shown to everybody who may look at the product, so a YAML must not make one of
    the platform's own secrets, of a system's files, or of the audit trail.

    Raises:
        SourceError: The path or bucket is not for products.
    """
    if isinstance(source, PostgresSource):
        return
    path = source.path
    if path.startswith(S3_SCHEME):
        bucket = path.removeprefix(S3_SCHEME).partition("/")[0]
        private = bucket in workspace.private_buckets
    else:
        real = (workspace.root / path).resolve()
        private = any(real.is_relative_to(each.resolve()) for each in workspace.private_paths)
    if private:
        raise SourceError(
            f"{path} is the platform's own and no source of a product",
            remedy="copy the data to the data bucket or to a folder of its own",
        )
