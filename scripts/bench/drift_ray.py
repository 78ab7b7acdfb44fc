"""Profile partitions on a two-node Ray cluster of this machine and merge: identical numbers.

``make drift-ray`` runs it. Ray is installed into a folder that is removed again; two raylets, each
with one processor and an object store of its own, are two nodes to Ray. The function that runs on
them is the platform's own ``profile_files``; Ray adds nothing but the calls.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RAY = "ray==2.60.0"
SEED = 9
PARTITIONS, ROWS = 8, 200_000
START_SECONDS = 240


def main() -> None:
    """Install, start two nodes, compare."""
    with tempfile.TemporaryDirectory(prefix="drift-ray-") as folder:
        python = _environment(Path(folder))
        with _cluster(Path(folder), python) as address:
            script = [str(python), __file__, "--compare", address, folder]
            subprocess.run(script, check=True, env=_quiet())


def compare(address: str, folder: Path) -> None:
    """On a cluster: count partitions there, count them here, and hold one against the other."""
    import numpy as np
    import polars as pl
    import ray

    from interlock.adapters.profile_planning import Wanted, plan_files
    from interlock.adapters.profiling import profile_files
    from interlock.adapters.table_files import TableFile
    from interlock.ml.profile_bytes import from_bytes, to_bytes
    from interlock.ml.profile_plan import ProfilePlan
    from interlock.ml.profiles import merge
    from interlock.ml.verdict import judge

    files = []
    for partition in range(PARTITIONS):
        rng = np.random.default_rng([SEED, partition])
        path = folder / f"day-{partition}.parquet"
        table = {f"x{place}": rng.normal(size=ROWS) for place in range(10)}
        regions = rng.choice(["north", "south"], ROWS)
        pl.DataFrame(table | {"region": regions}).write_parquet(path)
        files.append(TableFile(path))
    plan = plan_files(files, Wanted(pairs=(("x0", "region"),)))

    def profile(file: TableFile, plan: ProfilePlan) -> tuple[str, bytes]:
        counted = profile_files([file], plan).profile
        return ray.get_runtime_context().get_node_id(), to_bytes(counted)

    ray.init(address=address, log_to_driver=False)
    deadline = time.monotonic() + START_SECONDS
    while len(nodes := [node for node in ray.nodes() if node["Alive"]]) < 2:  # noqa: PLR2004
        if time.monotonic() > deadline:
            sys.exit("the second node did not come up")
        time.sleep(1)
    remote = ray.remote(num_cpus=1, scheduling_strategy="SPREAD")(profile)
    there = ray.get([remote.remote(file, plan) for file in files])
    ray.shutdown()
    used = {node for node, _ in there}
    merged = merge(from_bytes(stored) for _, stored in there)
    here = profile_files(files, plan, jobs=1).profile
    reversed_merge = merge(from_bytes(stored) for _, stored in reversed(there))
    verdicts = judge(here, merged), judge(here, here)
    print(f"nodes: {len(nodes)}, of which {len(used)} counted {PARTITIONS} partitions")
    print(f"rows: {merged.rows:,} there, {here.rows:,} here")
    print(f"all counts, sums and moments identical: {merged == here == reversed_merge}")
    print(f"verdicts identical: {verdicts[0] == verdicts[1]}")
    if len(used) != 2 or not merged == here == reversed_merge or verdicts[0] != verdicts[1]:  # noqa: PLR2004
        sys.exit("the numbers differ, or one node did all the work")


def _environment(folder: Path) -> Path:
    """A Python with Ray that sees this one's packages."""
    uv = str(Path(sys.executable).parent / "uv")
    home = folder / "environment"
    subprocess.run([uv, "venv", "-q", "-p", sys.executable, home], check=True)
    python = home / "bin" / "python"
    subprocess.run([uv, "pip", "install", "-q", "-p", python, RAY], check=True)
    found = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    import polars

    # ``site`` reads the other environment's own .pth files too, and with them the platform.
    ours = Path(polars.__file__).parents[1]
    line = f"import site; site.addsitedir({str(ours)!r})\n"
    Path(found.stdout.strip(), "platform.pth").write_text(line)
    return python


@contextmanager
def _cluster(folder: Path, python: Path) -> Iterator[str]:
    """Two nodes; yields the address of the first."""
    port = _free_port()
    address = f"127.0.0.1:{port}"
    ray = [str(python), "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1"]
    ray += ["--object-store-memory=100000000", "--disable-usage-stats"]
    head = [*ray, "--head", f"--port={port}", "--include-dashboard=false"]
    head += ["--node-ip-address=127.0.0.1", f"--temp-dir={folder / 'ray'}"]
    started = [_start(head, folder / "head.log")]
    try:
        _wait(address, python)
        started.append(_start([*ray, f"--address={address}"], folder / "second.log"))
        yield address
    finally:
        for process in reversed(started):
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(
            command, stdout=out, stderr=out, env=_quiet(), start_new_session=True
        )


def _wait(address: str, python: Path) -> None:
    """Until the cluster's first node answers."""
    script = f"import ray; ray.init(address={address!r}, log_to_driver=False)"
    for _ in range(5):
        done = subprocess.run(
            [python, "-c", script],
            check=False,
            env=_quiet(),
            timeout=START_SECONDS,
            stderr=subprocess.PIPE,
        )
        if done.returncode == 0:
            return
    sys.exit(f"the first node does not answer: {done.stderr.decode()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


def _quiet() -> dict[str, str]:
    """This environment, with which Ray measures and reports nothing."""
    return os.environ | {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DEDUP_LOGS": "0",
        "OPENBLAS_NUM_THREADS": "1",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--compare"]:
        compare(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
