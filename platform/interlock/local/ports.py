"""TCP ports on the loopback interface: which are free, and the refusal when one is not."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping

from interlock.errors import PortTaken

LOOPBACK = "127.0.0.1"
ADMIN_GRPC_OFFSET = 10_000  # the weed worker dials admin port + 10000, whatever the flag says


def is_free(port: int) -> bool:
    """Whether nobody listens on a port of the loopback interface.

    Args:
        port: TCP port.

    Returns:
        True when this process could listen there now.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Without this, connections that the last server left in TIME_WAIT look like a server.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return not is_answered(port)


def is_answered(port: int) -> bool:
    """Whether somebody accepts connections on a port of the loopback interface.

    Args:
        port: TCP port.

    Returns:
        True when a connection is accepted.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0


def free_ports(count: int, *, offset: int = 0) -> tuple[int, ...]:
    """Distinct free ports, chosen by the kernel.

    Args:
        count: How many.
        offset: When not 0, that many below the ports returned are free as well.

    Returns:
        The ports. Nothing holds them: another process may take one before it is used.
    """
    found: list[int] = []
    with contextlib.ExitStack() as held:
        while len(found) < count:
            probe = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
            if offset == 0 or is_free(port - offset):
                found.append(port)
    return tuple(found)


def free_port() -> int:
    """One free port, chosen by the kernel."""
    return free_ports(1)[0]


def require_free(ports: Mapping[str, int], *, setting: str | None = None) -> None:
    """Refuses when one of the ports is taken.

    Args:
        ports: Service to the port it needs.
        setting: How a person chooses another port, where they can.

    Raises:
        PortTaken: For the first port that somebody listens on.
    """
    for service, port in ports.items():
        if not is_free(port):
            choose = f", or choose another port with {setting}" if setting else ""
            raise PortTaken(
                port,
                service=service,
                remedy=f"stop what listens there (`lsof -i :{port}` names it){choose}",
            )
