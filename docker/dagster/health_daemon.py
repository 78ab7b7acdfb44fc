"""Healthcheck of the daemon: has each of its parts sent a heartbeat lately?

``dagster-daemon liveness-check`` asks the same, takes seconds of CPU each time and forgives
half an hour of silence. Connects as the variables PGHOST, PGUSER, PGPASSWORD and PGDATABASE say.
"""

from __future__ import annotations

import contextlib
import sys

import psycopg2

PARTS = {"ASSET", "EVENT_LOG_CONSUMER", "MONITORING", "QUEUED_RUN_COORDINATOR", "SCHEDULER"}
SECONDS = 90  # without a heartbeat; Dagster sends one every 30
AGES = """
    SELECT daemon_type, extract(epoch FROM (now() AT TIME ZONE 'utc') - timestamp)
    FROM daemon_heartbeats
"""


def main() -> int:
    """Asks once.

    Returns:
        0 when every part is alive, else 1.
    """
    try:
        with contextlib.closing(psycopg2.connect("", connect_timeout=4)) as connection:
            cursor = connection.cursor()
            cursor.execute(AGES)
            alive = {part for part, age in cursor.fetchall() if age < SECONDS}
    except psycopg2.Error as error:
        print(f"heartbeats cannot be read: {error}")
        return 1
    silent = PARTS - alive
    if silent:
        print(f"no heartbeat for {SECONDS} s: {', '.join(sorted(silent))}")
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main())
