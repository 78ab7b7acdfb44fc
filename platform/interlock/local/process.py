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
from interlock.local.locks import FileLock, read_held

KEEPER = Path(__file__).with_name("keeper.py")
EXCERPT_BYTES = 65_536  # of a log, read when its process fails
FIRST_LINES, LAST_LINES = 12, 6  # shown of it: a Go panic says why first, Python last
STOP_SECONDS = 6.0  # more than the keeper's own grace, so that this one is the last resort
LOCK_SECONDS = 10.0  # how long the last process on the same lock may take to end
POLL_SECONDS = 0.02  # between two looks at whether a child is ready


def log_excerpt(path: Path, *, start: int = 0) -> str:
    """The first and last lines that a process logged.

    Args:
        path: The log.
        start: Where in it the process began, bytes.

    Returns:
        The lines, indented by two spaces; a note when there are none.
    """
    try:
        with path.open("rb") as log:
            log.seek(start)
            data = log.read(EXCERPT_BYTES)
    except FileNotFoundError:
        data = b""
    lines = [f"  {line}" for line in data.decode(errors="replace").splitlines() if line.strip()]
    if len(lines) > FIRST_LINES + LAST_LINES:
        lines = [*lines[:FIRST_LINES], "  ...", *lines[-LAST_LINES:]]
    return "\n".join(lines) or "  (nothing logged)"


class ChildProcess:
    """A service in a process group of its own, which dies with the process that started it.

    Args:
        service: What a person calls it, e.g. ``S3``.
        command: Program and arguments.
        environment: The whole environment of the child.
        log: File that its output is appended to.
        directory: Its working directory.
        lock: File whose lock it holds as long as it lives, so that it never runs twice.
    """

    def __init__(
        self,
        service: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        directory: Path,
        lock: Path,
    ) -> None:
        self.service = service
        self.command = tuple(command)
        self.environment = dict(environment)
        self.log = log
        self.directory = directory
        self.lock = lock
        self.pid: int | None = None
        self._log_start = 0
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
            ProcessFailed: It runs already, here or elsewhere, or its program cannot be started.
        """
        if self.running:
            raise ProcessFailed(f"{self.service} is running already", remedy="stop it first")
        lock = self._take_lock()
        try:
            self._spawn(lock)
        finally:
            lock.release()  # the child has it now

    def _spawn(self, lock: FileLock) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._keeper = subprocess.Popen(  # noqa: S603 - Interlock's own command
                [sys.executable, "-I", "-S", str(KEEPER), str(os.getpid()), *self.command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self.environment,
                cwd=self.directory,
                pass_fds=(lock.descriptor,),
                start_new_session=True,
            )
        assert self._keeper.stdout is not None  # noqa: S101 - PIPE above
        line = self._keeper.stdout.readline()
        if not line:
            self._collect(STOP_SECONDS)
            raise self.failure("did not start")
        self.pid = int(line)
        lock.write({"service": self.service, "pid": self.pid, "keeper": self._keeper.pid})

    def _take_lock(self) -> FileLock:
        self.lock.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.lock)
        if lock.acquire(seconds=0.5):
            return lock
        end_orphan(self.lock)
        if lock.acquire(seconds=LOCK_SECONDS):
            return lock
        holder = read_held(self.lock) or {}
        raise ProcessFailed(
            f"{self.service} runs elsewhere already (process {holder.get('pid', 'unknown')} "
            f"holds {self.lock})",
            remedy="run `interlock down`, or wait until the other command has ended",
        )

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
        said = log_excerpt(self.log, start=self._log_start)
        return ProcessFailed(
            f"{self.service} {what}{ended}; {self.log} says:\n{said}\n",
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


def end_orphan(lock: Path) -> bool:
    """Ends a service whose keeper was killed, so that nobody watches it any more.

    Args:
        lock: The service's lock; held, it proves that the process id in it is the service's.

    Returns:
        Whether there was one.
    """
    holder = read_held(lock)
    if holder is None or is_alive(int(holder["keeper"])):
        return False
    _kill_group(int(holder["pid"]))
    return True


def is_alive(pid: int) -> bool:
    """Whether there is a process with that number, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # gone already; macOS answers PermissionError for zombies
