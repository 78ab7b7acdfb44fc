"""One environment, really applied: init, plan, apply, plan again, inspect, destroy.

The AWS provider is the real one; the API behind it is moto's server on loopback. What moto cannot
do is in ``moto-limits.yaml`` and shown in the report. What the services are asked once everything
stands is in ``guardrails``.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from infrastructure import givens, guardrails, moto_limits
from infrastructure.leftovers import empty_bucket, leftovers, outlive_retention
from infrastructure.local_aws import LocalAws
from infrastructure.report import Report, Result, failed, ok
from infrastructure.static_checks import Tree
from infrastructure.terraform_command import (
    CHANGES,
    Terraform,
    done,
    drifted,
    planned,
)

BOOTSTRAP: Final = Path("bootstrap")
PLAN: Final = "trial.tfplan"
UNPROTECTED: Final = "dev"  # the one environment that may be taken down by one command
# What else is protected: the database, and the audit trail by its lock. moto would let a protected
# load balancer go.
PROTECTIONS: Final = (r"RDS Cluster .*[Pp]rotect", r"S3 Bucket \(\S+-audit-\S+\) .* 403")
PROVIDER_OVERRIDE: Final = """\
# Written into this copy by aws_test: an AWS API on loopback has one address for everything.
provider "aws" {
  s3_use_path_style         = true
  skip_region_validation    = true
  skip_metadata_api_check   = true
  max_retries               = 2 # what this API cannot do, it cannot do the next time either
}
"""


@dataclass
class Trial:
    """One environment on its way from nothing to nothing.

    Attributes:
        tree: The copy of the Terraform tree.
        aws: The local AWS API.
        environment: Which environment.
        limits: What moto cannot do.
    """

    tree: Tree
    aws: LocalAws
    environment: str
    limits: moto_limits.Limits
    given: givens.Givens = field(init=False)
    bucket: str = field(init=False, default="")

    @property
    def place(self) -> Path:
        """The environment's folder in the tree."""
        return Path("environments") / self.environment

    def prepare(self) -> Result:
        """Writes overrides and values into the copy, and makes what has to be there already."""
        self.given = givens.make(self.aws)
        moto_limits.write_overrides(self.tree.folder, self.limits.limits)
        for place in (BOOTSTRAP, self.place):
            folder = self.tree.folder / place
            (folder / "provider_override.tf").write_text(PROVIDER_OVERRIDE)
            shutil.copyfile(folder / "terraform.tfvars.example", folder / "terraform.tfvars")
        self._give(BOOTSTRAP, self.given.of_bootstrap())
        lines = self.limits.lines
        return ok(f"{len(lines)} limits of moto", *lines)

    def bootstrap(self) -> Result:
        """Applies the state bucket's own configuration, with local state."""
        terraform = self.terraform(BOOTSTRAP)
        counts: Counter[str] = Counter()
        for words in (("init", "-input=false", "-no-color"), ("apply", "-auto-approve", "-json")):
            answer = terraform.call(*words)
            if answer.code:
                return failed(words[0], *answer.complaints)
            counts = done(answer.messages)
        outputs = terraform.document("output", "-json")
        self.bucket = outputs["bucket"]["value"]
        self._give(self.place, self.given.of_environment(outputs["state"]["value"]))
        return ok(f"{counts['create']} resources applied, bucket {self.bucket}")

    def _give(self, place: Path, values: Mapping[str, Any]) -> None:
        (self.tree.folder / place / "given.auto.tfvars.json").write_text(json.dumps(values))

    def init(self) -> Result:
        """Initialises with the remote state."""
        words = (
            f"-backend-config=bucket={self.bucket}",
            f"-backend-config=region={self.aws.region}",
            "-backend-config=use_path_style=true",
        )
        answer = self.terraform(self.place).call("init", "-input=false", "-no-color", *words)
        return ok("remote state") if answer.code == 0 else failed("init", *answer.complaints)

    def plan(self) -> Result:
        """Plans everything."""
        terraform = self.terraform(self.place)
        answer = terraform.call("plan", "-json", f"-out={PLAN}")
        if answer.code:
            return failed("plan", *answer.complaints)
        counts = planned(terraform.document("show", "-json", PLAN))
        return ok(f"{counts['create']} resources planned")

    def apply(self) -> Result:
        """Applies that plan, and nothing else."""
        answer = self.terraform(self.place).call("apply", "-json", PLAN)
        counts = done(answer.messages)
        figures = f"{counts['create']} resources applied"
        if answer.code:
            return failed(figures, *answer.complaints)
        return ok(figures)

    def plan_again(self) -> Result:
        """A second plan has nothing to do."""
        terraform = self.terraform(self.place)
        answer = terraform.call("plan", "-json", "-detailed-exitcode", f"-out={PLAN}")
        if answer.code == CHANGES:
            return failed("changes", *drifted(terraform.document("show", "-json", PLAN)))
        return failed("plan", *answer.complaints) if answer.code else ok("no changes")

    def inspect(self) -> Result:
        """Asks the services about the guardrails."""
        made = guardrails.resources(self.terraform(self.place).document("show", "-json"))
        return guardrails.inspect(guardrails.Applied(self.aws, made, self.state()))

    def state(self) -> bytes:
        """The stored state, byte for byte."""
        s3 = self.aws.client("s3")
        keys = [each["Key"] for each in s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])]
        return b"".join(s3.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys)

    def destroy(self) -> Result:
        """Destroys everything, the second time after the retention of what is locked.

        What is not dev is protected, and then a refusal is the right outcome.
        """
        terraform = self.terraform(self.place)
        first = terraform.call("destroy", "-auto-approve", "-json")
        if self.environment != UNPROTECTED:
            return protected(first.complaints)
        counts, notes = done(first.messages), []
        last = first
        if first.code:
            outlived = outlive_retention(self.aws)
            notes += [f"refused before its retention ends: {each}" for each in outlived]
            last = terraform.call("destroy", "-auto-approve", "-json")
            counts += done(last.messages)
        figures = f"{counts['delete']} resources destroyed"
        if last.code:
            return failed(figures, *last.complaints)
        return ok(figures, *notes)

    def clean(self) -> Result:
        """Takes down the state bucket too; nothing is left."""
        empty_bucket(self.aws, self.bucket)
        folder = self.tree.folder / BOOTSTRAP
        for file in folder.glob("*.tf"):  # the bucket protects itself, in every other folder
            file.write_text(file.read_text().replace("prevent_destroy = true", ""))
        answer = self.terraform(BOOTSTRAP).call("destroy", "-auto-approve", "-json")
        if answer.code:
            return failed("bootstrap", *answer.complaints)
        self.given.remove()
        left = leftovers(self.aws, [each.line for each in self.limits.kept])
        figures = f"{done(answer.messages)['delete']} resources of bootstrap destroyed"
        return failed(f"{len(left)} left", *left) if left else ok(figures)

    def terraform(self, place: Path) -> Terraform:
        """Terraform in one folder, with the local API for AWS."""
        found = self.tree.at(place)
        variables: Mapping[str, str] = {**found.variables, **self.aws.variables}
        return Terraform(found.program, found.folder, variables, found.caller)


