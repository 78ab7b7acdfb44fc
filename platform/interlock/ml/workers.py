"""Workers: many small computations at once, with the result of doing them one by one.

Here lives only how calls are spread over cores; what is computed comes in as ``Work``. A
helper process runs ``interlock.ml.helper``.

- The calling process works too, from the last task backwards, so that nothing waits while a
  helper imports its libraries (about three seconds for scikit-learn).
- Processes, not threads: fits of small trees hold the interpreter's lock, and scikit-learn's
  forests replace the process-wide warning filters while they fit (ADR-0005).
- Helpers of our own, not joblib's: those stay for ever when the calling process is killed.
  A helper reads its tasks from a pipe and ends when that closes, whoever closed it.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from threading import Thread
from typing import IO, Generic, Protocol, TypeVar

from interlock.errors import TrainingError

Task = TypeVar("Task")
Result = TypeVar("Result")
Task_contra = TypeVar("Task_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)


class Work(Protocol[Task_contra, Result_co]):
    """What is computed; picklable, and so are its tasks and results."""

    def session(self) -> AbstractContextManager[Callable[[Task_contra], Result_co]]:
        """Get ready in this process and give the function; equal tasks give equal results."""
        ...


@contextmanager
def limited_threads() -> Iterator[None]:
    """Hold BLAS and OpenMP to one thread, for what the calling thread computes meanwhile.

    Sums in BLAS depend on its thread count, and results must not. OpenMP's threads wait for
    each other by spinning: on a machine with other work one fit took 105 s on two threads and
    12 s on one. Only libraries that are loaded by now can be held: import them first.
    """
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    with ThreadpoolController().limit(limits=1):
        yield


def compute_all(
    work: Work[Task, Result],
    tasks: Sequence[Task],
    *,
    jobs: int,
    on_done: Callable[[int], None],
) -> list[Result]:
    """Compute each task, on ``jobs`` processes with the calling one.

    Args:
        work: What to compute.
        tasks: On what; helpers begin with the first, the calling process with the last.
        jobs: Processes, ≥ 1.
        on_done: Called from the calling thread with the index of each finished task.

    Returns:
        One result per task, in their order.

    Raises:
        TrainingError: A helper process died.
    """
    return _Shared(work, tasks, on_done=on_done).compute(helpers=min(jobs, len(tasks)) - 1)


class _Shared(Generic[Task, Result]):
    """Tasks that the calling process and its helpers take from both ends."""

    def __init__(
        self,
        work: Work[Task, Result],
        tasks: Sequence[Task],
        *,
        on_done: Callable[[int], None],
    ) -> None:
        self._work = work
        self._tasks = tasks
        self._on_done = on_done
        self._open = deque(range(len(tasks)))
        self._results: dict[int, Result] = {}
        self._reported: set[int] = set()
        self._deaths: list[Exception] = []

    def compute(self, *, helpers: int) -> list[Result]:
        with ExitStack() as stack:
            for _ in range(helpers):
                stack.enter_context(self._helper())
            with self._work.session() as function:
                self._compute_here(function)
        return [self._results[index] for index in range(len(self._tasks))]

    def _compute_here(self, function: Callable[[Task], Result]) -> None:
        """Open tasks from the last, then those that a helper has begun.

        A helper that is late, because it still imports, is not waited for: its task is
        computed here as well, to an equal result.
        """
        while (index := self._next_task()) is not None:
            if self._deaths:
                raise TrainingError(
                    "a helper process of the training died",
                    remedy="see its last words above; give the machine more memory, or lower "
                    "`search.sample_rows`",
                ) from self._deaths[0]
            self._results[index] = function(self._tasks[index])
            self._report()
        self._report()

    def _next_task(self) -> int | None:
        try:
            return self._open.pop()
        except IndexError:
            every = range(len(self._tasks))
            return next((index for index in every if index not in self._results), None)

    def _report(self) -> None:
        for index in sorted(set(self._results) - self._reported):
            self._reported.add(index)
            self._on_done(index)

    @contextmanager
    def _helper(self) -> Iterator[None]:
        """A process and the thread that feeds it; both are gone afterwards."""
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "interlock.ml.helper"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the calling process, which ends helpers
        )
        if process.stdin is None or process.stdout is None:
            raise AssertionError  # both are pipes, see above
        feeder = Thread(target=self._feed, args=(process.stdin, process.stdout), daemon=True)
        feeder.start()
        try:
            yield
        finally:
            self._open.clear()
            process.kill()
            process.wait()
            feeder.join()

    def _feed(self, to_helper: IO[bytes], from_helper: IO[bytes]) -> None:
        """Open tasks from the first, one at a time, until there are none."""
        try:
            _send(self._work, to_helper)
            while self._open:
                with suppress(IndexError):  # the calling process took the last one just now
                    index = self._open.popleft()
                    _send(self._tasks[index], to_helper)
                    self._results[index] = pickle.load(from_helper)  # noqa: S301 - our own bytes
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            self._deaths.append(error)
        finally:
            with suppress(BrokenPipeError):
                to_helper.close()
            from_helper.close()


def _send(value: object, pipe: IO[bytes]) -> None:
    pickle.dump(value, pipe, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.flush()
