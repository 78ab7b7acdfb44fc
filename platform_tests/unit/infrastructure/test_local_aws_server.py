"""The corrections of the local AWS API, and the copy of the tree that is applied to it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.parsers import RpcV2CBORParser
from botocore.serialize import RpcV2CBORSerializer

from infrastructure import moto_server, rpc_cbor, tools, working_copy

CLOUDWATCH = botocore.session.get_session().get_service_model("cloudwatch")
ALARM: dict[str, Any] = {
    "AlarmName": "queue",
    "Threshold": 1.5,
    "EvaluationPeriods": 3,
    "ActionsEnabled": True,
    "Dimensions": [{"Name": "environment", "Value": "dev"}],
}


class Behind:
    """A server that speaks JSON and keeps what it was asked."""

    def __init__(self, status: str, answer: object) -> None:
        self.status = status
        self.answer = json.dumps(answer).encode()
        self.asked: dict[str, Any] = {}

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        self.asked = environ
        start_response(self.status, [])
        return [self.answer]


def ask(application: rpc_cbor.Application, **environ: Any) -> tuple[str, dict[str, str], bytes]:
    told: list[Any] = []
    body = environ.pop("body", b"")
    whole = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    answer = b"".join(application(whole | environ, lambda *words: told.extend(words)))
    return told[0], dict(told[1]), answer


def in_cbor(name: str, values: dict[str, Any]) -> dict[str, Any]:
    request = RpcV2CBORSerializer().serialize_to_request(values, CLOUDWATCH.operation_model(name))
    path = f"/service/GraniteServiceVersion20100801/operation/{name}"
    return {"PATH_INFO": path, "body": request["body"]}


def read(body: bytes, name: str) -> dict[str, Any]:
    answer = {"body": body, "headers": {}, "status_code": 200}
    shape = CLOUDWATCH.operation_model(name).output_shape
    found: dict[str, Any] = RpcV2CBORParser().parse(answer, shape)
    return found


def test_a_request_in_cbor_reaches_the_server_as_json() -> None:
    behind = Behind("200 OK", {})
    status, headers, _ = ask(rpc_cbor.CborFrontDoor(behind), **in_cbor("PutMetricAlarm", ALARM))
    assert json.loads(behind.asked["wsgi.input"].read()) == ALARM
    assert behind.asked["HTTP_X_AMZ_TARGET"] == "GraniteServiceVersion20100801.PutMetricAlarm"
    assert behind.asked["PATH_INFO"] == "/"
    assert (status, headers["smithy-protocol"]) == ("200 OK", "rpc-v2-cbor")


def test_an_answer_in_json_is_given_in_cbor_with_its_times() -> None:
    alarm = {"AlarmName": "queue", "StateUpdatedTimestamp": 1_800_000_000.25, "Threshold": 1.0}
    behind = Behind("200 OK", {"MetricAlarms": [alarm]})
    _, _, body = ask(rpc_cbor.CborFrontDoor(behind), **in_cbor("DescribeAlarms", {}))
    (found,) = read(body, "DescribeAlarms")["MetricAlarms"]
    assert found["StateUpdatedTimestamp"] == datetime.fromtimestamp(1_800_000_000.25, tz=UTC)
    assert found["Threshold"] == 1.0


def test_a_failure_keeps_its_type_and_status() -> None:
    behind = Behind("404 Not Found", {"__type": "ResourceNotFound", "message": "no such alarm"})
    status, _, body = ask(rpc_cbor.CborFrontDoor(behind), **in_cbor("PutMetricAlarm", ALARM))
    assert status == "404 Not Found"
    assert b"ResourceNotFound" in body


def test_other_requests_pass_as_they_are() -> None:
    behind = Behind("200 OK", {})
    ask(rpc_cbor.CborFrontDoor(behind), PATH_INFO="/service/other/operation/Do", body=b"x")
    assert behind.asked["wsgi.input"].read() == b"x"
    assert behind.asked["PATH_INFO"] == "/service/other/operation/Do"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"<CreateBucketConfiguration><Tags/></CreateBucketConfiguration>", "200 OK"),
        (b"<CreateBucketConfiguration><Tags><Tag/></Tags></CreateBucketConfiguration>", "400"),
        (b"<Tagging><Tags></Tags></Tagging>", "200 OK"),
    ],
)
def test_a_new_bucket_is_refused_its_tags_and_nothing_else_is(body: bytes, status: str) -> None:
    behind = Behind("200 OK", {})
    got, _, _ = ask(moto_server.untagged_buckets(behind), REQUEST_METHOD="PUT", body=body)
    assert got.startswith(status)
    if got == "200 OK":
        assert behind.asked["wsgi.input"].read() == body


def test_a_correction_of_what_moto_no_longer_has_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="correct it elsewhere"):
        moto_server._replace(Behind, "gone", None)


def test_the_copy_holds_no_state_and_stands_where_the_repository_would(tmp_path: Path) -> None:
    root, target = tmp_path / "root", tmp_path / "target"
    module = root / "infrastructure" / "terraform" / "modules" / "a"
    module.mkdir(parents=True)
    target.mkdir()
    (root / "alert_rules.yml").write_text("groups: []")
    (root / ".git").mkdir()
    (module / "main.tf").write_text("")
    (module / "terraform.tfstate").write_text("secret")
    (module / ".terraform").mkdir()
    copy = working_copy.copy_tree(target, root)
    assert (copy / ".." / ".." / "alert_rules.yml").read_text() == "groups: []"
    assert not (target / ".git").exists()
    assert sorted(each.name for each in (copy / "modules" / "a").iterdir()) == ["main.tf"]
    assert working_copy.roots(copy) == (Path("modules/a"),)


def test_modules_environments_and_bootstrap_are_all_root_modules() -> None:
    found = {str(each) for each in working_copy.roots(tools.TERRAFORM)}
    assert {"bootstrap", "environments/dev", "environments/prod", "modules/stack"} <= found
