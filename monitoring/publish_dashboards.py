"""Brings the dashboards into a Grafana that is not the composed stack's own.

``python -m monitoring.publish_dashboards --grafana-url URL --datasource-uid UID``, with the token
of a service account from a file or from a variable that is named. The files of
``grafana/dashboards`` go into one folder, through Grafana's HTTP API. What is there already as it
should be is left alone, so that it may run after every deployment.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from interlock.errors import ConfigurationError, InterlockError, MonitoringError
from interlock.settings import process_environment
from monitoring.dashboards.generate import FOLDER

FOLDER_UID: Final = "interlock"
FOLDER_TITLE: Final = "Interlock"
DATASOURCE_VARIABLE: Final = "PROM_DS"  # of every dashboard
MAX_BYTES: Final = 16 << 20  # of one answer
ASSIGNED: Final = ("id", "version")  # what Grafana itself adds to a dashboard
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class Outcome(StrEnum):
    """What became of a dashboard."""

    PUBLISHED = "published"
    UNCHANGED = "unchanged"


class Grafana:
    """The few requests of Grafana's HTTP API that are needed.

    Args:
        url: Of Grafana, ``https://host``; plain ``http`` on this machine alone.
        token: Of a service account that may edit dashboards; never shown.
        timeout: For one answer, seconds.

    Raises:
        ConfigurationError: The address is none, or would send the token in the clear.
    """

    def __init__(self, url: str, token: str, *, timeout: float) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        if not secure or parts.hostname is None:
            raise ConfigurationError(
                f"the address of Grafana is {parts.scheme}://{parts.hostname}, expected https",
                remedy="give an https address; a token is not sent in the clear",
            )
        self._parts = parts
        self._token = token
        self._timeout = timeout

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """One request.

        Args:
            method: GET or POST.
            path: Below Grafana's address.
            body: What to send as JSON.

        Returns:
            Status and the JSON of the answer.

        Raises:
            MonitoringError: No answer, none in JSON, or the token was refused.
        """
        assert self._parts.hostname is not None  # noqa: S101 - checked at construction
        kind = (
            http.client.HTTPSConnection
            if self._parts.scheme == "https"
            else http.client.HTTPConnection
        )
        connection = kind(self._parts.hostname, self._parts.port, timeout=self._timeout)
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, self._parts.path.rstrip("/") + path, data, headers)
            with connection.getresponse() as response:
                status, text = response.status, response.read(MAX_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise self._unusable(method, path, f"no answer ({error})") from error
        finally:
            connection.close()
        if status in {http.client.UNAUTHORIZED, http.client.FORBIDDEN}:
            raise MonitoringError(
                f"Grafana refuses the token for {method} {path} with status {status}",
                remedy="give the token of a service account with the role Editor",
            )
        try:
            return status, json.loads(text)
        except ValueError as error:
            raise self._unusable(method, path, f"status {status} and no JSON") from error

    def expect(self, method: str, path: str, body: object = None) -> Any:
        """One request that has to succeed.

        Args:
            method: GET or POST.
            path: Below Grafana's address.
            body: What to send as JSON.

        Returns:
            The JSON of the answer.

        Raises:
            MonitoringError: As ``ask``; also any status but 200.
        """
        status, answer = self.ask(method, path, body)
        if status != http.client.OK:
            said = answer.get("message", "") if isinstance(answer, dict) else ""
            raise self._unusable(method, path, f"status {status}: {said}")
        return answer

    def _unusable(self, method: str, path: str, found: str) -> MonitoringError:
        return MonitoringError(
            f"Grafana at {self._parts.hostname} answers {method} {path} with {found}",
            remedy="see whether the address is Grafana's, and its log",
        )


def wanted(folder: Path, datasource: str) -> dict[str, dict[str, Any]]:
    """The dashboards as they should be.

    Args:
        folder: Their files.
        datasource: Uid of the data source that they show.

    Returns:
        Dashboards by uid.

    Raises:
        ConfigurationError: There are none, or one does not let its data source be chosen.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        dashboard = json.loads(path.read_text())
        variables = dashboard.get("templating", {}).get("list", [])
        chosen = [each for each in variables if each["name"] == DATASOURCE_VARIABLE]
        if not chosen:
            raise ConfigurationError(
                f"{path.name} has no variable {DATASOURCE_VARIABLE}",
                remedy="write the dashboards with `make dashboards`",
            )
        chosen[0]["current"] = {"text": datasource, "value": datasource}
        found[str(dashboard["uid"])] = dashboard
    if not found:
        raise ConfigurationError(
            f"there is no dashboard in {folder}", remedy="give the folder grafana/dashboards"
        )
    return found


