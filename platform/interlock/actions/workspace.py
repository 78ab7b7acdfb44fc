"""What every action works with: the authority and the outside world, in one frozen value.

Built once per process from settings (``settings.open_workspace``); tests build it from
simulators.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from interlock.actions.authority import Authority
from interlock.adapters.believed_keys import NOBODY, Signatories
from interlock.adapters.directory import Directory
from interlock.adapters.lease import Lease
from interlock.adapters.model_registry import ModelRegistry
from interlock.adapters.object_store import ObjectStore
from interlock.adapters.tracking import ExperimentTracker
from interlock.errors import DataError
from interlock.governance.dsse import Envelope
from interlock.governance.principal import Principal

SYSTEM_PATHS = tuple(map(Path, ("/proc", "/sys", "/dev", "/run", "/etc")))
"""Where Linux keeps processes' environments, devices, and secrets handed to containers."""
LEASE_TTL = timedelta(seconds=60)  # how long a killed run blocks its product at most


@dataclass(frozen=True)
class Workspace:
    """The world as actions see it.

    Attributes:
        authority: Authorises and records.
        store: The object store.
        tracker: MLflow's runs.
        registry: MLflow's versions.
        data_bucket: Where snapshots live.
        scratch: A folder for temporary files, on a disk with room for a snapshot.
        root: Where relative source paths start.
        floors: Platform-wide limits that products may tighten: metric to least value.
        jobs: Cores that training may use.
        clock: The time, aware UTC.
        secret: Looks up a secret by the name a product gives, e.g. a database's address.
        signatories: Whose believed keys made a signature. Where nobody is believed, nothing is
            approved.
        directory: People and service accounts; None where nobody can be looked up, so that
            nobody who signed in can decide either.
        private_paths: Folders that no product may read.
        private_buckets: Buckets that no product may read.
    """

    authority: Authority
    store: ObjectStore
    tracker: ExperimentTracker
    registry: ModelRegistry
    data_bucket: str
    scratch: Path
    root: Path
    floors: Mapping[str, float]
    jobs: int
    clock: Callable[[], datetime]
    secret: Callable[[str], str]
    signatories: Signatories = NOBODY
    directory: Directory | None = None
    private_paths: tuple[Path, ...] = SYSTEM_PATHS
    private_buckets: tuple[str, ...] = ()

    @contextlib.contextmanager
    def scratch_folder(self) -> Iterator[Path]:
        """A folder for the files of one action, gone at its end.

        Raises:
            DataError: The disk refuses, e.g. because it is full.
        """
        try:
            with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
                yield Path(folder)
        except OSError as error:
            raise DataError(
                f"the disk of {self.scratch} refuses: {error.strerror or error}",
                remedy="make room there, or set TMPDIR to a folder on another disk",
            ) from error

    def who_signed(self, envelope: Envelope) -> frozenset[str]:
        """The accounts whose believed keys signed an envelope; see ``Signatories``."""
        message = envelope.signed_bytes
        found = (self.signatories.of(message, each.value) for each in envelope.signatures)
        return frozenset[str]().union(*found)

    def acting_as(
        self, principal: Principal, *, standing: Mapping[str, Any] | None = None
    ) -> Workspace:
        """The same world for another principal; ``standing`` is part of every record of theirs."""
        return replace(self, authority=self.authority.acting_as(principal, standing=standing))

    def unverified(self, why: str) -> Workspace:
        """The same world for somebody who did not prove who they are."""
        return replace(self, authority=self.authority.unverified(why))

    def lease(self, product: str, holder: str) -> Lease:
        """The right to change a product's state, held by one run at a time."""
        return Lease(
            self.store,
            bucket=self.data_bucket,
            key=f"leases/{product}.json",
            holder=holder,
            ttl=LEASE_TTL,
            clock=self.clock,
        )
