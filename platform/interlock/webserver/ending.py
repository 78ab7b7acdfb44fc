"""How a web server of the platform ends: in order, and then at once."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from interlock.errors import InterlockError


def run_until_sigterm(serve: Callable[[], object]) -> NoReturn:
    """Serve, and end the process; a refusal is told without a stack.

    Whoever serves has closed what it opened when it returns. The interpreter is not taken apart
    afterwards: looking for garbage among so many modules takes seconds, in which a supervisor
    loses its patience.

    Args:
        serve: Serves until ``SystemExit``.
    """
    signal.signal(signal.SIGTERM, _end)
    code: object = 0
    try:
        serve()
    except SystemExit as end:
        code = end.code
    except InterlockError as error:
        sys.stderr.write(f"{error}\n")
        code = 1
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _end(_number: int, _frame: FrameType | None) -> None:
    """Ends the process in order: uvicorn sends itself the signal again when it has stopped."""
    raise SystemExit(0)
