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
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from interlock.errors import ContractError, ProductError
from interlock.governance.approval import Tier
from interlock.governance.gates import Gate, tighten, unknown_metrics
from interlock.ml.candidates import Candidates
from interlock.ml.contract import Contract, check_target
from interlock.ml.evaluation import METRICS
from interlock.ml.monitoring import Monitoring
from interlock.ml.source import Source
from interlock.ml.training import Search, Target

COMPONENT_TYPE = "interlock.components.model_product.ModelProductComponent"
DATA_METRICS = ("data_quality_score", "rows")
"""What a gate may limit besides the metrics of the evaluation: the score of the data
contract in [0, 1], and the number of accepted rows."""

RESERVED_NAMES = frozenset({"interlock", "ml_training"})
"""Names that the platform uses itself: for MLflow's mark and for the common pipeline."""

MAX_QUORUM = 9  # people; more than can be found would block a product for good

_NAME = re.compile(r"[a-z][a-z0-9_]{1,62}")
_MODEL = re.compile(r"[A-Za-z][A-Za-z0-9_-]{1,62}")  # Dagster keeps it as a tag of 63 characters
# What Dagster takes as an owner, which would otherwise refuse the whole code location.
_OWNER = re.compile(r"team:[a-zA-Z0-9_-]+|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}")
_CRON_PART = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?")
_CRON_LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # days of each month


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
        quorum: How many people must approve a version, where that is more than its tier asks.
        demands: What a version must have besides its approval to be promoted outside dev;
            where it is there without being demanded, it must be good all the same.
        monitoring: What a version in use is held against.
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
    quorum: Annotated[int, Field(ge=1, le=MAX_QUORUM, strict=True)] | None = None
    demands: tuple[Literal["fairness", "signature"], ...] = ()
    monitoring: Monitoring | None = None

    @field_validator("name")
    @classmethod
    def _is_dagster_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            msg = f"{name!r} is no product name; use lower-case letters, digits and underscores"
            raise ValueError(msg)
        if name in RESERVED_NAMES:
            msg = f"{name!r} is a name that the platform uses itself; choose another"
            raise ValueError(msg)
        return name

    @field_validator("model")
    @classmethod
    def _is_model_name(cls, model: str) -> str:
        if not _MODEL.fullmatch(model):
            msg = (
                f"{model!r} is no model name; use at most 63 letters, digits, hyphens and "
                "underscores"
            )
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

    @field_validator("target")
    @classmethod
    def _fits_contract(cls, target: Target, info: ValidationInfo) -> Target:
        contract = info.data.get("contract")
        if contract is not None:
            try:
                check_target(contract, target)
            except ContractError as error:
                raise ValueError(str(error)) from error
        return target

    @field_validator("protected", "features")
    @classmethod
    def _are_columns(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        contract, target = info.data.get("contract"), info.data.get("target")
        if contract is not None:
            columns = {column.name for column in contract.columns}
            missing = [name for name in names if name not in columns]
            if missing:
                msg = f"{missing} are not in the contract; add them there"
                raise ValueError(msg)
        if len(set(names)) != len(names):
            msg = "a column is named twice; name each once"
            raise ValueError(msg)
        if info.field_name == "features" and target is not None and target.column in names:
            msg = f"target column {target.column!r} is among the features; remove it there"
            raise ValueError(msg)
        return names

    @field_validator("gates")
    @classmethod
    def _limit_what_is_measured(cls, gates: tuple[Gate, ...]) -> tuple[Gate, ...]:
        unknown = unknown_metrics(gates, (*METRICS, *DATA_METRICS))
        if unknown:
            known = ", ".join((*METRICS, *DATA_METRICS))
            msg = f"unknown metrics {sorted(unknown)}; choose from {known}"
            raise ValueError(msg)
        return gates

    @field_validator("monitoring")
    @classmethod
    def _names_columns(cls, found: Monitoring | None, info: ValidationInfo) -> Monitoring | None:
        features, contract = info.data.get("features"), info.data.get("contract")
        if found is not None and features and contract is not None:
            found.require_columns(features, [column.name for column in contract.columns])
        return found

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, schedule: str | None) -> str | None:
        if schedule is not None and not _comes_due(schedule):
            msg = (
                f"{schedule!r} is no cron expression of five fields in numbers that comes due; "
                "write e.g. '0 */6 * * *'"
            )
            raise ValueError(msg)
        return schedule

    def effective_gates(self, floors: Mapping[str, float]) -> tuple[Gate, ...]:
        """The product's gates, never looser than the platform's floors.

        Args:
            floors: Metric to the least value that the platform accepts.

        Returns:
            The gates to apply, the product's order first.
        """
        return tighten(self.gates, floors)

    @property
    def watched(self) -> Monitoring:
        """How versions in use are watched: as declared, or by the defaults."""
        return self.monitoring or Monitoring()

    @property
    def training_digest(self) -> str:
        """SHA-256 of what a model depends on: all but names, owners, gates and schedule."""
        parts = self.model_dump_json(
            include={"contract", "target", "protected", "features", "candidates", "search"}
        )
        return hashlib.sha256(parts.encode()).hexdigest()

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
    document, content = _parsed(path)
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
        raise _mistakes(error, document, path) from error
    if product.name != path.parent.name:
        raise ProductError(
            f"name {product.name!r} differs from its folder {path.parent.name!r}",
            path=path,
            line=_line_of(document, ("attributes", "name")),
            remedy="give both the same name",
        )
    return product


