"""Who sends a request, for tests of the web server: sessions and tokens of ``accounts.py``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from accounts import Accounts
from issuer import CLIENT, ISSUER, Issuer
from simulators import FakeClock

from interlock.adapters.directory import Person
from interlock.adapters.identity_mapping import IdentityMapping
from interlock.adapters.run_identity import IdentitySigner, IdentityVerifier
from interlock.adapters.signer import LocalSigner, is_signed_by, new_private_key
from interlock.webserver.visitors import COOKIE, Proxy, Visitors


class Desk(Accounts):
    """Ada and robot before a web server that finds out who they are."""

    def __init__(self, clock: FakeClock, folder: Path) -> None:
        super().__init__(clock, written="Ada")
        self.folder = folder
        self.signer, self.verifier = self.key("server")
        self.visitors = self.visitors_of()

    def key(self, name: str) -> tuple[IdentitySigner, IdentityVerifier]:
        path = self.folder / f"{name}.pem"
        path.write_bytes(new_private_key())
        path.chmod(0o600)
        signer = LocalSigner(path)
        verifier = IdentityVerifier(is_signed_by((signer.public_key,)))
        return IdentitySigner(signer, clock=self.clock), verifier

    def visitors_of(self, **changes: Any) -> Visitors:
        usual: dict[str, Any] = {
            "directory": self.directory,
            "credentials": self.credentials,
            "signer": self.signer,
            "verifier": self.verifier,
            "environment": "prod",
            "clock": self.clock,
        }
        return Visitors(**{**usual, **changes})

    def visitors_behind(self, issuer: Issuer) -> Visitors:
        """The same where a proxy's tokens say who somebody is, and their groups the role."""
        mapping = IdentityMapping.model_validate(
            {
                "proxy": {
                    "kind": "oidc",
                    "issuer": ISSUER,
                    "client_id": CLIENT,
                    "jwks_url": f"{issuer.address}/jwks",
                },
                "roles": [
                    {"group": "risk-approvers", "role": "approver"},
                    {"group": "risk-engineers", "role": "ml_engineer"},
                ],
            }
        )
        return self.visitors_of(proxy=Proxy(mapping, mapping.verifier(clock=self.clock)))

    def disable(self, name: str) -> None:
        self.directory.change(name, lambda known: replace(known, disabled=True))

    def by_cookie(self, cookie: str) -> Person:
        found = self.visitors.find({}, {COOKIE: cookie})
        assert found is not None
        assert found.by_cookie
        return found.person
