"""What answers of S3 mean, from a server that says exactly what a test wants to hear."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from interlock.adapters.object_store import S3ObjectStore
from interlock.errors import (
    InterlockError,
    ObjectExists,
    ObjectMissing,
    PreconditionFailed,
    StoreError,
    StoreUnavailable,
)

RUN = "User: arn:aws:sts::1:assumed-role/run is not authorized to perform:"
OK = (200, {"ETag": '"abc"', "x-amz-version-id": "v1"}, b"")


def refusal(status: int, code: str, message: str = "no.") -> tuple[int, dict[str, str], bytes]:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return status, {"Content-Type": "application/xml"}, body.encode()


class Script:
    """A server that gives the next of its answers, and the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = [OK]
        self.requests: list[str] = []
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                self.rfile.read(length)
                script.requests.append(f"{self.command} {self.path}")
                status, headers, body = script.answers[0]
                if len(script.answers) > 1:
                    script.answers.pop(0)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(body)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = True

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = answer  # noqa: N815 - of the base

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Keeps the output of the tests clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.store = S3ObjectStore(
            endpoint_url=f"http://127.0.0.1:{self.server.server_port}",
            access_key="key",
            secret_key="the-secret",
            region="us-east-1",
        )


@pytest.fixture
def script() -> Iterator[Script]:
    made = Script()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()
    made.store._s3.client().close()


def test_conflict_with_another_request_is_sent_again(script: Script) -> None:
    conflict = refusal(409, "ConditionalRequestConflict")
    script.answers = [conflict, conflict, OK]
    assert script.store.put_new("data", "k", b"1") == "v1"
    assert len(script.requests) == 3


def test_conflict_without_end_is_unavailable(script: Script) -> None:
    script.answers = [refusal(409, "ConditionalRequestConflict")]
    with pytest.raises(StoreUnavailable, match="ConditionalRequestConflict"):
        script.store.put_new("data", "k", b"1")


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (refusal(404, "NoSuchKey"), ObjectMissing, "found nothing there"),
        (refusal(404, "NoSuchBucket"), ObjectMissing, "found nothing there"),
        (refusal(403, "AccessDenied", "Access Denied."), StoreError, "refused: AccessDenied"),
        (refusal(403, "ExpiredToken"), StoreUnavailable, "these credentials"),
        (refusal(403, "RequestTimeTooSkewed"), StoreUnavailable, "set this machine's clock"),
        (refusal(400, "InvalidRequest", "Odd."), StoreError, "InvalidRequest Odd;"),
        ((200, {"Content-Length": "100"}, b"short"), StoreUnavailable, "got no answer"),
        ((404, {}, b"<html>not found</html>"), StoreUnavailable, "not S3's"),
    ],
)
def test_answer_to_a_read_is_translated(
    script: Script,
    answer: tuple[int, dict[str, str], bytes],
    error: type[InterlockError],
    text: str,
) -> None:
    last_modified = {"Last-Modified": "Mon, 02 Mar 2026 09:00:00 GMT", "ETag": '"a"'}
    script.answers = [(answer[0], {**last_modified, **answer[1]}, answer[2])]
    with pytest.raises(StoreError, match=text) as caught:
        script.store.get("data", "some/key")
    assert type(caught.value) is error
    assert "s3://data/some/key at http://127.0.0.1:" in str(caught.value)
    assert caught.value.__cause__ is not None
    assert "the-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "message", "error", "remedy"),
    [
        ("ExpiredToken", "The provided token has expired.", StoreUnavailable, "new temporary"),
        ("InvalidToken", "no.", StoreUnavailable, "or the task's role"),
        ("KMS.DisabledException", "no.", StoreUnavailable, "key is enabled"),
        ("KMS.KMSInvalidStateException", "no.", StoreUnavailable, "about to be deleted"),
        ("ThrottlingException", "Rate exceeded", StoreUnavailable, "fewer requests"),
        (
            "AccessDenied",
            f"{RUN} s3:DeleteObject with an explicit deny in a resource-based policy",
            StoreError,
            "leave it: the bucket's policy",
        ),
        (
            "AccessDenied",
            f"{RUN} s3:PutObject with an explicit deny in an identity-based policy",
            StoreError,
            "act as another role",
        ),
        (
            "AccessDenied",
            f"{RUN} kms:GenerateDataKey because no identity-based policy allows it",
            StoreError,
            "kms:GenerateDataKey",
        ),
        ("AccessDenied", "Access Denied", StoreError, "check the rights"),
    ],
)
def test_refusal_of_aws_says_what_to_do(
    script: Script, code: str, message: str, error: type[InterlockError], remedy: str
) -> None:
    script.answers = [refusal(403, code, message)]
    with pytest.raises(StoreError) as caught:
        script.store.delete("audit", "k")
    assert type(caught.value) is error
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("answer", [refusal(500, "InternalError"), refusal(503, "SlowDown")])
def test_trouble_in_the_store_is_unavailable_after_three_attempts(
    script: Script, answer: tuple[int, dict[str, str], bytes]
) -> None:
    script.answers = [answer]
    with pytest.raises(StoreUnavailable, match="failed in the store"):
        script.store.get("data", "k")
    assert len(script.requests) == 3


