"""Profiles of objects in a store: one at a time on the disk, the next on its way meanwhile.

Files on this machine are ``adapters.profiling``. The disk holds two objects at most, of a plan
``PLAN_OBJECTS``; memory is that of files.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Final

from interlock.adapters.object_store import ObjectStore
from interlock.adapters.profile_planning import Wanted, plan_files
from interlock.adapters.profiling import ProfiledFiles, Progress, RefusedFile, profile_files
from interlock.adapters.table_files import TableFile
from interlock.errors import DataError, ObjectMissing, ProfileError, SourceError
from interlock.ml.profile_plan import ProfilePlan
from interlock.ml.profiles import TableProfile
from interlock.ml.source import S3_SCHEME

PLAN_OBJECTS: Final = 8  # that a plan is made from, spread evenly over all


@dataclass(frozen=True)
class StoredTables:
    """Objects of rows.

    Attributes:
        store: The object store.
        addresses: ``s3://bucket/key`` of each, at least one.
        scratch: Existing folder with room for the largest.
        like: How a CSV among them is read; its path is not used.
    """

    store: ObjectStore
    addresses: Sequence[str]
    scratch: Path
    like: TableFile = field(default_factory=lambda: TableFile(Path()))


def plan_objects(tables: StoredTables, wanted: Wanted | None = None) -> ProfilePlan:
    """Decide what is counted, from some of the objects; see ``plan_files``.

    Raises:
        ProfileError: See ``plan_files``.
        StoreError: The store fails, or an object is missing.
    """
    count = min(PLAN_OBJECTS, len(tables.addresses))
    chosen = [tables.addresses[place * len(tables.addresses) // count] for place in range(count)]
    with tempfile.TemporaryDirectory(dir=tables.scratch) as folder:
        files = [
            _download(tables, address, Path(folder) / str(place))
            for place, address in enumerate(chosen)
        ]
        return plan_files(files, wanted)


def profile_objects(
    tables: StoredTables,
    plan: ProfilePlan,
    *,
    jobs: int = 1,
    progress: Progress | None = None,
) -> ProfiledFiles:
    """Count what a plan names in all rows of some objects.

    Args:
        tables: The objects.
        plan: What to count.
        jobs: Processes, ≥ 1.
        progress: Called with the share of objects that are done, in [0, 1].

    Returns:
        The profile, and which objects it is of; missing and damaged ones are refused.

    Raises:
        ProfileError: Every object was refused.
        StoreError: The store fails.
    """
    whole: TableProfile | None = None
    good: list[tuple[str, int]] = []
    refused: list[RefusedFile] = []
    for place, (address, coming) in enumerate(_fetched(tables)):
        try:
            with coming.result() as file:
                profile = profile_files([file], plan, jobs=jobs).profile
            whole = profile if whole is None else whole.merged(profile)
            good.append((address, profile.rows))
        except (DataError, ObjectMissing) as error:
            refused.append(RefusedFile(address, str(error)))
        if progress is not None:
            progress((place + 1) / len(tables.addresses))
    if whole is None:
        raise ProfileError(
            "no object can be profiled: " + "; ".join(each.reason for each in refused[:5]),
            remedy="correct the objects, or name others",
        )
    return ProfiledFiles(whole, tuple(good), tuple(refused))


class _Held:
    """A downloaded object, removed when it was used."""

    def __init__(self, file: TableFile) -> None:
        self._file = file

    def __enter__(self) -> TableFile:
        return self._file

    def __exit__(self, *_: object) -> None:
        self._file.path.unlink(missing_ok=True)


def _fetched(tables: StoredTables) -> Iterator[tuple[str, Future[_Held]]]:
    """Each address with its object, of which the next is fetched while one is in use."""
    with tempfile.TemporaryDirectory(dir=tables.scratch) as folder, _one_thread() as thread:

        def fetch(place: int) -> Future[_Held]:
            address = tables.addresses[place]
            path = Path(folder) / str(place)
            return thread.submit(lambda: _Held(_download(tables, address, path)))

        coming = fetch(0)
        for place, address in enumerate(tables.addresses):
            now = coming
            now.exception()  # it has come, or failed
            if place + 1 < len(tables.addresses):
                coming = fetch(place + 1)
            yield address, now


@contextmanager
def _one_thread() -> Iterator[ThreadPoolExecutor]:
    thread = ThreadPoolExecutor(1, thread_name_prefix="fetch")
    try:
        yield thread
    finally:
        thread.shutdown(cancel_futures=True)


def _download(tables: StoredTables, address: str, path: Path) -> TableFile:
    bucket, _, key = address.removeprefix(S3_SCHEME).partition("/")
    if not address.startswith(S3_SCHEME) or not bucket or not key:
        raise SourceError(f"{address!r} names no object", remedy="write s3://bucket/key")
    target = path.with_suffix(PurePosixPath(key).suffix)
    tables.store.download(bucket, key, target)
    return replace(tables.like, path=target, name=address)
