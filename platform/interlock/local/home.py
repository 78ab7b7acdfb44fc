"""The folder of the embedded services: what lies where in it, and how it is removed.

Here: paths, the marker that makes the folder ours, the store's generated credentials, Dagster's
instance file. Starting something in it: ``platform.py`` (for one command) and ``supervisor.py``
(for daily work).
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interlock.adapters.signer import LocalSigner, new_private_key
from interlock.errors import ConfigurationError, LocalError
from interlock.local.locks import PROBE_SECONDS, FileLock, is_held

MARKER = "interlock-home.json"
MARKER_SCHEMA = "interlock.home/v1"
KEY_BYTES = 32  # of randomness in the secret key
ACCESS_KEY_BYTES = 8
MAX_CONCURRENT_RUNS = 2  # a training run uses every core it finds
RUN_START_SECONDS = 180

DAGSTER_INSTANCE: dict[str, Any] = {
    # Storage is not named: Dagster's default is SQLite in this folder.
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},  # a community sign-up dialog for every new user otherwise
    # Says who each run acts for; a queue as Dagster's own otherwise.
    "run_coordinator": {
        "module": "interlock.webserver.coordinator",
        "class": "GovernedRunCoordinator",
    },
    "concurrency": {
        "runs": {
            "max_concurrent_runs": MAX_CONCURRENT_RUNS,
            "tag_concurrency_limits": [
                {
                    "key": "interlock/product",
                    "value": {"applyLimitPerUniqueValue": True},
                    "limit": 1,
                }
            ],
        }
    },
    "run_monitoring": {
        "enabled": True,
        "start_timeout_seconds": RUN_START_SECONDS,
        "cancel_timeout_seconds": RUN_START_SECONDS,
        "max_resume_run_attempts": 0,
    },
}


@dataclass(frozen=True)
class Credentials:
    """The secrets of a home, made when it is first used; they stay out of the repr.

    Args:
        access_key: The only access key that the embedded S3 accepts.
        secret_key: Its secret.
        run_signing_key: Proves that a schedule of this home started a run.
    """

    access_key: str
    secret_key: str = field(repr=False)
    run_signing_key: str = field(repr=False)


@dataclass(frozen=True)
class Home:
    """A folder of embedded services, readable by its owner alone.

    Args:
        path: The folder, absolute.
    """

    path: Path

    @property
    def s3(self) -> Path:
        """Data of the embedded S3."""
        return self.path / "s3"

    @property
    def mlflow_database(self) -> Path:
        """MLflow's SQLite file."""
        return self.path / "mlflow.db"

    @property
    def dagster(self) -> Path:
        """DAGSTER_HOME."""
        return self.path / "dagster_home"

    @property
    def spool(self) -> Path:
        """Audit records that could not be written to S3."""
        return self.path / "spool"

    @property
    def logs(self) -> Path:
        """One log per service."""
        return self.path / "logs"

    @property
    def run(self) -> Path:
        """Locks that say which service is alive."""
        return self.path / "run"

    @property
    def state(self) -> Path:
        """State of ``interlock up``, locked while it lives."""
        return self.path / "state.json"

    @property
    def session(self) -> Path:
        """State of the command that started S3 for itself, locked while it lives."""
        return self.run / "session.json"

    @property
    def gate(self) -> Path:
        """Lock around starting and stopping S3."""
        return self.run / "gate.lock"

    @property
    def users(self) -> Path:
        """Lock shared by the commands that use the S3 of one of them."""
        return self.run / "users.lock"

    @property
    def workspace(self) -> Path:
        """Dagster's list of code locations."""
        return self.dagster / "workspace.yaml"

    @property
    def dagster_status(self) -> Path:
        """What Dagster's web server says of daemons and code locations while it comes up."""
        return self.run / "dagster-status.json"

    @property
    def mlflow_database_uri(self) -> str:
        """MLflow's database as an address."""
        return f"sqlite:///{self.mlflow_database}"

    def exists(self) -> bool:
        """Whether the folder is there and is ours."""
        return (self.path / MARKER).is_file()

    def prepare(self) -> None:
        """Makes the folder and what belongs in it; does nothing where all is there.

        Raises:
            ConfigurationError: Something else is in the folder, or it cannot be made.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self.exists() and any(self.path.iterdir()):
                raise ConfigurationError(
                    f"INTERLOCK_HOME is {self.path}, which holds something else, expected a "
                    "folder of Interlock's own",
                    remedy="choose a new or an empty folder",
                )
            _write_once(self.path / MARKER, json.dumps({"schema": MARKER_SCHEMA}).encode())
            for folder in (self.s3, self.dagster, self.spool, self.logs, self.run):
                folder.mkdir(mode=0o700, exist_ok=True)
            # JSON is YAML.
            replace_file(self.dagster / "dagster.yaml", json.dumps(DAGSTER_INSTANCE, indent=2))
        except OSError as error:
            raise ConfigurationError(
                f"INTERLOCK_HOME is {self.path}, which cannot be used ({error}), expected a "
                "folder that may be written to",
                remedy="free space there, correct its rights, or choose another folder",
            ) from error

    def credentials(self, *, random_hex: Callable[[int], str] = secrets.token_hex) -> Credentials:
        """The home's secrets, made at first use.

        Args:
            random_hex: Gives that many random bytes as hexadecimal text.

        Raises:
            LocalError: The file is there and is not what was written.
        """
        path = self.path / "credentials.json"
        made = {
            "access_key": f"interlock-{random_hex(ACCESS_KEY_BYTES)}",
            "secret_key": random_hex(KEY_BYTES),
            "run_signing_key": random_hex(KEY_BYTES),
        }
        _write_once(path, json.dumps(made, indent=2).encode())
        try:
            found = json.loads(path.read_bytes())
            return Credentials(**{name: str(found[name]) for name in made})
        except (ValueError, KeyError, TypeError) as error:
            raise LocalError(
                f"{path} is not the file that Interlock wrote, expected {', '.join(made)}",
                remedy="restore it, or remove it: new ones are made, the data stays readable",
            ) from error

    @property
    def approval_key(self) -> Path:
        """The key that signs approvals of this home."""
        return self.path / "approval-key.pem"

    def approval_public_keys(self) -> Path:
        """The file with the public half of the approval key; both are made at first use.

        Raises:
            SigningError: The key's file is there and is not what was written.
        """
        return _public_half(self.approval_key, self.path / "approval-public-keys.pem")

    @property
    def identity_key(self) -> Path:
        """The key with which web server and daemon of this home sign who acts."""
        return self.path / "identity-key.pem"

    def identity_public_keys(self) -> Path:
        """The file with the public half of the identity key; both are made at first use.

        Raises:
            SigningError: The key's file is there and is not what was written.
        """
        return _public_half(self.identity_key, self.path / "identity-public-keys.pem")

    def in_use(self) -> bool:
        """Whether ``up`` or a command works on the folder."""
        return is_held(self.state) or is_held(self.session) or is_held(self.s3_lock)

    @property
    def s3_lock(self) -> Path:
        """Lock that the S3 process holds; ``SeaweedServer`` names it."""
        return self.s3.with_name(f"{self.s3.name}.lock")

    def reset(self) -> bool:
        """Removes the folder with everything in it, and nothing else.

        Returns:
            Whether there was one.

        Raises:
            ConfigurationError: The folder is not ours.
            LocalError: ``up`` or a command works on it.
        """
        if not self.path.exists():
            return False
        if not self.exists() or self.path.is_symlink():
            raise ConfigurationError(
                f"{self.path} is not a folder that Interlock made ({MARKER} is missing, or it is "
                "a link), so it is not removed",
                remedy="check INTERLOCK_HOME; remove the folder yourself if you are sure",
            )
        self.run.mkdir(exist_ok=True)
        gate = FileLock(self.gate)
        try:
            if not gate.acquire(seconds=PROBE_SECONDS) or self.in_use():
                raise LocalError(
                    f"{self.path} is in use, so it is not removed",
                    remedy="run `interlock down`, or wait until the other command has ended",
                )
            shutil.rmtree(self.path)
        finally:
            gate.release()
        return True


def _public_half(key: Path, public: Path) -> Path:
    """The file with the public half of a key, where both are made when they are missing."""
    if not key.exists():
        _write_once(key, new_private_key())
    if not public.exists():
        _write_once(public, LocalSigner(key).public_key.pem)
    return public


def _write_once(path: Path, content: bytes) -> None:
    """Writes a file for its owner alone, unless it is there already; never half a file."""
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # fails where another command was first
    except FileExistsError:
        return
    finally:
        draft.unlink()


def replace_file(path: Path, content: str) -> None:
    """Replaces a file where it differs; readers see the old one or the new one."""
    if path.exists() and path.read_text() == content:
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(content)
    draft.replace(path)