def _parsed(path: Path) -> tuple[Any, Any]:
    """The YAML as nodes, which know their lines, and as values."""
    try:
        text = path.read_text(encoding="utf-8")
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
    try:
        document = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # A value such as the date 2026-13-01 raises ValueError, deep nesting RecursionError.
        what, line = _where_unreadable(error, text)
        raise ProductError(
            f"is no YAML: {what}", path=path, line=line, remedy="correct the syntax there"
        ) from error
    again = _repeated_key(document, set())
    if again is not None:
        raise ProductError(
            f"key {again.value!r} stands there twice",
            path=path,
            line=again.start_mark.line + 1,
            remedy="keep one of both",
        )
    return document, content


def _where_unreadable(error: Exception, text: str) -> tuple[str, int | None]:
    """What is wrong with a YAML, and the line where that is known."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark
        return str(error.problem), mark.line + 1 if mark else None
    if isinstance(error, yaml.reader.ReaderError):
        return str(error.reason), text.count("\n", 0, error.position) + 1
    if isinstance(error, RecursionError):
        return "it is nested too deeply", None
    return str(error), None


def _repeated_key(node: Any, seen: set[int]) -> Any:
    """The node of the first key that its mapping already has; YAML would take the last."""
    if id(node) in seen:
        return None  # an alias
    seen.add(id(node))
    parts: list[Any] = []
    if isinstance(node, yaml.MappingNode):
        known: set[str] = set()
        for key, value in node.value:
            if str(key.value) in known:
                return key
            known.add(str(key.value))
            parts.append(value)
    elif isinstance(node, yaml.SequenceNode):
        parts = list(node.value)
    return next((found for part in parts if (found := _repeated_key(part, seen))), None)


def _comes_due(cron: str) -> bool:
    """Whether a text is a cron expression that ever comes due."""
    fields = cron.split()
    if len(fields) != len(_CRON_LIMITS):
        return False
    sets = [
        _cron_values(field, *limits) for field, limits in zip(fields, _CRON_LIMITS, strict=True)
    ]
    if not all(sets):
        return False
    return min(sets[2]) <= max(_LONGEST[month - 1] for month in sets[3])


def _cron_values(field: str, low: int, high: int) -> set[int]:
    """The values that a field of a cron expression names; none for a wrong field."""
    values: set[int] = set()
    for part in field.split(","):
        match = _CRON_PART.fullmatch(part)
        if match is None:
            return set()
        first, last, step = match.groups()
        start = low if first is None else int(first)
        end = int(last) if last else high if first is None else start
        every = int(step) if step else 1
        stepped_from_one = step is not None and first is not None and last is None
        if not low <= start <= end <= high or not 1 <= every <= high or stepped_from_one:
            return set()
        values.update(range(start, end + 1, every))
    return values


def _mistakes(error: ValidationError, document: Any, path: Path) -> ProductError:
    """The mistakes of a validation, each with its line; that of the first is the error's own."""
    told: list[tuple[int, str]] = []
    for each in error.errors(include_url=False):
        location = ".".join(map(str, each["loc"]))
        message = each["msg"].removeprefix("Value error, ")
        if each["type"] == "extra_forbidden":
            message = "unknown key"
        line = _line_of(document, ("attributes", *each["loc"]))
        told.append((line, f"{location}: {message}" if location else message))
    # A key that is unknown explains the one that is missing, so it comes first.
    told.sort(key=lambda each: not each[1].endswith(": unknown key"))
    (line, first), *others = told
    text = "; ".join([first, *(f"line {number}: {other}" for number, other in others)])
    return ProductError(text, path=path, line=line, remedy="correct it in that file")


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
