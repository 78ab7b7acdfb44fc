"""Healthcheck of the code server: does it answer, and is the code location loaded?

``dagster api grpc-health-check`` asks the same and costs seconds of CPU each time, because it
imports Dagster first.
"""

from __future__ import annotations

import sys

import grpc  # type: ignore[import-untyped]
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

ADDRESS = "localhost:4000"
SECONDS = 4.0  # for an answer; less than the healthcheck's own timeout


def main() -> int:
    """Asks once.

    Returns:
        0 when the server serves, else 1.
    """
    with grpc.insecure_channel(ADDRESS) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service="DagsterApi"), timeout=SECONDS
            )
        except grpc.RpcError as error:
            print(f"no answer from {ADDRESS}: {error}")
            return 1
    return 0 if answer.status == health_pb2.HealthCheckResponse.SERVING else 1


if __name__ == "__main__":
    sys.exit(main())
