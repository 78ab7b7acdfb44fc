"""``interlock up``, ``down`` and ``status``: all services for daily work, as commands see them.

The life of ``up`` itself: ``supervisor.py``. What is alive: ``liveness.py``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from types import FrameType

from interlock.local.home import Home
from interlock.local.liveness import end_left_behind, status, until
from interlock.local.locks import is_held
from interlock.local.platform import Echo, EmbeddedPlatform, silent, utc_now
from interlock.local.services import DEFAULT_PORTS, Ports, build_services
from interlock.local.supervisor import BuildServices, Supervisor
from interlock.settings import Settings

MODULE = "interlock.definitions"
DOWN_SECONDS = 15.0  # `up` stops within 10 s
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(
    settings: Settings,
    *,
    ports: Ports = DEFAULT_PORTS,
    module: str = MODULE,
    echo: Echo = silent,
    clock: Callable[[], datetime] = utc_now,
    build: BuildServices = build_services,
) -> None:
    """Starts everything and stays until Ctrl-C, SIGTERM or ``down``.

    Args:
        settings: Settings of the process.
        ports: Where the services serve.
        module: Python module of the code location.
        echo: Takes each line for the person who waits.
        clock: The time, aware UTC.
        build: Makes the services besides S3; another one for tests.

    Raises:
        LocalError: It runs already.
        PortTaken: One of the ports is taken; nothing was started.
        ProcessFailed: A service did not come up, or ended; the others are stopped.
    """
    stop = threading.Event()
    with _signals_set(stop):
        Supervisor(
            EmbeddedPlatform(settings, clock=clock, echo=echo),
            ports=ports,
            module=module,
            echo=echo,
            build=build,
            stop=stop,
        ).run()


def down(settings: Settings, *, echo: Echo = silent) -> bool:
    """Stops ``interlock up`` from another process, and what a killed one left behind.

    Args:
        settings: Settings of the process.
        echo: Takes each line for the person who waits.

    Returns:
        Whether anything was running.

    Raises:
        LocalError: Something does not end, even by force.
    """
    home = Home(settings.home)
    if not home.exists():
        return False
    found = status(home)
    if found is not None:
        echo(f"stopping process {found.pid}")
        os.kill(found.pid, signal.SIGTERM)
        if not until(lambda: not is_held(home.state), DOWN_SECONDS):
            echo("it does not answer; stopping it by force")
            os.kill(found.pid, signal.SIGKILL)
    left = end_left_behind(home)
    return found is not None or left


@contextlib.contextmanager
def _signals_set(stop: threading.Event) -> Iterator[None]:
    """Turns the signals that end a program into an event, where this is the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def remember(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, remember) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
