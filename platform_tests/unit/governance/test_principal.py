"""Who acts, and how names and words are read from text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.errors import ConfigurationError
from interlock.governance.principal import (
    Environment,
    IdentitySource,
    Principal,
    Role,
    account_of,
    parse_environment,
    parse_identity_source,
    parse_role,
    parse_roles,
)


@pytest.mark.parametrize("name", ["", "   ", "ann\nroot", "ann\u200b", "\ud800", "a\x00b"])
def test_blank_or_unprintable_name_is_no_principal(name: str) -> None:
    with pytest.raises(ConfigurationError, match="no name of a principal") as refusal:
        Principal(name, Role.VIEWER, "env")
    assert "RUN_OWNER" in refusal.value.remedy


@pytest.mark.parametrize("other", ["ANN", " ann ", "\uff21nn", "Ann"])
def test_one_account_written_differently_is_one_account(other: str) -> None:
    first = Principal("ann", Role.APPROVER, "env")
    assert Principal(other, Role.APPROVER, "env").account == first.account


def test_different_accounts_stay_different() -> None:
    assert account_of("ann") != account_of("anna")


@given(st.text())
@settings(deadline=None)
def test_account_of_an_account_is_itself(name: str) -> None:
    assert account_of(account_of(name)) == account_of(name)


@pytest.mark.parametrize("role", Role)
def test_every_role_is_read_from_its_name(role: Role) -> None:
    assert parse_role(f" {role} ") is role


@pytest.mark.parametrize("text", ["", "root", "ML_ENGINEER", "ml-engineer", "viewer,auditor"])
def test_unknown_role_is_refused_with_the_list(text: str) -> None:
    with pytest.raises(ConfigurationError, match="unknown role") as refusal:
        parse_role(text)
    assert "data_scientist, ml_engineer" in refusal.value.remedy


def test_roles_are_read_from_a_list() -> None:
    assert parse_roles("ml_engineer, auditor,") == {Role.ML_ENGINEER, Role.AUDITOR}


def test_blank_list_allows_nobody() -> None:
    assert parse_roles(" ") == frozenset()


def test_one_unknown_role_refuses_the_whole_list() -> None:
    with pytest.raises(ConfigurationError, match="unknown role ' boss'"):
        parse_roles("ml_engineer, boss")


@pytest.mark.parametrize("text", ["", "production", "Prod"])
def test_unknown_environment_is_refused_with_the_list(text: str) -> None:
    with pytest.raises(ConfigurationError, match="unknown environment") as refusal:
        parse_environment(text)
    assert refusal.value.remedy == "choose one of dev, staging, prod"


def test_known_environment_and_identity_source_are_read() -> None:
    assert parse_environment("prod") is Environment.PROD
    assert parse_identity_source("oidc-proxy") is IdentitySource.OIDC_PROXY


def test_unknown_identity_source_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="unknown identity source 'header'"):
        parse_identity_source("header")
