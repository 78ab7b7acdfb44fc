"""How a web server's process ends, seen from outside."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

SERVE = """
import sys, time
from interlock.errors import LocalError
from interlock.webserver.ending import run_until_sigterm

def serve():
    try:
        print("serving", flush=True)
        {how}
    finally:
        print("closed")

run_until_sigterm(serve)
"""


def started(how: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SERVE.format(how=how)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_sigterm_closes_what_is_open_and_is_no_failure() -> None:
    with started("time.sleep(60)") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "serving\n"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "closed\n", "")


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        ("sys.exit(2)", 2, ""),
        ("sys.exit('no')", 1, ""),
        ("pass", 0, ""),
        ("raise LocalError('it is broken', remedy='mend it')", 1, "it is broken; mend it\n"),
    ],
)
def test_other_ends_are_told_by_their_code(how: str, code: int, said: str) -> None:
    with started(how) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (code, "serving\nclosed\n", said)
