"""What works before anything is installed: uv from an index, and pip's settings for uv."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import platform
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from interlock.settings import REPOSITORY

SCRIPT = REPOSITORY / "scripts" / "lib" / "bootstrap.py"
VERSION = "0.13.8"
PASSWORD = "Basic dXNlcjpwdw=="  # user:pw


def load() -> Any:
    spec = importlib.util.spec_from_file_location("bootstrap_under_test", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bootstrap = load()


@pytest.fixture(autouse=True)
def only_files_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine's own /etc/pip.conf says is no part of a test."""
    every = bootstrap.pip_configuration_files

    def ours(environ: dict[str, str]) -> list[Path]:
        return [path for path in every(environ) if path.is_relative_to(tmp_path)]

    monkeypatch.setattr(bootstrap, "pip_configuration_files", ours)


def wheel_name(version: str = VERSION) -> str:
    machine = platform.machine().lower()
    if sys.platform == "darwin":
        return f"uv-{version}-py3-none-macosx_11_0_{machine}.whl"
    libc = "manylinux_2_17" if platform.libc_ver()[0] == "glibc" else "musllinux_1_1"
    return f"uv-{version}-py3-none-{libc}_{machine}.whl"


def wheel(content: str = "#!/bin/sh\necho uv\n") -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr(f"uv-{VERSION}.data/scripts/uv", content)
    return body.getvalue()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.lock"
    digest = hashlib.sha256(wheel_bytes()).hexdigest()
    path.write_text(
        f"urllib3==2.0 \\\n    --hash=sha256:{'0' * 64}\n"
        f"uv=={VERSION} \\\n    --hash=sha256:{'1' * 64} \\\n    --hash=sha256:{digest}\n"
        f"    # via interlock\nuvicorn==1.0 \\\n    --hash=sha256:{'2' * 64}\n"
    )
    return path


WHEEL: list[bytes] = []


def wheel_bytes() -> bytes:
    if not WHEEL:
        WHEEL.append(wheel())
    return WHEEL[0]


class Index:
    """A package index on the loopback interface."""

    def __init__(self) -> None:
        self.as_json = False
        self.password = False
        self.asked: list[str] = []
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.asked.append(self.path)
                if index.password and self.headers.get("Authorization") != PASSWORD:
                    self.send_error(401)
                    return
                body, kind = index.answer(self.path)
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_words: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def answer(self, path: str) -> tuple[bytes, str]:
        if path.endswith(".whl"):
            return wheel_bytes(), "application/octet-stream"
        names = [f"uv-{VERSION}.tar.gz", wheel_name("0.1.0"), wheel_name()]
        if self.as_json:
            files = [{"filename": name, "url": f"/files/{name}"} for name in names]
            return json.dumps({"files": files}).encode(), "application/vnd.pypi.simple.v1+json"
        anchors = "".join(f'<a href="../../files/{n}#sha256=ab">{n}</a>' for n in names)
        return f"<html>{anchors}</html>".encode(), "text/html"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def index() -> Iterator[Index]:
    index = Index()
    yield index
    index.close()


def environ(home: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(home), "XDG_CONFIG_DIRS": str(home / "xdg"), **more}


def pip_conf(home: Path, text: str) -> None:
    path = home / ".config" / "pip" / "pip.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("as_json", [False, True])
def test_uv_comes_from_pips_index_and_is_verified(
    tmp_path: Path, lock: Path, index: Index, as_json: bool
) -> None:
    index.as_json = as_json
    pip_conf(tmp_path, f"[global]\nindex-url = http://{index.host}/simple/\n")
    program = bootstrap.get_uv(lock, tmp_path / "bin", environ(tmp_path))
    assert subprocess.run([program], capture_output=True, check=True).stdout == b"uv\n"
    assert index.asked[0] == "/simple/uv/"


def test_index_chosen_for_uv_wins_over_pips(tmp_path: Path, lock: Path, index: Index) -> None:
    chosen = environ(
        tmp_path, PIP_INDEX_URL="http://127.0.0.1:9/", UV_DEFAULT_INDEX=f"http://{index.host}/s"
    )
    assert bootstrap.get_uv(lock, tmp_path / "bin", chosen).exists()


def test_password_in_the_address_is_sent_as_a_header(
    tmp_path: Path, lock: Path, index: Index
) -> None:
    index.password = True
    chosen = environ(tmp_path, PIP_INDEX_URL=f"http://user:pw@{index.host}/simple")
    assert bootstrap.get_uv(lock, tmp_path / "bin", chosen).exists()


def test_file_with_another_hash_is_not_used(
    tmp_path: Path, lock: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "WHEEL", [wheel("#!/bin/sh\necho evil\n")])
    chosen = environ(tmp_path, PIP_INDEX_URL=f"http://{index.host}/simple")
    with pytest.raises(bootstrap.BootstrapError, match="none of the hashes"):
        bootstrap.get_uv(lock, tmp_path / "bin", chosen)
    assert not (tmp_path / "bin").exists()


def test_folder_of_wheels_works_without_an_index(tmp_path: Path, lock: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / wheel_name()).write_bytes(wheel_bytes())
    chosen = environ(tmp_path, PIP_FIND_LINKS=str(wheels), PIP_NO_INDEX="1")
    assert bootstrap.get_uv(lock, tmp_path / "bin", chosen).exists()


