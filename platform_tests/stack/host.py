"""Docker and disks of the machine that the composed stack is tested on, and what was measured."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from stack.composed import PROJECT, succeeded

from interlock.settings import REPOSITORY

REPORT = REPOSITORY / "stack-report.json"
DISK_BYTES = 2 * 1024**3  # of the object store's own disk, sparse


class Report(dict[str, object]):
    """What was measured; written after each test, so that a failure leaves what there is."""

    def note(self, name: str, value: object) -> None:
        self[name] = value
        REPORT.write_text(json.dumps(self, indent=2) + "\n")


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    return succeeded(done, errors=False)


def pullable(image: str) -> bool:
    if docker("images", "--quiet", image):
        return True
    pull = ["docker", "pull", "--quiet", image]
    return subprocess.run(pull, capture_output=True, check=False).returncode == 0


def small_disk(folder: Path) -> str | None:
    """Puts the object store's volume on a disk that can be filled.

    Returns:
        The loop device; None where there are none.
    """
    if not Path("/dev/loop-control").exists() or shutil.which("mkfs.ext4") is None:
        return None
    image = folder / "disk.img"
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)
    attach = ["losetup", "--find", "--show", str(image)]
    done = subprocess.run(attach, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None
    device = done.stdout.strip()
    labels = (f"com.docker.compose.project={PROJECT}", "com.docker.compose.volume=minio")
    docker(
        *("volume", "create", "--opt", "type=ext4", "--opt", f"device={device}"),
        *(word for label in labels for word in ("--label", label)),
        f"{PROJECT}_minio",
    )
    return device