def protected(complaints: Sequence[str]) -> Result:
    """Whether a destroy was refused as it has to be.

    Args:
        complaints: What Terraform was told.
    """
    lacking = [each for each in PROTECTIONS if not any(re.search(each, one) for one in complaints)]
    if lacking:
        return failed(f"no refusal like {', '.join(lacking)}", *complaints)
    return ok(f"refused, as it has to be: {len(complaints)} times", *complaints)


def run(report: Report, trial: Trial) -> None:
    """Takes the trial through its steps; the first failure ends it."""
    steps: tuple[tuple[str, Callable[[], Result]], ...] = (
        ("prepare", trial.prepare),
        ("bootstrap", trial.bootstrap),
        ("init", trial.init),
        ("plan", trial.plan),
        ("apply", trial.apply),
        ("plan again", trial.plan_again),
        ("guardrails", trial.inspect),
        ("destroy", trial.destroy),
        ("nothing left", trial.clean),
    )
    broken = applied = False
    for name, step in steps:
        title = f"{trial.environment}: {name}"
        # What an apply made before it failed is destroyed all the same.
        if broken and not (applied and name == "destroy"):
            report.skip(title, "an earlier step failed")
            continue
        if name == "nothing left" and trial.environment != UNPROTECTED:
            report.skip(title, "it is protected, and ends with the local API")
            continue
        applied = applied or name == "apply"
        broken = not report.run(title, step) or broken