@pytest.mark.parametrize(
    "attempt",
    [
        lambda store: list(store.list("data")),
        lambda store: list(store.list_versions("data", "")),
        lambda store: store.bucket_lock("data"),
    ],
)
def test_page_of_another_server_is_unavailable(
    script: Script, attempt: Callable[[S3ObjectStore], object]
) -> None:
    script.answers = [(200, {"Content-Type": "text/html"}, b"<html><p>Welcome")]
    with pytest.raises(StoreUnavailable, match="not S3's"):
        attempt(script.store)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda store: store.put_new("data", "k", b"1"),
        lambda store: store.put_matching("data", "k", b"1", etag='"a"'),
        lambda store: store.get("data", "k"),
        lambda store: store.head("data", "k"),
        lambda store: list(store.list("data")),
        lambda store: list(store.list_versions("data", "")),
    ],
)
def test_server_that_answers_anything_with_success_is_not_taken_for_a_store(
    script: Script, attempt: Callable[[S3ObjectStore], object]
) -> None:
    script.answers = [(200, {}, b"")]
    with pytest.raises(StoreUnavailable, match="not S3's"):
        attempt(script.store)


def test_download_that_breaks_off_leaves_no_file(script: Script, tmp_path: Path) -> None:
    last_modified = {"Last-Modified": "Mon, 02 Mar 2026 09:00:00 GMT", "ETag": '"a"'}
    script.answers = [(200, {**last_modified, "Content-Length": "100"}, b"short")]
    with pytest.raises(StoreUnavailable, match="got no answer"):
        script.store.download("data", "k", tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def test_missing_key_is_another_state_where_a_state_was_expected(script: Script) -> None:
    # AWS answers 404 where SeaweedFS answers 412.
    script.answers = [refusal(404, "NoSuchKey")]
    with pytest.raises(PreconditionFailed, match="is gone"):
        script.store.put_matching("data", "k", b"1", etag='"a"')
    with pytest.raises(PreconditionFailed, match="is gone"):
        script.store.delete("data", "k", etag='"a"')
    script.answers = [refusal(404, "NoSuchBucket")]
    with pytest.raises(ObjectMissing):
        script.store.put_matching("data", "k", b"1", etag='"a"')
    with pytest.raises(ObjectMissing):
        script.store.delete("data", "k", etag='"a"')


def test_taken_key_names_the_object(script: Script) -> None:
    script.answers = [refusal(412, "PreconditionFailed")]
    with pytest.raises(ObjectExists, match=r"s3://data/k at .* exists already"):
        script.store.put_new("data", "k", b"1")


def test_bucket_of_somebody_else_is_not_taken_for_ones_own(script: Script) -> None:
    script.answers = [refusal(409, "BucketAlreadyExists", "Taken."), (403, {}, b"")]
    with pytest.raises(StoreError, match="BucketAlreadyExists"):
        script.store.create_bucket("data")
    assert script.requests == ["PUT /data", "HEAD /data"]


def test_default_retention_in_years_is_given_in_days(script: Script) -> None:
    rule = (
        "<Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Years>2</Years></DefaultRetention></Rule>"
    )
    script.answers = [
        (
            200,
            {"Content-Type": "application/xml"},
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>"
            f"{rule}</ObjectLockConfiguration>".encode(),
        )
    ]
    assert script.store.bucket_lock("data").retention_days == 730


def test_aws_is_told_the_region_of_a_new_bucket() -> None:
    def options(endpoint_url: str | None, region: str) -> object:
        store = S3ObjectStore(
            endpoint_url=endpoint_url, access_key="a", secret_key="b", region=region
        )
        return dict(store._s3.bucket_options)

    assert options(None, "eu-central-1") == {
        "CreateBucketConfiguration": {"LocationConstraint": "eu-central-1"}
    }
    assert options(None, "us-east-1") == options("http://127.0.0.1:1", "eu-central-1") == {}
