"""What the web server knows while Dagster comes up, for whoever started it and signs in nowhere.

One small file, written until all daemons are healthy; ``interlock up`` waits for it.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any, Final

from interlock.webserver.context import GovernedProcessContext
from interlock.webserver.dagster_names import all_daemons_healthy

LOOK_SECONDS: Final = 0.5  # between two looks at the heartbeats


class StatusFile:
    """Tells how far Dagster has come.

    Args:
        context: The web server's.
        path: The file.
    """

    def __init__(self, context: GovernedProcessContext, path: Path) -> None:
        self._context = context
        self._path = path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="status", daemon=True)

    def __enter__(self) -> StatusFile:
        self._thread.start()
        return self

    def __exit__(self, *_reason: object) -> None:
        self._stop.set()
        self._thread.join()

    def status(self) -> dict[str, Any]:
        """Daemons, and what keeps code locations from loading."""
        entries = self._context.get_current_workspace().code_location_entries.values()
        errors = [each.load_error for each in entries if each.load_error is not None]
        return {
            "daemons_are_healthy": all_daemons_healthy(self._context.instance),
            "location_errors": [each.message.strip() for each in errors],
        }

    def _run(self) -> None:
        healthy = False
        while not healthy:
            found = self.status()
            draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
            draft.write_text(json.dumps(found))
            draft.replace(self._path)
            healthy = found["daemons_are_healthy"]
            if self._stop.wait(LOOK_SECONDS):
                return
