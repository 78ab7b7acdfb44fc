from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from interlock.local.ports import free_port
from monitoring.check_dashboards import Verdict, check, interpolated, main
from monitoring.dashboards.panels import Dashboard, Excuse, Panel, Query, Row

FIRST_RUN = Excuse("needs a run", until_first_run=True)
BOARD = Dashboard(
    uid="test",
    title="Board",
    description="A board.",
    rows=(
        Row(
            "Row",
            (
                Panel("Known", "It is there.", (Query('known{product=~"$product"}'),)),
                Panel("Excused", "May be away.", (Query("away", may_be_empty=Excuse("no alert")),)),
                Panel("Later", "Needs a run.", (Query("later", may_be_empty=FIRST_RUN),)),
                Panel("Numberless", "No number.", (Query("nan", may_be_empty=FIRST_RUN),)),
                Panel("Gone", "Should be there.", (Query("gone"),)),
                Panel("Wrong", "Is no query.", (Query("wrong("),)),
            ),
        ),
    ),
)


@pytest.fixture
def url() -> Iterator[str]:
    """A Prometheus that knows one series, one without a number, and what is no query."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)["query"][0]
            known = {'known{product=~".*"}': "1.5", "nan": "NaN"}
            result = [{"metric": {}, "value": [0, known[query]]}] if query in known else []
            body: Any = {"status": "success", "data": {"result": result}}
            if query == "vector(1)":
                body = ["surprise"]
            self.send_response(400 if query == "wrong(" else 200)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("after_a_run", "later"), [(False, Verdict.EMPTY_FOR_A_REASON), (True, Verdict.EMPTY)]
)
def test_each_query_is_asked_and_judged(url: str, after_a_run: bool, later: Verdict) -> None:
    found = check(url, timeout=5, after_a_run=after_a_run, dashboards=[BOARD])
    assert [(each.panel, each.verdict) for each in found] == [
        ("Known", Verdict.DATA),
        ("Excused", Verdict.EMPTY_FOR_A_REASON),
        ("Later", later),
        ("Numberless", later),
        ("Gone", Verdict.EMPTY),
        ("Wrong", Verdict.REFUSED),
    ]
    assert [each.is_good for each in found] == [True, True, *[not after_a_run] * 2, False, False]
    assert found[1].note == "no alert"
    assert "status 400" in found[5].note


def test_what_is_no_prometheus_is_refused(url: str) -> None:
    panel = Panel("Odd", "Odd.", (Query("vector(1)"),))
    board = Dashboard("odd", "Odd", "Odd.", (Row("Row", (panel,)),))
    (found,) = check(url, timeout=5, dashboards=[board])
    assert (found.verdict, "another shape" in found.note) == (Verdict.REFUSED, True)


def test_grafanas_variables_are_replaced() -> None:
    assert interpolated('rate(a{product=~"$product"}[$__rate_interval])') == (
        'rate(a{product=~".*"}[1m])'
    )


def test_the_command_fails_when_something_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(SystemExit) as ended:
        main(["--prometheus-url", address, "--timeout", "1"])
    assert ended.value.code == 1
    shown = capsys.readouterr().out
    assert "   0 data" in shown
    assert "Governance / Trail" in shown
    with pytest.raises(SystemExit):
        main(["--prometheus-url", address, "--timeout", "1", "--json"])
    assert {each["verdict"] for each in json.loads(capsys.readouterr().out)} == {"refused"}
