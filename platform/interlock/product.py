"""A model product: what a data scientist declares, as one frozen value.

One ``defs.yaml`` becomes one ``ModelProduct``. Here live its fields, the rules between them
and the reading of the file with errors by line. The sections' own rules live where they
take effect: ``ml.source``, ``ml.contract``, ``ml.training``, ``governance.gates``. What
Dagster makes of a product lives in ``components.model_product``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from interlock.errors import InterlockError, ProductError
from interlock.governance.gates import Gate, tighten, unknown_metrics
from interlock.ml.candidates import Candidates
from interlock.ml.contract import Contract
from interlock.ml.evaluation import METRICS
from interlock.ml.source import Source
from interlock.ml.training import Search, Target

COMPONENT_TYPE = "interlock.components.model_product.ModelProductComponent"
DATA_METRICS = ("data_quality_score", "rows")
"""What a gate may limit besides the metrics of the evaluation: the score of the data
contract in [0, 1], and the number of accepted rows."""

_NAME = re.compile(r"[a-z][a-z0-9_]{1,62}")
_MODEL = re.compile(r"[A-Za-z][A-Za-z0-9_-]{1,127}")
_OWNER = re.compile(r"team:[a-zA-Z0-9_-]+|[^@\s]+@[^@\s]+\.[^@\s]+")
_CRON_FIELDS = 5


class Tier(StrEnum):
    """How much harm a wrong model can do; decides the quorum of an approval."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class ModelProduct(BaseModel):
    """Everything Interlock knows about one model product before it sees data.

    Attributes:
        name: Folder, asset prefix, group and CLI name; a Dagster name.
        model: Name of the registered model in MLflow.
        owners: At least one ``team:<name>`` or e-mail address.
        tier: See ``Tier``.
        source: Where the data comes from.
        contract: What the data must satisfy.
        target: What is predicted.
        protected: Columns that describe protected attributes. They may be features or not;
            naming them here makes them visible to fairness checks and keeps their values
            out of reports.
        features: Columns the model learns from.
        candidates: Which estimators compete, and their search spaces.
        search: How they compete.
        gates: What the winner must reach to become a challenger.
        schedule: A cron expression of five fields, UTC; none joins the common schedule.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    model: str
    owners: Annotated[tuple[str, ...], Field(min_length=1)]
    tier: Tier
    source: Source
    contract: Contract
    target: Target
    protected: tuple[str, ...] = ()
    features: Annotated[tuple[str, ...], Field(min_length=1)]
    candidates: Candidates
    search: Search
    gates: Annotated[tuple[Gate, ...], Field(min_length=1)]
    schedule: str | None = None

    @field_validator("name")
    @classmethod
    def _is_dagster_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            msg = f"{name!r} is no product name; use lower-case letters, digits and underscores"
            raise ValueError(msg)
        return name

    @field_validator("model")
    @classmethod
    def _is_model_name(cls, model: str) -> str:
        if not _MODEL.fullmatch(model):
            msg = f"{model!r} is no model name; use letters, digits, hyphens and underscores"
            raise ValueError(msg)
        return model

    @field_validator("owners")
    @classmethod
    def _are_owners(cls, owners: tuple[str, ...]) -> tuple[str, ...]:
        for owner in owners:
            if not _OWNER.fullmatch(owner):
                msg = f"{owner!r} is no owner; write team:<name> or an e-mail address"
                raise ValueError(msg)
        return owners

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, schedule: str | None) -> str | None:
        if schedule is not None and len(schedule.split()) != _CRON_FIELDS:
            msg = f"{schedule!r} is no cron expression; write five fields, e.g. '0 */6 * * *'"
            raise ValueError(msg)
        return schedule

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        columns = {column.name for column in self.contract.columns}
        if self.target.column not in columns:
            msg = f"target column {self.target.column!r} is not in the contract; add it there"
            raise ValueError(msg)
        for section, names in (("features", self.features), ("protected", self.protected)):
            missing = [name for name in names if name not in columns]
            if missing:
                msg = f"{section} {missing} are not in the contract; add them there"
                raise ValueError(msg)
            if len(set(names)) != len(names):
                msg = f"{section} name a column twice; name each once"
                raise ValueError(msg)
        if self.target.column in self.features:
            msg = f"target column {self.target.column!r} is among the features; remove it there"
            raise ValueError(msg)
        unknown = unknown_metrics(self.gates, (*METRICS, *DATA_METRICS))
        if unknown:
            known = ", ".join((*METRICS, *DATA_METRICS))
            msg = f"gates name unknown metrics {sorted(unknown)}; choose from {known}"
            raise ValueError(msg)
        return self

    def effective_gates(self, floors: Mapping[str, float]) -> tuple[Gate, ...]:
        """The product's gates, never looser than the platform's floors.

        Args:
            floors: Metric to the least value that the platform accepts.

        Returns:
            The gates to apply, the product's order first.
        """
        return tighten(self.gates, floors)

    @property
    def digest(self) -> str:
        """SHA-256 of the declaration, hexadecimal; equal declarations have equal digests."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def read_product(path: Path) -> ModelProduct:
    """Read and check one ``defs.yaml``.

    Args:
        path: The file; its folder carries the product's name.

    Returns:
        The product.

    Raises:
        ProductError: The file is missing, is no YAML, or breaks a rule; with the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        document = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except OSError as error:
        raise ProductError(
            f"cannot be read ({error.strerror})",
            path=path,
            line=None,
            remedy="write it with `interlock product new`",
        ) from error
    except UnicodeDecodeError as error:
        raise ProductError(
            f"is not UTF-8 at byte {error.start}", path=path, line=None, remedy="save it as UTF-8"
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise ProductError(
            f"is no YAML: {error.problem}",
            path=path,
            line=mark.line + 1 if mark else None,
            remedy="correct the syntax there",
        ) from error
    if not isinstance(content, Mapping) or not isinstance(content.get("attributes"), Mapping):
        raise ProductError(
            "has no `attributes` mapping",
            path=path,
            line=1,
            remedy=f"start with `type: {COMPONENT_TYPE}` and `attributes:`",
        )
    if content.get("type") != COMPONENT_TYPE:
        raise ProductError(
            f"type is {content.get('type')!r}",
            path=path,
            line=_line_of(document, ("type",)),
            remedy=f"write `type: {COMPONENT_TYPE}`",
        )
    extra = sorted(map(str, set(content) - {"type", "attributes"}))
    if extra:
        raise ProductError(
            f"unknown keys {extra} beside `type` and `attributes`",
            path=path,
            line=_line_of(document, (extra[0],)),
            remedy="remove them or indent them under `attributes`",
        )
    try:
        product = ModelProduct.model_validate(content["attributes"])
    except ValidationError as error:
        raise _first_mistake(error, document, path) from error
    except InterlockError as error:
        raise ProductError(error.message, path=path, line=None, remedy=error.remedy) from error
    if product.name != path.parent.name:
        raise ProductError(
            f"name {product.name!r} differs from its folder {path.parent.name!r}",
            path=path,
            line=_line_of(document, ("attributes", "name")),
            remedy="give both the same name",
        )
    return product


def _first_mistake(error: ValidationError, document: Any, path: Path) -> ProductError:
    """The mistakes of a validation, the first with its line and the others counted."""
    mistakes = error.errors(include_url=False)
    first = mistakes[0]
    location: tuple[int | str, ...] = ("attributes", *first["loc"])
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
    text = f"{where}: {message}{more}" if where else f"{message}{more}"
    return ProductError(
        text, path=path, line=_line_of(document, location), remedy="correct it in that file"
    )


def _line_of(document: Any, location: Sequence[int | str]) -> int:
    """The line, counted from 1, of the deepest part of a location that the YAML holds."""
    node: Any = document
    line: int = document.start_mark.line + 1
    for part in location:
        child: Any = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    child, line = value, key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            child = node.value[part] if part < len(node.value) else None
            line = child.start_mark.line + 1 if child is not None else line
        if child is None:
            # A discriminated union puts its tag into the location: `source.csv.path`.
            continue
        node = child
    return line
