"""The helper process of ``ml.workers``: computes tasks from a pipe until it closes.

Run as ``python -m interlock.ml.helper`` by ``ml.workers`` alone. It reads pickles from
standard input, first the work and then its tasks, and writes one pickle per result to
standard output. It ends when its input ends, also when the process behind it was killed.
"""

from __future__ import annotations

import os
import pickle
import sys
from contextlib import suppress


def main() -> None:
    """Compute every task that comes in."""
    # Whatever a library prints must not mix with the results.
    results = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    tasks = sys.stdin.buffer
    work = pickle.load(tasks)  # noqa: S301 - the process that started this one wrote it
    # A closed pipe at either end means that nobody waits for more.
    with suppress(EOFError, BrokenPipeError), results, work.session() as compute:
        while True:
            result = compute(pickle.load(tasks))  # noqa: S301 - see above
            pickle.dump(result, results, protocol=pickle.HIGHEST_PROTOCOL)
            results.flush()


if __name__ == "__main__":
    main()
