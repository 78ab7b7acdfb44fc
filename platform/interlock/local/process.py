"""One child process of the embedded mode: started under its keeper, watched, and stopped.

Here: what is the same for every service. Which services there are, their flags and their
readiness: ``seaweed.py`` and ``services.py``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from interlock.errors import ProcessFailed

KEEPER = Path(__file__).with_name("keeper.py")
TAIL_BYTES = 4_096  # of a log, shown when its process fails
STOP_SECONDS = 6.0  # more than the keeper's own grace, so that this one is the last resort
POLL_SECONDS = 0.02  # between two looks at whether a child is ready


def log_tail(path: Path, *, lines: int = 12) -> str:
    """The last lines of a log.

    Args:
        path: The log.
        lines: How many at most.

    Returns:
        The lines, indented by two spaces; a note when there are none.
    """
    try:
        data = path.read_bytes()[-TAIL_BYTES:]
    except FileNotFoundError:
        data = b""
    found = [line for line in data.decode(errors="replace").splitlines() if line.strip()]
    return "\n".join(f"  {line}" for line in found[-lines:]) or "  (nothing logged)"


class ChildProcess:
    """A service in a process group of its own, which dies with the process that started it.

    Args:
        service: What a person calls it, e.g. ``S3``.
        command: Program and arguments.
        environment: The whole environment of the child.
        log: File that its output is appended to.
        directory: Its working directory.
    """

    def __init__(
        self,
        service: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        directory: Path,
    ) -> None:
        self.service = service
        self.command = tuple(command)
        self.environment = dict(environment)
        self.log = log
        self.directory = directory
        self.pid: int | None = None
        self._keeper: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"ChildProcess({self.service!r}, pid={self.pid})"

    @property
    def running(self) -> bool:
        """Whether the child is alive."""
        return self._keeper is not None and self._keeper.poll() is None

    @property
    def keeper_pid(self) -> int | None:
        """Process id of the keeper, while there is one."""
        return self._keeper.pid if self._keeper is not None else None

    def start(self) -> None:
        """Starts the child; returns once it has a process id, before it is ready.

        Raises:
            ProcessFailed: It runs already, or its program cannot be started.
        """
        if self.running:
            raise ProcessFailed(f"{self.service} is running already", remedy="stop it first")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._keeper = subprocess.Popen(  # noqa: S603 - Interlock's own command
                [sys.executable, "-I", "-S", str(KEEPER), str(os.getpid()), *self.command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self.environment,
                cwd=self.directory,
                start_new_session=True,
            )
        assert self._keeper.stdout is not None  # noqa: S101 - PIPE above
        line = self._keeper.stdout.readline()
        if not line:
            self._collect(STOP_SECONDS)
            raise self.failure("did not start")
        self.pid = int(line)

    def wait_until(self, is_ready: Callable[[], bool], *, seconds: float) -> None:
        """Waits until the child is ready.

        Args:
            is_ready: Asked again and again; must return quickly.
            seconds: How long to wait at most.

        Raises:
            ProcessFailed: It ended, or is not ready in time; it is stopped then.
        """
        deadline = time.monotonic() + seconds
        while not is_ready():
            if not self.running:
                raise self.failure("ended before it was ready")
            if time.monotonic() > deadline:
                self.stop()
                raise self.failure(f"was not ready within {seconds:.0f} s")
            time.sleep(POLL_SECONDS)

    def ask_to_stop(self) -> None:
        """Sends SIGTERM and does not wait, so that several can stop at the same time."""
        self._signal(signal.SIGTERM)

    def stop(self) -> None:
        """Ends the child and its group: SIGTERM, after four seconds SIGKILL."""
        self.ask_to_stop()
        self._collect(STOP_SECONDS)

    def kill(self) -> None:
        """Ends the child and its group at once, as a crash would."""
        self._signal(signal.SIGUSR1)
        self._collect(STOP_SECONDS)

    def failure(self, what: str) -> ProcessFailed:
        """The error about this child, with the end of its log.

        Args:
            what: What happened, after the service's name.

        Returns:
            The error, to be raised.
        """
        status = self._keeper.poll() if self._keeper is not None else None
        ended = f" with exit status {status}" if status is not None else ""
        return ProcessFailed(
            f"{self.service} {what}{ended}; the end of {self.log}:\n{log_tail(self.log)}\n",
            remedy="read the log above; `interlock doctor` finds the usual causes",
        )

    def _signal(self, number: int) -> None:
        if self.running:
            assert self._keeper is not None  # noqa: S101 - running
            self._keeper.send_signal(number)

    def _collect(self, seconds: float) -> None:
        if self._keeper is None:
            return
        try:
            self._keeper.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            # The keeper itself hangs (stopped by a debugger, say): end both by force.
            for group in filter(None, (self.pid, self._keeper.pid)):
                _kill_group(group)
            self._keeper.wait()
        finally:
            for pipe in (self._keeper.stdin, self._keeper.stdout):
                if pipe is not None:
                    pipe.close()
        self.pid = None


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # gone already; macOS answers PermissionError for zombies
