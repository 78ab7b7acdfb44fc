"""What the local AWS API cannot do, and how the copy that is applied there gets round it.

``moto-limits.yaml`` lists it all, each with what the server answers. A limit either leaves
resources out or makes Terraform overlook attributes, by an override file beside the module's own
files; the modules stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

LIMITS: Final = Path(__file__).with_name("moto-limits.yaml")
OVERRIDE_FILE: Final = "moto_override.tf"
ADDRESS: Final = r"^aws_[a-z0-9_]+\.[a-z0-9_]+$"


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


class Limit(BaseModel):
    """One thing that moto cannot do.

    Attributes:
        module: The folder under ``infrastructure/terraform``.
        resources: The addresses concerned, in that module.
        effect: Whether they are left out, or attributes of them are overlooked.
        attributes: Which attributes; none when they are left out.
        moto: What moto answers.
        outputs: Outputs of the module that have nothing to say then.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    module: str = Field(min_length=1)
    resources: tuple[str, ...] = Field(min_length=1)
    effect: Literal["left out", "overlooked"]
    attributes: tuple[str, ...] = ()
    moto: str = Field(min_length=20)
    outputs: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _attributes_fit_the_effect(self) -> Self:
        if bool(self.attributes) != (self.effect == "overlooked"):
            raise ValueError("attributes are named where they are overlooked, and nowhere else")
        for each in self.resources:
            if not re.match(ADDRESS, each):
                raise ValueError(f"{each} is no address of a resource")
        return self

    @property
    def line(self) -> str:
        """The limit on one line of a report."""
        what = f"{self.effect}: {self.module}: {', '.join(self.resources)}"
        if self.attributes:
            what += f" ({', '.join(self.attributes)})"
        return f"{what}: {' '.join(self.moto.split())}"


class Kept(BaseModel):
    """Something that moto keeps although it was deleted.

    Attributes:
        line: A regular expression of its line among the leftovers.
        moto: What moto does.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    line: str
    moto: str = Field(min_length=20)


class Limits(BaseModel):
    """The whole list.

    Attributes:
        server: Corrections of the server.
        limits: What the applied copy does without.
        kept: What stays when all is destroyed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    server: tuple[Correction, ...]
    limits: tuple[Limit, ...]
    kept: tuple[Kept, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """Each entry on one line of a report."""
        return (
            *(each.line for each in self.server),
            *(each.line for each in self.limits),
            *(f"kept: {each.line}: {each.moto}" for each in self.kept),
        )


def read(path: Path = LIMITS) -> Limits:
    """The list as it is written."""
    return Limits.model_validate(yaml.safe_load(path.read_text()))


def declared(folder: Path) -> Mapping[str, str]:
    """The resources that a module's files declare: the text of each block, by address."""
    found = {}
    for file in sorted(folder.glob("*.tf")):
        for block in re.finditer(
            r'^resource "([^"]+)" "([^"]+)" \{\n(.*?)^\}',
            file.read_text(),
            re.DOTALL | re.MULTILINE,
        ):
            found[f"{block[1]}.{block[2]}"] = block[3]
    return found


def override(limit: Limit, blocks: Mapping[str, str]) -> Iterator[str]:
    """The blocks that override a limit's resources.

    Args:
        limit: The limit.
        blocks: What the module declares.
    """
    for address in limit.resources:
        block = blocks[address]
        if limit.effect == "left out":
            none = (
                "for_each = {}" if re.search(r"^  for_each\b", block, re.MULTILINE) else "count = 0"
            )
            body = f"  {none}\n"
        else:
            # An override's list takes the place of the block's own.
            own = re.search(r"ignore_changes = \[(.*?)\]\s*(?:#[^\n]*)?\n", block, re.DOTALL)
            kept = [each.strip() for each in own[1].split(",") if each.strip()] if own else []
            names = ", ".join(dict.fromkeys([*kept, *limit.attributes]))
            body = f"  lifecycle {{\n    ignore_changes = [{names}]\n  }}\n"
        kind, name = address.split(".")
        yield f'resource "{kind}" "{name}" {{\n{body}}}\n'
    for name in limit.outputs:
        yield f'output "{name}" {{\n  value = null\n}}\n'


def write_overrides(terraform: Path, limits: Iterable[Limit]) -> None:
    """Writes the override files into a copy of the tree."""
    for limit in limits:
        folder = terraform / limit.module
        with (folder / OVERRIDE_FILE).open("a") as file:
            file.writelines(override(limit, declared(folder)))
