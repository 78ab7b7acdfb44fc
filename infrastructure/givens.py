"""What has to exist before an environment can be applied, made in the local AWS API.

An operator brings these along: a certificate, the client secret of the sign-in, roles of people.
All other values are the example's, ``terraform.tfvars.example``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from infrastructure.local_aws import ACCOUNT, LocalAws

ADMINISTRATOR: Final = "interlock-administrator"
APPROVER: Final = "model-risk"
CLIENT_SECRET: Final = "interlock/oidc-client"  # noqa: S105 - a name
SIGN_IN: Final = "https://login.example.com"
TRUST: Final = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)


@dataclass(frozen=True)
class Givens:
    """What the operator brings along.

    Attributes:
        aws: The local AWS API.
        roles: ARNs by name.
        secret: ARN of the sign-in's client secret.
        certificate: ARN of the load balancer's certificate.
    """

    aws: LocalAws
    roles: Mapping[str, str]
    secret: str
    certificate: str

    def of_bootstrap(self) -> Mapping[str, Any]:
        """Variables of bootstrap that name what exists here."""
        return {
            "region": self.aws.region,
            "account_id": ACCOUNT,
            "administrator_role_arn": self.roles[ADMINISTRATOR],
        }

    def of_environment(self, state: Mapping[str, str]) -> Mapping[str, Any]:
        """Variables of an environment that name what exists here.

        Args:
            state: What bootstrap gave: the ARNs of the state's bucket and key.
        """
        return {
            **self.of_bootstrap(),
            "approver_principal_arn": self.roles[APPROVER],
            "certificate_arn": self.certificate,
            "oidc": {
                "issuer": SIGN_IN,
                "authorization_endpoint": f"{SIGN_IN}/authorize",
                "token_endpoint": f"{SIGN_IN}/token",
                "user_info_endpoint": f"{SIGN_IN}/userinfo",
                "client_id": "interlock",
                "client_secret_arn": self.secret,
            },
            "state": dict(state),
        }

    def remove(self) -> None:
        """Takes it all away."""
        iam = self.aws.client("iam")
        for name in self.roles:
            iam.delete_role(RoleName=name)
        self.aws.client("secretsmanager").delete_secret(
            SecretId=self.secret, ForceDeleteWithoutRecovery=True
        )
        self.aws.client("acm").delete_certificate(CertificateArn=self.certificate)


def make(aws: LocalAws) -> Givens:
    """Makes it all."""
    iam = aws.client("iam")
    roles = {
        name: iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        for name in (ADMINISTRATOR, APPROVER)
    }
    # AWS makes a service's own role when the service is first used. moto only looks for it, under
    # the name that it has in AWS, which moto would write otherwise.
    iam.create_role(
        RoleName="AWSServiceRoleForBatch",
        Path="/aws-service-role/batch.amazonaws.com/",
        AssumeRolePolicyDocument=TRUST,
    )
    secret = aws.client("secretsmanager").create_secret(
        Name=CLIENT_SECRET, SecretString="not-really-a-secret"
    )
    certificate = aws.client("acm").request_certificate(
        DomainName="*.ml.example.com", ValidationMethod="DNS"
    )
    return Givens(aws, roles, secret["ARN"], certificate["CertificateArn"])
