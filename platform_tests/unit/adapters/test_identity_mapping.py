"""The file that says whose tokens are believed, and what groups mean here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from issuer import CLIENT, ISSUER, SIGNER, Issuer, serving
from simulators import FakeClock

from interlock.adapters.identity_mapping import IdentityMapping, read_mapping
from interlock.errors import ConfigurationError, IdentityError
from interlock.governance.principal import IdentitySource, Role

ROLES = [
    {"group": "risk-approvers", "role": "approver"},
    {"group": "risk-engineers", "role": "ml_engineer"},
]
TEAMS = [{"group": "risk-engineers", "team": "risk"}]
ALB = {"kind": "alb", "issuer": ISSUER, "client_id": CLIENT, "signer": SIGNER}
CLOUDFLARE = {"kind": "cloudflare", "team": "acme", "audience": CLIENT}


def oidc(**changes: Any) -> dict[str, Any]:
    usual = {"kind": "oidc", "issuer": ISSUER, "client_id": CLIENT, "jwks_url": "https://i/jwks"}
    return {**usual, **changes}


def content(proxy: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return {"proxy": proxy or oidc(), "roles": ROLES, "teams": TEAMS, **changes}


def written(tmp_path: Path, document: object) -> Path:
    path = tmp_path / "identity.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def issuer(clock: FakeClock) -> Iterator[Issuer]:
    with serving(clock) as made:
        yield made


def test_groups_become_one_role_and_teams(tmp_path: Path, issuer: Issuer) -> None:
    mapping = read_mapping(written(tmp_path, content(oidc(jwks_url=f"{issuer.address}/jwks"))))
    verifier = mapping.verifier(clock=issuer.clock)
    person = mapping.person(verifier.verify(issuer.token()), now=issuer.clock())
    assert (person.name, person.role, person.teams) == (
        "ada@example.com",
        Role.ML_ENGINEER,
        frozenset({"risk"}),
    )
    assert person.source is IdentitySource.OIDC_PROXY
    both = issuer.token(groups=["risk-engineers", "risk-approvers", "staff"])
    assert mapping.person(verifier.verify(both), now=issuer.clock()).role is Role.APPROVER
    nobody = verifier.verify(issuer.token(groups=["staff"]))
    with pytest.raises(IdentityError, match=r"no group of ada@example\.com has a role here"):
        mapping.person(nobody, now=issuer.clock())


@pytest.mark.parametrize(
    ("proxy", "header", "address"),
    [
        (ALB, "x-amzn-oidc-data", "https://public-keys.auth.elb.eu-central-1.amazonaws.com/second"),
        (
            CLOUDFLARE,
            "cf-access-jwt-assertion",
            "https://acme.cloudflareaccess.com/cdn-cgi/access/certs",
        ),
        (oidc(header="X-Id-Token"), "x-id-token", "https://i/jwks"),
    ],
)
def test_each_proxy_has_its_header_and_its_keys(
    tmp_path: Path, issuer: Issuer, proxy: dict[str, Any], header: str, address: str
) -> None:
    mapping = read_mapping(written(tmp_path, content(proxy)))
    assert mapping.header == header
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return issuer.answers["/second" if proxy is ALB else "/jwks"][1]

    verifier = mapping.verifier(clock=issuer.clock, fetch=fetch)
    issued_by = "https://acme.cloudflareaccess.com" if proxy is CLOUDFLARE else ISSUER
    token = issuer.alb_token() if proxy is ALB else issuer.token(iss=issued_by, aud=[CLIENT])
    assert verifier.verify(token).subject == "ada@example.com"
    assert asked == [address]


@pytest.mark.parametrize(
    ("document", "what"),
    [
        (content(extra=1), "extra"),
        (content(roles=[]), "roles"),
        (content(roles=[{"group": "g", "role": "boss"}]), "roles.0.role"),
        (content(roles=[{"group": "g", "role": "scheduler"}]), "roles.0.role"),
        (content(roles=[{"group": " ", "role": "viewer"}]), "roles.0.group"),
        (content(teams=[{"group": "g", "team": "two words"}]), "teams.0.team"),
        (content({"kind": "saml"}), "proxy"),
        (content({**ALB, "signer": "arn:aws:iam::1:role/x"}), "signer"),
        (content({**CLOUDFLARE, "team": "evil.example/"}), "team"),
        (content(oidc(algorithms=["HS256"])), "algorithms"),
        (content(oidc(algorithms=["none"])), "algorithms"),
        (content(oidc(algorithms=[])), "algorithms"),
        ([], "the whole"),
        (None, "the whole"),
    ],
)
def test_wrong_file_is_told_with_its_place(tmp_path: Path, document: object, what: str) -> None:
    with pytest.raises(ConfigurationError, match=what):
        read_mapping(written(tmp_path, document))


def test_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        read_mapping(tmp_path / "none.yaml")
    path = tmp_path / "identity.yaml"
    path.write_text("proxy: [")
    with pytest.raises(ConfigurationError, match="is no YAML"):
        read_mapping(path)


def test_keys_over_plain_http_are_refused_at_start(clock: FakeClock) -> None:
    mapping = IdentityMapping.model_validate(content(oidc(jwks_url="http://issuer.example/jwks")))
    with pytest.raises(ConfigurationError, match="expected https"):
        mapping.verifier(clock=clock)


def test_mapping_may_be_the_text_itself(tmp_path: Path) -> None:
    wanted = content(ALB)
    assert read_mapping(json.dumps(wanted)) == read_mapping(written(tmp_path, wanted))
    for wrong in ("{", json.dumps({**wanted, "role": []})):
        with pytest.raises(ConfigurationError, match="in IDENTITY_MAPPING: ") as refused:
            read_mapping(wrong)
        assert CLIENT not in str(refused.value)
