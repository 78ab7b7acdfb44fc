"""Smithy's RPC v2 protocol with CBOR, in front of a server that speaks the older JSON one.

The SDK of the Terraform provider speaks it to CloudWatch; moto answers 404. Both protocols carry
the same values, and botocore has what reads and writes each.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import botocore.session
from botocore.model import ShapeResolver
from botocore.parsers import JSONParser, RpcV2CBORParser
from botocore.serialize import JSONSerializer, RpcV2CBORSerializer

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

SERVICES: Final[Mapping[str, str]] = {"GraniteServiceVersion20100801": "cloudwatch"}
FIRST_FAILURE: Final = 300  # HTTP's first status that is no success
ERROR: Final = ShapeResolver(
    {
        "Error": {"type": "map", "key": {"shape": "Text"}, "value": {"shape": "Text"}},
        "Text": {"type": "string"},
    }
).get_shape_by_name("Error")


class CborFrontDoor:
    """A WSGI application that hands CBOR on as JSON, and everything else as it is.

    Args:
        behind: The application that speaks JSON.
    """

    def __init__(self, behind: Application) -> None:
        self._behind = behind
        session = botocore.session.get_session()
        self._services = {
            prefix: session.get_service_model(service) for prefix, service in SERVICES.items()
        }

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answers one request."""
        match str(environ["PATH_INFO"]).split("/"):
            case ["", "service", prefix, "operation", name] if prefix in self._services:
                operation = self._services[prefix].operation_model(name)
                return self._translated(operation, environ, start_response)
        return self._behind(environ, start_response)

    def _translated(
        self, operation: Any, environ: Environ, start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        sent = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        statuses: list[str] = []
        answer = b"".join(
            self._behind(
                environ | as_json(sent, operation), lambda status, *_: statuses.append(status)
            )
        )
        body = as_cbor(answer, int(statuses[0].split()[0]), operation)
        headers = {
            "Content-Type": "application/cbor",
            "Content-Length": str(len(body)),
            "smithy-protocol": "rpc-v2-cbor",
        }
        start_response(statuses[0], list(headers.items()))
        return [body]


def as_json(sent: bytes, operation: Any) -> Environ:
    """What changes in a request's WSGI environment when its body becomes JSON.

    Args:
        sent: The body, CBOR.
        operation: botocore's model of the operation.
    """
    read = RpcV2CBORParser().parse(
        {"body": sent, "headers": {}, "status_code": 200}, operation.input_shape
    )
    values = {name: value for name, value in read.items() if name != "ResponseMetadata"}
    request = JSONSerializer().serialize_to_request(values, operation)
    return {
        "PATH_INFO": "/",
        "RAW_URI": "/",
        "REQUEST_URI": "/",
        "CONTENT_TYPE": request["headers"]["Content-Type"],
        "CONTENT_LENGTH": str(len(request["body"])),
        "HTTP_X_AMZ_TARGET": request["headers"]["X-Amz-Target"],
        "wsgi.input": io.BytesIO(request["body"]),
    }


def as_cbor(answer: bytes, status: int, operation: Any) -> bytes:
    """The body of an answer as CBOR.

    Args:
        answer: The body, JSON; a failure's names its ``__type``.
        status: HTTP's.
        operation: botocore's model of the operation.
    """
    if status >= FIRST_FAILURE or operation.output_shape is None:
        shape = ERROR
        values = {name: str(value) for name, value in json.loads(answer or b"{}").items()}
    else:
        shape = operation.output_shape
        read = JSONParser().parse({"body": answer, "headers": {}, "status_code": status}, shape)
        values = {name: value for name, value in read.items() if name != "ResponseMetadata"}
    written = bytearray()
    RpcV2CBORSerializer()._serialize_data_item(written, values, shape)
    return bytes(written)
