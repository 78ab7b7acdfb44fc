"""What the local AWS API cannot do, and how the copy that is applied there gets round it.

``moto-limits.yaml`` lists it all, each with what the server answers. An entry either leaves a
resource out or makes Terraform overlook an attribute, by an override file beside the module's own
files; the module itself stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

LIMITS: Final = Path(__file__).with_name("moto-limits.yaml")
OVERRIDE_FILE: Final = "moto_override.tf"


class Limit(BaseModel):
    """One thing that moto cannot do.

    Attributes:
        module: The folder under ``infrastructure/terraform``.
        resource: The resource's address in that module.
        effect: Whether it is left out, or attributes of it are overlooked.
        moto: What moto answers.
        override: The text of the override; resources and outputs, as in Terraform's own docs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    module: str = Field(min_length=1)
    resource: str = Field(pattern=r"^(data\.)?aws_[a-z0-9_]+\.[a-z0-9_]+$")
    effect: Literal["left out", "overlooked"]
    moto: str = Field(min_length=20)
    override: str = Field(min_length=1)

    @property
    def line(self) -> str:
        """The limit on one line of a report."""
        return f"{self.effect}: {self.module}: {self.resource}: {' '.join(self.moto.split())}"


class Correction(BaseModel):
    """One answer of moto's that the local server corrects.

    Attributes:
        name: The correction in ``moto_server``.
        moto: What moto does without it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    moto: str = Field(min_length=20)

    @property
    def line(self) -> str:
        """The correction on one line of a report."""
        return f"corrected: {self.name}: {' '.join(self.moto.split())}"


class Limits(BaseModel):
    """The whole list.

    Attributes:
        server: Corrections of the server.
        limits: What the applied copy does without.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    server: tuple[Correction, ...]
    limits: tuple[Limit, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """Each entry on one line of a report."""
        return (*(each.line for each in self.server), *(each.line for each in self.limits))


def read(path: Path = LIMITS) -> Limits:
    """The list as it is written."""
    return Limits.model_validate(yaml.safe_load(path.read_text()))


def declared(folder: Path) -> frozenset[str]:
    """The addresses of the resources that a module's files declare."""
    found = set()
    for file in folder.glob("*.tf"):
        for kind, type_, name in re.findall(
            r'(?m)^(resource|data) "([^"]+)" "([^"]+)"', file.read_text()
        ):
            found.add(f"{'data.' if kind == 'data' else ''}{type_}.{name}")
    return frozenset(found)


def overrides(limits: Iterable[Limit]) -> Mapping[str, str]:
    """The text of the override file of each module that needs one."""
    texts: dict[str, str] = {}
    for limit in limits:
        texts[limit.module] = texts.get(limit.module, "") + limit.override.rstrip() + "\n\n"
    return texts


def write_overrides(terraform: Path, limits: Iterable[Limit]) -> None:
    """Writes the override files into a copy of the tree."""
    for module, text in overrides(limits).items():
        (terraform / module / OVERRIDE_FILE).write_text(text)
