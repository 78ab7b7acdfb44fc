"""Ports: a taken one is named, a free one is really free."""

from __future__ import annotations

import socket

import pytest

from interlock.errors import PortTaken
from interlock.local.ports import LOOPBACK, free_port, free_ports, is_free, require_free
from interlock.local.seaweed import SeaweedPorts


def test_free_ports_are_distinct_and_free() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(is_free(port) for port in ports)


def test_taken_port_is_named_with_its_service_and_a_way_out() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(PortTaken) as refusal:
            require_free({"S3": free_port(), "MLflow": port}, setting="--mlflow-port")
    assert (refusal.value.port, refusal.value.service) == (port, "MLflow")
    assert f"port {port} for MLflow is taken" in str(refusal.value)
    assert "--mlflow-port" in refusal.value.remedy


def test_listener_on_every_interface_takes_the_loopback_port_too() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:  # noqa: S104 - that is the point
        assert not is_free(taken.getsockname()[1])


def test_port_is_free_again_after_its_server_closed_connections() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection((LOOPBACK, port))
        accepted, _ = server.accept()
        accepted.close()
        client.close()
    assert is_free(port)


def test_store_names_ten_distinct_ports() -> None:
    ports = SeaweedPorts.beside(free_port())
    assert len(set(ports.by_service().values())) == 10
    assert len(set(ports.flags())) == 10
    assert ports.admin_grpc == ports.admin + 10_000
