"""What says whose tokens are believed and what their groups mean here.

One YAML file, or the same as JSON in the setting itself, read at start: a wrong one stops the
process. The first role whose group somebody is in is theirs, so that the order of the list decides
and nobody acts in two. ADR-0012.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from interlock.adapters.directory import Person
from interlock.adapters.identity_keys import AlbKeys, Fetch, JwksKeys, KeySource, alb_key_url
from interlock.adapters.identity_tokens import (
    ALB_HEADER,
    CLOUDFLARE_HEADER,
    TokenRules,
    TokenVerifier,
    VerifiedIdentity,
)
from interlock.errors import ConfigurationError, IdentityError
from interlock.governance.principal import IdentitySource, Role

MAX_FILE: Final = 1_048_576  # bytes
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=512)]
Team = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
PersonsRole = Literal[
    "viewer", "data_scientist", "ml_engineer", "approver", "auditor", "platform_admin"
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LoadBalancer(_Strict):
    """An AWS Application Load Balancer that signs people in."""

    kind: Literal["alb"]
    issuer: Text
    client_id: Text
    signer: Annotated[
        str,
        StringConstraints(pattern=r"^arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:\d{12}:.+"),
    ]

    @property
    def region(self) -> str:
        """The region that the load balancer is in."""
        return self.signer.split(":")[3]


class OpenIdConnect(_Strict):
    """An OpenID Connect issuer whose ID token a proxy hands on, e.g. oauth2-proxy."""

    kind: Literal["oidc"]
    issuer: Text
    client_id: Text
    jwks_url: Text
    header: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+$", to_lower=True)] = (
        "authorization"
    )
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("RS256", "ES256")


class Cloudflare(_Strict):
    """An application behind Cloudflare Access."""

    kind: Literal["cloudflare"]
    team: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$")]
    audience: Text

    @property
    def issuer(self) -> str:
        """Who issues the tokens of this team."""
        return f"https://{self.team}.cloudflareaccess.com"


class _RoleOfGroup(_Strict):
    group: Text
    role: PersonsRole


class _TeamOfGroup(_Strict):
    group: Text
    team: Team


class IdentityMapping(_Strict):
    """Whose tokens are believed, and what their groups mean."""

    proxy: Annotated[LoadBalancer | OpenIdConnect | Cloudflare, Field(discriminator="kind")]
    subject: Text = "email"
    groups: Text = "groups"
    roles: Annotated[tuple[_RoleOfGroup, ...], Field(min_length=1)]
    teams: tuple[_TeamOfGroup, ...] = ()

    @property
    def header(self) -> str:
        """The header that holds the token, in lower case."""
        if isinstance(self.proxy, OpenIdConnect):
            return self.proxy.header
        return ALB_HEADER if isinstance(self.proxy, LoadBalancer) else CLOUDFLARE_HEADER

    def verifier(
        self, *, clock: Callable[[], datetime], fetch: Fetch | None = None
    ) -> TokenVerifier:
        """What checks these tokens.

        Args:
            clock: The time, aware UTC.
            fetch: Gets an address; over the network by default.

        Raises:
            ConfigurationError: The address of the keys is not https.
        """
        proxy, keys = self.proxy, self._keys(clock, fetch)
        rules = TokenRules(
            issuer=proxy.issuer,
            audience=proxy.audience if isinstance(proxy, Cloudflare) else proxy.client_id,
            algorithms=_algorithms(proxy),
            subject=self.subject,
            groups=self.groups,
            signer=proxy.signer if isinstance(proxy, LoadBalancer) else None,
        )
        return TokenVerifier(rules, keys, clock=clock)

    def person(self, identity: VerifiedIdentity, *, now: datetime) -> Person:
        """Who somebody is here.

        Args:
            identity: From a token that was believed.
            now: The time, aware UTC.

        Raises:
            IdentityError: None of their groups has a role here.
        """
        roles = [each.role for each in self.roles if each.group in identity.groups]
        if not roles:
            raise IdentityError(
                f"no group of {identity.subject} has a role here",
                remedy="have them put into a group that the identity mapping names",
            )
        return Person(
            name=identity.subject,
            role=Role(roles[0]),
            teams=frozenset(each.team for each in self.teams if each.group in identity.groups),
            source=IdentitySource.OIDC_PROXY,
            sessions_from=now,
        )

    def _keys(self, clock: Callable[[], datetime], fetch: Fetch | None) -> KeySource:
        proxy = self.proxy
        if isinstance(proxy, LoadBalancer):
            return AlbKeys(alb_key_url(proxy.region), clock=clock, fetch=fetch)
        if isinstance(proxy, Cloudflare):
            return JwksKeys(f"{proxy.issuer}/cdn-cgi/access/certs", clock=clock, fetch=fetch)
        return JwksKeys(proxy.jwks_url, clock=clock, fetch=fetch)


def read_mapping(source: Path | str) -> IdentityMapping:
    """Read the mapping.

    Args:
        source: A file with YAML, or the text itself.

    Raises:
        ConfigurationError: It cannot be read, or says something else than it may.
    """
    try:
        content = yaml.safe_load(source if isinstance(source, str) else _head_of(source))
        return IdentityMapping.model_validate(content)
    except OSError as error:
        raise _wrong(source, error.strerror or str(error)) from error
    except yaml.YAMLError as error:
        raise _wrong(source, f"is no YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise _wrong(source, f"{where}: {first['msg']}") from error


def _head_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_FILE)


def _algorithms(proxy: LoadBalancer | OpenIdConnect | Cloudflare) -> tuple[str, ...]:
    if isinstance(proxy, OpenIdConnect):
        return proxy.algorithms
    return ("ES256",) if isinstance(proxy, LoadBalancer) else ("RS256",)


def _wrong(source: Path | str, what: str) -> ConfigurationError:
    where = "in IDENTITY_MAPPING" if isinstance(source, str) else str(source)
    return ConfigurationError(
        f"the identity mapping {where}: {what}", remedy="correct it as docs/identity.md says"
    )