def publish(
    grafana: Grafana, dashboards: Mapping[str, dict[str, Any]], *, datasource: str
) -> dict[str, Outcome]:
    """Brings dashboards into their folder.

    Args:
        grafana: Where to.
        dashboards: By uid, as ``wanted`` gives them.
        datasource: Uid of the data source that they show.

    Returns:
        What became of each.

    Raises:
        MonitoringError: Grafana does not answer, refuses, or has no such data source.
    """
    _require_datasource(grafana, datasource)
    _require_folder(grafana)
    return {uid: _publish_one(grafana, uid, each) for uid, each in dashboards.items()}


def _require_datasource(grafana: Grafana, uid: str) -> None:
    status, _ = grafana.ask("GET", f"/api/datasources/uid/{quote(uid, safe='')}")
    if status != http.client.OK:
        raise MonitoringError(
            f"Grafana has no data source with the uid {uid!r} (status {status})",
            remedy="add the Prometheus workspace as a data source, and give its uid",
        )


def _require_folder(grafana: Grafana) -> None:
    status, _ = grafana.ask("GET", f"/api/folders/{FOLDER_UID}")
    if status != http.client.OK:
        grafana.expect("POST", "/api/folders", {"uid": FOLDER_UID, "title": FOLDER_TITLE})


def _publish_one(grafana: Grafana, uid: str, dashboard: dict[str, Any]) -> Outcome:
    status, answer = grafana.ask("GET", f"/api/dashboards/uid/{quote(uid, safe='')}")
    if status == http.client.OK:
        present = {key: value for key, value in answer["dashboard"].items() if key not in ASSIGNED}
        if present == dashboard and answer["meta"].get("folderUid") == FOLDER_UID:
            return Outcome.UNCHANGED
    grafana.expect(
        "POST",
        "/api/dashboards/db",
        {"dashboard": dashboard, "folderUid": FOLDER_UID, "overwrite": True},
    )
    return Outcome.PUBLISHED


def read_token(file: Path | None, variable: str | None) -> str:
    """The token, from the one place that is named.

    Args:
        file: A file that holds nothing else.
        variable: Name of an environment variable.

    Raises:
        ConfigurationError: There is none.
    """
    try:
        token = (
            file.read_text().strip()
            if file is not None
            else process_environment().get(variable or "", "").strip()
        )
    except OSError as error:
        raise ConfigurationError(
            f"the token file {file} cannot be read: {error.strerror}",
            remedy="give a file that this user may read",
        ) from error
    if not token:
        where = f"the file {file}" if file is not None else f"the variable {variable}"
        raise ConfigurationError(
            f"{where} holds no token", remedy="make one for a service account with the role Editor"
        )
    return token


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m monitoring.publish_dashboards",
        description="Brings the dashboards into a Grafana.",
    )
    parser.add_argument("--grafana-url", required=True)
    parser.add_argument("--datasource-uid", required=True, help="of the Prometheus to show")
    token = parser.add_mutually_exclusive_group(required=True)
    token.add_argument("--token-file", type=Path, help="file that holds the token")
    token.add_argument("--token-variable", metavar="NAME", help="variable that holds the token")
    parser.add_argument("--dashboards", type=Path, default=FOLDER, help="folder of their files")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds for one answer")
    options = parser.parse_args(arguments)
    try:
        outcomes = publish(
            Grafana(
                options.grafana_url,
                read_token(options.token_file, options.token_variable),
                timeout=options.timeout,
            ),
            wanted(options.dashboards, options.datasource_uid),
            datasource=options.datasource_uid,
        )
    except InterlockError as error:
        sys.exit(f"publish-dashboards: {error}")
    for uid, outcome in outcomes.items():
        print(f"{uid}: {outcome}")


if __name__ == "__main__":
    main()
