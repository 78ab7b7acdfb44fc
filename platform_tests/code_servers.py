"""Code servers that Dagster starts for a web server within the tests' own process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

from dagster._core.workspace.context import WorkspaceProcessContext

Context = TypeVar("Context", bound=WorkspaceProcessContext)


@contextlib.contextmanager
def with_its_servers(opened: AbstractContextManager[Context]) -> Iterator[Context]:
    """A process context whose code servers have ended when it is closed.

    Dagster lets them end by themselves, for want of heartbeats, and a test that runs later would
    be told of a process that its owner forgot.
    """
    with opened as context:
        yield context
    registry = context._grpc_server_registry
    registry.shutdown_all_processes()  # type: ignore[no-untyped-call]
    registry.wait_for_processes()
