"""Plots of the run that trained a version, as the run stored them in MLflow.

They illustrate; nobody signs them, and anybody who may use MLflow can have replaced them, which
is why only what is a PNG by its bytes is given to a browser.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import PurePosixPath
from typing import Final, TypeVar

from interlock.actions.workspace import Workspace
from interlock.errors import RegistryError

K = TypeVar("K")
V = TypeVar("V")

FOLDER: Final = "plots"
PNG: Final = b"\x89PNG\r\n\x1a\n"
LARGEST: Final = 2_097_152  # bytes of a plot
MAX_PLOTS: Final = 20  # of a version
MAX_KEPT: Final = 200  # plots, and lists of them; together some tens of megabytes


class RunFiles:
    """Finds plots and keeps them: what a run has stored, it has stored."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._plots: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def names(self, workspace: Workspace, run_id: str) -> tuple[str, ...]:
        """The names of a run's plots, without their ending; none where they cannot be had."""
        with self._lock:
            known = self._names.get(run_id)
        if known is not None:
            return known
        try:
            paths = map(PurePosixPath, workspace.registry.run_files(run_id, FOLDER))
        except RegistryError:
            return ()  # a page without pictures is still a page
        found = tuple(path.stem for path in paths if path.suffix == ".png")[:MAX_PLOTS]
        if found:  # of a run that is under way there may be more
            self._keep(self._names, run_id, found)
        return found

    def plot(self, workspace: Workspace, run_id: str, name: str) -> bytes:
        """A plot.

        Raises:
            RegistryError: There is none of that name, or it is no picture.
        """
        with self._lock:
            known = self._plots.get((run_id, name))
        if known is not None:
            return known
        if name not in self.names(workspace, run_id):
            raise RegistryError(
                f"the run {run_id} has no plot {name!r}", remedy="open the version's page again"
            )
        unfit = RegistryError(
            f"the plot {name!r} of run {run_id} is no PNG of at most {LARGEST} bytes",
            remedy="have the artifacts of this run examined",
        )
        path = f"{FOLDER}/{name}.png"
        if (workspace.registry.run_file_size(run_id, path) or 0) > LARGEST:
            raise unfit  # before any of it is fetched
        with workspace.scratch_folder() as folder:
            fetched = workspace.registry.run_file(run_id, path, folder)
            with fetched.open("rb") as file:
                found = file.read(LARGEST + 1)
        if not found.startswith(PNG) or len(found) > LARGEST:
            raise unfit
        self._keep(self._plots, (run_id, name), found)
        return found

    def _keep(self, kept: OrderedDict[K, V], key: K, value: V) -> None:
        with self._lock:
            kept[key] = value
            while len(kept) > MAX_KEPT:
                kept.popitem(last=False)
