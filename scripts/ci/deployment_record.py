"""The record of one deployment: a JSON file, whole at every moment, and lines for the log."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

SCHEMA: Final = "interlock.deployment/v1"


class DeploymentRecord:
    """What a deployment did, step by step.

    Args:
        path: The file; replaced as a whole at each step.
        head: Environment, release and images.
        clock: The time, aware UTC.
        say: Takes one line at a time.
    """

    def __init__(
        self,
        path: Path,
        head: Mapping[str, Any],
        *,
        clock: Callable[[], datetime],
        say: Callable[[str], None],
    ) -> None:
        self._path = path
        self._clock = clock
        self._say = say
        self._steps: list[dict[str, str]] = []
        self._document = {"schema": SCHEMA, **head, "status": "begun", "former": None}

    def began(self, former: Mapping[str, Any]) -> None:
        """Notes what ran before, ahead of the first change.

        Raises:
            OSError: The file cannot be written.
        """
        self._document |= {"status": "deploying", "former": former}
        self._write()

    def step(self, name: str, text: str) -> None:
        """Notes what was done; a full disk or a closed pipe hinders no deployment or way back."""
        time = self._clock().isoformat(timespec="seconds")
        self._steps.append({"time": time, "step": name, "text": text})
        self._try_to_say(f"{time} {name}: {text}")
        try:
            self._write()
        except OSError as error:
            self._try_to_say(f"{time} record: it could not be written: {error}")

    def _try_to_say(self, line: str) -> None:
        with suppress(OSError):
            self._say(line)

    def ended(self, status: str) -> None:
        """Notes how it ended: succeeded, rolled-back or rollback-failed."""
        self._document["status"] = status
        self.step("ended", status)

    def _write(self) -> None:
        draft = self._path.with_name(f"{self._path.name}.draft")
        draft.write_text(json.dumps({**self._document, "steps": self._steps}, indent=2) + "\n")
        draft.replace(self._path)
