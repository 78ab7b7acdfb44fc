"""Locks end with their holder, and say what it said only while it lives."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from interlock.local.locks import FileLock, is_held, read_held

HOLDER = """
import sys, time
from pathlib import Path
from interlock.local.locks import FileLock
lock = FileLock(Path(sys.argv[1]))
lock.acquire()
lock.write({"pid": 1})
print("held", flush=True)
time.sleep(60)
"""


def test_lock_excludes_another_and_ends_with_release(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.acquire()
    assert first.held
    assert not second.acquire(seconds=0.1)
    assert not second.held
    first.release()
    assert second.acquire(seconds=0)
    second.release()


def test_shared_locks_stand_together_and_exclude_the_exclusive(tmp_path: Path) -> None:
    first, second, alone = (FileLock(tmp_path / "lock") for _ in range(3))
    assert first.acquire(shared=True)
    assert second.acquire(seconds=0, shared=True)
    assert not alone.acquire(seconds=0)
    assert not is_held(tmp_path / "lock")
    first.release()
    second.release()


def test_content_counts_only_while_the_lock_is_held(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert read_held(path) is None
    lock = FileLock(path)
    with lock.holding():
        assert read_held(path) is None
        lock.write({"pid": 12345, "s3": "http://127.0.0.1:1"})
        lock.write({"pid": 7})
        assert read_held(path) == {"pid": 7}
        path.write_text('{"pid": ')
        assert read_held(path) is None
        path.write_text("[1]")
        assert read_held(path) is None
        lock.write({"pid": 7})
    assert path.exists()
    assert read_held(path) is None


def test_lock_of_a_killed_process_is_free_and_its_content_void(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == "held\n"
    assert read_held(path) == {"pid": 1}
    holder.kill()
    holder.wait()
    assert not is_held(path)
    assert read_held(path) is None


def test_descriptor_exists_only_while_held(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    with pytest.raises(RuntimeError, match="is not locked"):
        _ = lock.descriptor
    with lock.holding():
        assert os.fstat(lock.descriptor)


def test_interrupted_wait_leaves_no_open_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    with FileLock(tmp_path / "lock").holding():
        waiting = FileLock(tmp_path / "lock")
        before = len(list(Path("/dev/fd").iterdir()))
        monkeypatch.setattr(time, "sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            waiting.acquire()
        assert len(list(Path("/dev/fd").iterdir())) == before
