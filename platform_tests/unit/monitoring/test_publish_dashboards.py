from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from interlock.errors import ConfigurationError
from interlock.local.ports import free_port
from monitoring.dashboards.generate import DASHBOARDS, FOLDER
from monitoring.publish_dashboards import DATASOURCE_VARIABLE, Grafana, main, wanted

TOKEN = "glsa_throw_away"


class SmallGrafana:
    """Folders, dashboards and one data source, as Grafana's HTTP API keeps them."""

    def __init__(self) -> None:
        self.folders: dict[str, Any] = {}
        self.dashboards: dict[str, Any] = {}
        self.posts: list[str] = []
        self.broken: str | None = None  # a path that answers with no JSON
        self.full = False  # no dashboard is accepted any more
        grafana = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(*grafana.get(self.path))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                grafana.posts.append(self.path)
                self._answer(*grafana.post(self.path, body))

            def _answer(self, status: int, body: object) -> None:
                if self.headers["Authorization"] != f"Bearer {TOKEN}":
                    status, body = 401, {"message": "Invalid API key"}
                self.send_response(status)
                self.end_headers()
                text = "<html>" if self.path == grafana.broken else json.dumps(body)
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def get(self, path: str) -> tuple[int, object]:
        kind, uid = path.rsplit("/", 1)
        kept: Any = {
            "/api/folders": self.folders,
            "/api/dashboards/uid": self.dashboards,
            "/api/datasources/uid": {"amp": {"uid": "amp", "type": "prometheus"}},
        }[kind]
        return (200, kept[uid]) if uid in kept else (404, {"message": "not found"})

    def post(self, path: str, body: Any) -> tuple[int, object]:
        if path == "/api/folders":
            self.folders[body["uid"]] = body
            return 200, body
        assert path == "/api/dashboards/db"
        if self.full:
            return 412, {"message": "quota reached"}
        uid = body["dashboard"]["uid"]
        before = self.dashboards.get(uid, {"dashboard": {"version": 0}})
        version = before["dashboard"]["version"] + 1
        self.dashboards[uid] = {
            "dashboard": {**body["dashboard"], "id": 7, "version": version},
            "meta": {"folderUid": body["folderUid"]},
        }
        return 200, {"uid": uid, "version": version}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def grafana() -> Iterator[SmallGrafana]:
    small = SmallGrafana()
    yield small
    small.close()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


def publish(grafana: SmallGrafana, token_file: Path, *more: str) -> None:
    main(
        [
            f"--grafana-url={grafana.url}",
            "--datasource-uid=amp",
            f"--token-file={token_file}",
            *more,
        ]
    )


def test_every_dashboard_arrives_in_the_folder_and_shows_the_given_data_source(
    grafana: SmallGrafana, token_file: Path
) -> None:
    publish(grafana, token_file)

    assert grafana.folders["interlock"]["title"] == "Interlock"
    assert set(grafana.dashboards) == {each.uid for each in DASHBOARDS}
    for stored in grafana.dashboards.values():
        assert stored["meta"]["folderUid"] == "interlock"
        (variable,) = (
            each
            for each in stored["dashboard"]["templating"]["list"]
            if each["name"] == DATASOURCE_VARIABLE
        )
        assert variable["current"]["value"] == "amp"


def test_what_is_published_differs_from_the_file_by_the_data_source_alone(
    grafana: SmallGrafana, token_file: Path
) -> None:
    publish(grafana, token_file)

    for uid, stored in grafana.dashboards.items():
        dashboard = {k: v for k, v in stored["dashboard"].items() if k not in {"id", "version"}}
        for variable in dashboard["templating"]["list"]:
            if variable["name"] == DATASOURCE_VARIABLE:
                variable["current"] = {}
        assert dashboard == json.loads((FOLDER / f"{uid}.json").read_text())


