"""``interlock up``: S3, MLflow, Dagster, its daemon and the console for daily work."""

from __future__ import annotations

import click

from interlock.cli.entering import checked_settings
from interlock.cli.verb import Result, Terminal, verb
from interlock.errors import ConfigurationError
from interlock.governance.principal import IdentitySource
from interlock.local.control import up
from interlock.local.services import DEFAULT_PORTS, Ports
from interlock.settings import Settings, applied_to_process

PORT = click.IntRange(1, 65_535)


@verb("up")
@click.option("--dagster-port", type=PORT, default=DEFAULT_PORTS.dagster, show_default=True)
@click.option("--console-port", type=PORT, default=DEFAULT_PORTS.console, show_default=True)
@click.option("--mlflow-port", type=PORT, default=DEFAULT_PORTS.mlflow, show_default=True)
@click.option("--s3-port", type=PORT, default=DEFAULT_PORTS.s3, show_default=True)
@click.option(
    "--identity",
    type=click.Choice([IdentitySource.ENV.value, IdentitySource.LOCAL.value]),
    help="Who vouches for people, instead of IDENTITY_SOURCE: the operator, or their passwords.",
)
def command(
    terminal: Terminal,
    *,
    dagster_port: int,
    console_port: int,
    mlflow_port: int,
    s3_port: int,
    identity: str | None,
) -> Result:
    """Start S3, MLflow, Dagster, its daemon and the console, and stay until Ctrl-C.

    Serves on 127.0.0.1 alone. The schedule is on. `interlock down` stops it from elsewhere.
    """
    checked_settings(terminal)
    chosen = {} if identity is None else {"IDENTITY_SOURCE": identity}
    with applied_to_process(chosen) as settings:
        ports = Ports(dagster=dagster_port, console=console_port, mlflow=mlflow_port, s3=s3_port)
        _up(settings, ports, terminal)
    return Result({"stopped": True, "home": settings.home})


def _up(settings: Settings, ports: Ports, terminal: Terminal) -> None:
    if not settings.embedded:
        raise ConfigurationError(
            "AWS_ENDPOINT_URL_S3 or MLFLOW_TRACKING_URI is set, so there is nothing to start here",
            remedy="unset both to use the embedded services",
        )
    up(settings, ports=ports, echo=lambda line: terminal.err.print(line, markup=False))