def test_no_index_that_answers_says_what_to_do(
    tmp_path: Path, lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = environ(tmp_path, PIP_INDEX_URL="http://user:pw@127.0.0.1:9/simple")
    assert bootstrap.main(["uv", str(lock), str(tmp_path / "bin")], chosen) == 1
    said = capsys.readouterr().err
    assert "install uv yourself" in said
    assert "pw" not in said


def test_lock_file_without_uv_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("uvicorn==1.0\n")
    with pytest.raises(bootstrap.BootstrapError, match="names no uv"):
        bootstrap.get_uv(tmp_path / "lock", tmp_path / "bin", environ(tmp_path))


def test_the_lock_file_of_this_repository_names_uv_with_hashes() -> None:
    version, hashes = bootstrap.locked_uv((REPOSITORY / "requirements.lock").read_text())
    assert version.count(".") == 2
    assert len(hashes) > 5


@pytest.mark.parametrize(
    ("system", "machine", "libc", "expected"),
    [
        ("linux", "x86_64", "glibc", "manylinux_2_17_x86_64.manylinux2014_x86_64"),
        ("linux", "aarch64", "glibc", "manylinux_2_17_aarch64.manylinux2014_aarch64"),
        ("linux", "x86_64", "", "musllinux_1_1_x86_64"),
        ("darwin", "arm64", "", "macosx_11_0_arm64"),
        ("darwin", "x86_64", "", "macosx_10_12_x86_64"),
    ],
)
def test_wheel_fits_the_machine(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, libc: str, expected: str
) -> None:
    tags = [
        *("manylinux_2_17_x86_64.manylinux2014_x86_64", "musllinux_1_1_x86_64", "win_amd64"),
        *("manylinux_2_17_aarch64.manylinux2014_aarch64", "musllinux_1_1_aarch64"),
        *("macosx_11_0_arm64", "macosx_10_12_x86_64", "linux_armv6l"),
    ]
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: (libc, ""))
    fitting = [
        tag
        for tag in tags
        if bootstrap.is_for_this_machine(f"uv-1.2.3-py3-none-{tag}.whl", "1.2.3")
    ]
    assert fitting == [expected]


def test_pips_settings_are_handed_on_in_uvs_words(tmp_path: Path) -> None:
    pip_conf(tmp_path, "[global]\nindex-url = https://a/simple\ntimeout = 9\ncert = /ca.pem\n")
    chosen = environ(
        tmp_path,
        PIP_INDEX_URL="https://b/simple",
        PIP_EXTRA_INDEX_URL="https://c/simple https://d/simple",
        PIP_FIND_LINKS=f"{tmp_path} /no/such/folder https://e/links",
        PIP_TRUSTED_HOST="b",
    )
    assert bootstrap.uv_settings(chosen) == {
        "UV_DEFAULT_INDEX": "https://b/simple",
        "UV_INDEX": "https://c/simple https://d/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": f"{tmp_path},https://e/links",
        "UV_INSECURE_HOST": "b",
        "UV_HTTP_TIMEOUT": "9",
        "SSL_CERT_FILE": "/ca.pem",
    }


@pytest.mark.parametrize("where", ["variable", "file"])
def test_index_that_uv_knows_is_left_alone(tmp_path: Path, where: str) -> None:
    pip_conf(tmp_path, "[global]\nindex-url = https://a/simple\n")
    more = {"UV_INDEX_URL": "https://uv/simple"} if where == "variable" else {}
    if where == "file":
        (tmp_path / ".config" / "uv").mkdir(parents=True)
        (tmp_path / ".config" / "uv" / "uv.toml").write_text('[[index]]\nurl = "https://uv/"\n')
    assert bootstrap.uv_settings(environ(tmp_path, **more)) == {}


def test_disabled_and_broken_configuration_files_are_passed_over(tmp_path: Path) -> None:
    pip_conf(tmp_path, "index-url = without a section")
    assert "index-url" not in bootstrap.pip_settings(environ(tmp_path))
    pip_conf(tmp_path, "[global]\nindex-url = https://a/simple\n")
    assert bootstrap.pip_settings(environ(tmp_path, PIP_CONFIG_FILE=os.devnull)) == {
        "config-file": [os.devnull]
    }


def test_pips_files_are_read_where_pip_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    found = bootstrap.pip_configuration_files(
        {"HOME": "/home/ada", "PIP_CONFIG_FILE": "/srv/pip.conf"}
    )
    assert Path("/etc/pip.conf") in found
    assert found.index(Path("/home/ada/.pip/pip.conf")) < found.index(
        Path("/home/ada/.config/pip/pip.conf")
    )
    assert found[-1] == Path("/srv/pip.conf")


def test_settings_are_printed_for_a_shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = environ(tmp_path, PIP_INDEX_URL="https://a/$(reboot)", PIP_CONFIG_FILE=os.devnull)
    assert bootstrap.main(["settings"], chosen) == 0
    assert capsys.readouterr().out == "export UV_DEFAULT_INDEX='https://a/$(reboot)'\n"
    assert bootstrap.main([], chosen) == 2


def test_scripts_are_executable_and_ci_calls_the_tests() -> None:
    for name in ("scripts/demo.sh", "scripts/test.sh", ".ci/run"):
        assert os.access(REPOSITORY / name, os.X_OK), name
    assert "./scripts/test.sh" in (REPOSITORY / ".ci" / "run").read_text()


def test_lock_files_hold_hashes_and_no_addresses() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (REPOSITORY / name).read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text