def test_a_second_time_changes_nothing(
    grafana: SmallGrafana, token_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(grafana, token_file)
    first = len(grafana.posts)
    capsys.readouterr()

    publish(grafana, token_file)

    assert len(grafana.posts) == first
    assert capsys.readouterr().out.count("unchanged") == len(DASHBOARDS)


def test_a_dashboard_that_somebody_changed_or_moved_is_put_right(
    grafana: SmallGrafana, token_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(grafana, token_file)
    grafana.dashboards["interlock-models"]["dashboard"]["title"] = "Mine"
    grafana.dashboards["interlock-pipeline"]["meta"]["folderUid"] = "general"
    capsys.readouterr()

    publish(grafana, token_file)

    said = capsys.readouterr().out
    assert said.count("published") == 2
    assert grafana.dashboards["interlock-models"]["dashboard"]["title"] != "Mine"
    assert grafana.dashboards["interlock-pipeline"]["meta"]["folderUid"] == "interlock"


def test_the_token_may_come_from_a_named_variable(
    grafana: SmallGrafana, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFANA_PUBLISHER", TOKEN)

    main(
        [
            f"--grafana-url={grafana.url}",
            "--datasource-uid=amp",
            "--token-variable=GRAFANA_PUBLISHER",
        ]
    )

    assert len(grafana.dashboards) == len(DASHBOARDS)


def test_a_wrong_token_is_refused_and_never_shown(grafana: SmallGrafana, tmp_path: Path) -> None:
    wrong = tmp_path / "token"
    wrong.write_text("glsa_wrong")

    with pytest.raises(SystemExit, match="refuses the token") as refused:
        publish(grafana, wrong)

    assert "glsa_wrong" not in str(refused.value)
    assert not grafana.dashboards


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_no_token_is_said_before_anything_is_asked(
    grafana: SmallGrafana, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)

    with pytest.raises(SystemExit, match=r"holds no token|cannot be read"):
        publish(grafana, path)

    assert not grafana.posts


def test_an_unset_variable_holds_no_token(
    grafana: SmallGrafana, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GRAFANA_PUBLISHER", raising=False)

    with pytest.raises(SystemExit, match="GRAFANA_PUBLISHER holds no token"):
        main(
            [
                f"--grafana-url={grafana.url}",
                "--datasource-uid=amp",
                "--token-variable=GRAFANA_PUBLISHER",
            ]
        )


def test_an_unknown_data_source_is_refused_before_anything_is_written(
    grafana: SmallGrafana, token_file: Path
) -> None:
    with pytest.raises(SystemExit, match="no data source with the uid 'other'"):
        publish(grafana, token_file, "--datasource-uid=other")

    assert not grafana.posts


def test_a_token_is_not_sent_in_the_clear_to_another_machine() -> None:
    with pytest.raises(ConfigurationError, match="expected https"):
        Grafana("http://grafana.example.org", TOKEN, timeout=1.0)


@pytest.mark.parametrize("url", ["grafana.example.org", "https://", "ftp://127.0.0.1"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="expected https"):
        Grafana(url, TOKEN, timeout=1.0)


def test_what_is_not_grafana_is_said(grafana: SmallGrafana, token_file: Path) -> None:
    grafana.broken = "/api/folders/interlock"

    with pytest.raises(SystemExit, match="no JSON"):
        publish(grafana, token_file)


def test_a_refusal_carries_what_grafana_said(grafana: SmallGrafana, token_file: Path) -> None:
    grafana.full = True

    with pytest.raises(SystemExit, match="status 412: quota reached"):
        publish(grafana, token_file)


def test_nobody_listening_is_said(token_file: Path) -> None:
    with pytest.raises(SystemExit, match="no answer"):
        main(
            [
                f"--grafana-url=http://127.0.0.1:{free_port()}",
                "--datasource-uid=amp",
                f"--token-file={token_file}",
            ]
        )


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no dashboard"):
        wanted(tmp_path, "amp")


def test_a_dashboard_whose_data_source_cannot_be_chosen_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text(json.dumps({"uid": "own", "templating": {"list": []}}))

    with pytest.raises(ConfigurationError, match=r"own\.json has no variable"):
        wanted(tmp_path, "amp")
