"""The small process between Interlock and each of its services, so that none is orphaned.

Run as ``python -I -S keeper.py PARENT_PID COMMAND...``. It starts the command in a process
group of its own, writes its process id to standard output, and ends the whole group when

- it is told to (SIGTERM or SIGINT: politely, then by force; SIGUSR1: by force at once), or
- its parent is gone, however that ended: standard input reaches its end, or the process has
  another parent. The kernel's PR_SET_PDEATHSIG would do neither for grandchildren, nor on
  macOS, and fires when the starting *thread* ends.

It exits as the command did. Standard library only: it must start in milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time

POLL_SECONDS = 0.5  # how late a changed parent is noticed when standard input stays open
GRACE_SECONDS = 4.0  # between SIGTERM and SIGKILL when the parent is gone or asks to stop


class Keeper:
    """One command, its process group, and what ends them."""

    def __init__(self, parent: int, command: list[str]) -> None:
        self.parent = parent
        self.command = command
        self.asked = 0
        self.wake_reader, self.wake_writer = os.pipe()
        for end in (self.wake_reader, self.wake_writer):
            os.set_blocking(end, False)

    def run(self) -> int:
        """Starts the command and stays until it has ended.

        Returns:
            Its exit status, 128 plus the signal where one ended it, 127 where it cannot start.
        """
        signal.set_wakeup_fd(self.wake_writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, self._remember)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        try:
            # A handler here becomes the default disposition there: a service started from a
            # shell's background job would otherwise inherit that SIGINT is ignored.
            child = subprocess.Popen(  # noqa: S603 - the command is Interlock's own
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=2,
                stderr=2,
                close_fds=False,  # the lock that Interlock handed over stays held
                start_new_session=True,
            )
        except OSError as error:
            print(f"cannot start {self.command[0]}: {error}", file=sys.stderr)
            return 127
        os.write(1, f"{child.pid}\n".encode())
        self._watch(child)
        self._signal_group(child.pid, signal.SIGKILL)
        return child.returncode if child.returncode >= 0 else 128 - child.returncode

    def _remember(self, number: int, _frame: object) -> None:
        self.asked = signal.SIGKILL if number == signal.SIGUSR1 else self.asked or signal.SIGTERM

    def _watch(self, child: subprocess.Popen[bytes]) -> None:
        sent, deadline, sources = 0, float("inf"), [0, self.wake_reader]
        while child.poll() is None:
            if time.monotonic() >= deadline:
                self.asked = signal.SIGKILL
            if self.asked != sent:
                sent = self.asked
                self._signal_group(child.pid, sent)
                deadline = time.monotonic() + GRACE_SECONDS
            ready, _, _ = select.select(sources, [], [], POLL_SECONDS)
            if self.wake_reader in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self.wake_reader, 512)
            if 0 in ready and not os.read(0, 512):
                sources.remove(0)
                self.asked = self.asked or signal.SIGTERM
            if os.getppid() != self.parent:
                self.asked = self.asked or signal.SIGTERM

    @staticmethod
    def _signal_group(group: int, number: int) -> None:
        # PermissionError is what macOS says of a group of which only zombies are left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)


if __name__ == "__main__":
    raise SystemExit(Keeper(int(sys.argv[1]), sys.argv[2:]).run())
