"""moto's server with a few corrections: ``python -m infrastructure.moto_server PORT``.

Each correction has an entry of the same name under ``server`` in ``moto-limits.yaml``, which says
what moto does without it. Corrections are for answers that no configuration could live with;
everything else is an override of the applied copy.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from infrastructure.rpc_cbor import Application, CborFrontDoor, Environ

NO_TAGS: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b"<Error><Code>UnsupportedArgument</Code><Message>Tags are not taken here</Message></Error>"
)


def no_bucket_policies(application: Application) -> Application:
    """Judges no request by a bucket's policy; policies are kept and read back as they are."""
    from moto.iam.access_control import PermissionResult
    from moto.s3.models import FakeBucket

    def get_permission(*_: Any) -> PermissionResult:
        return PermissionResult.NEUTRAL

    _replace(FakeBucket, "get_permission", get_permission)
    return application


def rule_descriptions(application: Application) -> Application:
    """Remembers the description of every rule of a security group."""
    from moto.ec2.models.security_groups import SecurityGroupRule

    begin = SecurityGroupRule.__init__

    def remember(self: Any, *words: Any, **named: Any) -> None:
        begin(self, *words, **named)
        # Addresses, security group or prefix list; the tags come by name.
        self.ends = [each for each in words if isinstance(each, dict)]

    def description(self: Any) -> str | None:
        return next((each["Description"] for each in self.ends if each.get("Description")), None)

    _replace(SecurityGroupRule, "description", property(description))
    SecurityGroupRule.__init__ = remember  # type: ignore[method-assign]
    return application


def untagged_buckets(application: Application) -> Application:
    """Refuses tags that come with a new bucket, as stores do that do not know them."""

    def refuse(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "PUT" and not environ.get("QUERY_STRING"):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            if b"<CreateBucketConfiguration" in body and b"<Tags>" in body:
                start_response("400 Bad Request", [("Content-Type", "application/xml")])
                return [NO_TAGS]
            environ = environ | {"wsgi.input": io.BytesIO(body)}
        return application(environ, start_response)

    return refuse


def _replace(owner: type, name: str, value: object) -> None:
    if not hasattr(owner, name):
        raise RuntimeError(f"moto's {owner.__name__} has no {name} any more; correct it elsewhere")
    setattr(owner, name, value)


CORRECTIONS: Final[Mapping[str, Callable[[Application], Application]]] = {
    "no_bucket_policies": no_bucket_policies,
    "rule_descriptions": rule_descriptions,
    "untagged_buckets": untagged_buckets,
    "cbor": CborFrontDoor,
}


def main(port: int) -> None:
    """Serves on loopback until it is ended."""
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import run_simple

    application: Application = DomainDispatcherApplication(create_backend_app)
    for correct in CORRECTIONS.values():
        application = correct(application)
    run_simple("127.0.0.1", port, application, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main(int(sys.argv[1]))
