"""moto's server with a few corrections: ``python -m infrastructure.moto_server PORT``.

Each correction has an entry of the same name under ``server`` in ``moto-limits.yaml``, which says
what moto does without it. Corrections are for answers that no configuration could live with;
everything else is an override of the applied copy.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from infrastructure.rpc_cbor import Application, CborFrontDoor


def no_bucket_policies(application: Application) -> Application:
    """Judges no request by a bucket's policy; policies are kept and read back as they are."""
    from moto.iam.access_control import PermissionResult
    from moto.s3.models import FakeBucket

    def get_permission(*_: Any) -> PermissionResult:
        return PermissionResult.NEUTRAL

    if not hasattr(FakeBucket, "get_permission"):
        raise RuntimeError("moto judges buckets elsewhere now; correct it there")
    FakeBucket.get_permission = get_permission  # type: ignore[assignment, method-assign]
    return application


CORRECTIONS: Final[Mapping[str, Callable[[Application], Application]]] = {
    "no_bucket_policies": no_bucket_policies,
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
