"""Drafting the columns of a contract from what was seen of them.

- Type: the narrowest of integer, number, date and datetime that all values fit; other text
  is a category up to ``MAX_DISTINCT`` different values, and free text beyond.
- Range of numbers: what was seen and a quarter of its width on either side; keys have none.
- Left out of the features: the target, keys, free text, dates, columns with one value, and
  columns whose name tells of a protected attribute.
- Left out of the contract: columns without any value, of which nothing can be said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from interlock.components.model_product.profile import SAMPLE_ROWS, ColumnProfile, Reading
from interlock.ml.columns import ColumnType

_PROTECTED = frozenset(
    [
        "sex",
        "gender",
        "age",
        "senior",
        "birth",
        "birthday",
        "birthdate",
        "dob",
        "marital",
        "marriage",
        "married",
        "partner",
        "spouse",
        "nationality",
        "foreign",
        "citizenship",
        "race",
        "ethnicity",
        "ethnic",
        "religion",
        "disability",
        "pregnant",
    ]
)
_KEY = frozenset(["id", "ids", "uuid", "guid", "key", "nr", "no", "number", "index", "reference"])
_KEY_SHARE = 0.99  # of different values, from which a column can be a key
_CATEGORY_SHARE = 0.5  # of different values, beyond which text is no category
_FEWEST_ROWS = 20  # of fewer rows, different values tell nothing
_LINE = 96  # characters
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# YAML 1.1 reads these words without quotes as something else.
_WORDS = {"yes", "no", "true", "false", "on", "off", "null", "none", "y", "n"}


@dataclass(frozen=True)
class DraftedColumn:
    """A column of the draft.

    Attributes:
        name: As the data has it.
        lines: Its entry in the contract.
        excluded: Why it is no feature; None for a feature.
        is_protected: Whether its name tells of a protected attribute.
    """

    name: str
    lines: tuple[str, ...]
    excluded: str | None
    is_protected: bool


@dataclass(frozen=True)
class DraftedColumns:
    """All columns of the draft.

    Attributes:
        columns: In the order of the data.
        settings: Lines of the contract that follow from the columns.
    """

    columns: tuple[DraftedColumn, ...]
    settings: tuple[str, ...]


def draft_columns(
    profiles: Sequence[ColumnProfile], target: str, target_type: ColumnType
) -> DraftedColumns:
    """Draft the contract's columns.

    Args:
        profiles: What was seen.
        target: The column to predict.
        target_type: Its type.

    Returns:
        The columns and the settings that they need.
    """
    decimal = _decimal(profiles)
    empty = [each.name for each in profiles if each.blanks == each.rows]
    types = {
        each.name: target_type if each.name == target else _type_of(each, decimal)
        for each in profiles
        if each.name not in empty
    }
    # A text that stands for "no value" in one column does so in the whole table.
    null_texts = sorted(
        {
            text
            for each in profiles
            if types.get(each.name) not in {None, ColumnType.CATEGORY, ColumnType.TEXT}
            for text in each.null_texts
        }
    )
    columns = tuple(
        _draft(each, types[each.name], decimal, null_texts, is_target=each.name == target)
        for each in profiles
        if each.name in types
    )
    keys = [each.name for each in profiles if each.name in types and _is_key(each)]
    unique = [[each] for each in keys if _is_unique(profiles, each) and each != target]
    return DraftedColumns(columns, tuple(_settings(empty, unique, null_texts, decimal)))


def _settings(
    empty: list[str], unique: list[list[str]], null_texts: list[str], decimal: str
) -> Iterator[str]:
    if empty:
        names = ", ".join(map(scalar, empty))
        yield f"    extra_columns: ignore  # without any value, so in no contract: {names}"
    else:
        yield "    extra_columns: refuse"
    listed = ", ".join("[" + ", ".join(map(scalar, key)) + "]" for key in unique)
    yield f"    unique: [{listed}]" + ("  # different in every row; confirm" if unique else "")
    if null_texts:
        listed = ", ".join(map(scalar, null_texts))
        yield f"    null_values: [{listed}]  # found among numbers or dates; confirm"
    if decimal == ",":
        yield '    decimal: ","  # confirm that it does not separate thousands'


def _draft(
    profile: ColumnProfile,
    column_type: ColumnType,
    decimal: str,
    null_texts: Sequence[str],
    *,
    is_target: bool,
) -> DraftedColumn:
    """One column's lines and whether it is a feature."""
    missing = profile.blanks + sum(profile.null_texts[text] for text in null_texts)
    entries = [f"name: {scalar(profile.name)}", f"type: {column_type}"]
    comment = ""
    if missing and not is_target:
        entries.append("nullable: true")
        comment = f"{missing:,} of {profile.rows:,} rows have no value"
    reading = _reading(profile, column_type, decimal)
    is_number = column_type in {ColumnType.INTEGER, ColumnType.NUMBER}
    if reading is not None and is_number and not _is_key(profile):
        least, greatest = _widened(reading)
        entries += [f"min: {least}", f"max: {greatest}"]
    if reading is not None:
        seen = f"seen: {_number(reading.min)} to {_number(reading.max)}"
        comment = f"{seen}; {comment}" if comment else seen
    values = _categories(profile, null_texts) if column_type is ColumnType.CATEGORY else []
    is_protected = bool(_words(profile.name) & _PROTECTED) and not is_target
    return DraftedColumn(
        name=profile.name,
        lines=tuple(_entry_lines(entries, values, comment)),
        excluded="it is the target"
        if is_target
        else _exclusion(profile, column_type, is_protected),
        is_protected=is_protected,
    )


def _entry_lines(entries: list[str], values: list[str], comment: str) -> Iterator[str]:
    """A column's entry: on one line where it fits, its values one per line where not."""
    note = f"  # {comment}" if comment else ""
    listed = [*entries, f"values: [{', '.join(map(scalar, values))}]"] if values else entries
    line = f"      - {{{', '.join(listed)}}}"
    if not values or len(line) <= _LINE:
        yield line + note
        return
    yield f"      - {entries[0]}{note}"
    yield from (f"        {entry}" for entry in entries[1:])
    yield "        values:"
    yield from (f"          - {scalar(value)}" for value in values)


def _exclusion(profile: ColumnProfile, column_type: ColumnType, is_protected: bool) -> str | None:
    if _is_key(profile):
        return "it tells rows apart and nothing else"
    if is_protected:
        return "protected by its name; add it only with a reason"
    if column_type is ColumnType.TEXT:
        return "free text, or too many different values"
    if column_type in {ColumnType.DATE, ColumnType.DATETIME}:
        return "what holds on these days need not hold later"
    if profile.counts is not None and len(profile.counts) + len(profile.null_texts) < 2:  # noqa: PLR2004 - one value tells nothing
        return "it has one value"
    return None


def _decimal(profiles: Sequence[ColumnProfile]) -> str:
    """The table's decimal mark: a comma where that alone makes numbers of some column."""
    marks = {
        reading.decimal
        for each in profiles
        for reading in each.readings
        if reading.type is ColumnType.NUMBER and reading.fractions
    }
    return "," if marks == {","} else "."


def _type_of(profile: ColumnProfile, decimal: str) -> ColumnType:
    if profile.dtype == pl.Boolean:
        return ColumnType.BOOLEAN
    if profile.dtype.is_float():
        return ColumnType.NUMBER
    for reading in profile.readings:
        if reading.type is not ColumnType.NUMBER or reading.decimal == decimal:
            return reading.type
    if profile.counts is None:
        return ColumnType.TEXT
    few = len(profile.counts) <= max(_CATEGORY_SHARE * profile.rows, 2)
    return ColumnType.CATEGORY if few else ColumnType.TEXT


def _reading(profile: ColumnProfile, column_type: ColumnType, decimal: str) -> Reading | None:
    for reading in profile.readings:
        if reading.type is column_type and reading.decimal in {".", decimal}:
            return reading
    return None


def _categories(profile: ColumnProfile, null_texts: Sequence[str]) -> list[str]:
    """All values, the most frequent first; texts like ``NA`` too where they mean themselves."""
    counts = (profile.counts or profile.null_texts).copy()
    for text, rows in profile.null_texts.items():
        if text not in null_texts:
            counts[text] = rows
    return sorted(counts, key=lambda text: (-counts[text], text))


def _is_key(profile: ColumnProfile) -> bool:
    """Whether a column tells rows apart: different everywhere, and named or counted so."""
    if profile.rows < _FEWEST_ROWS or profile.distinct_share < _KEY_SHARE:
        return False
    whole = bool(profile.readings) and profile.readings[0].type is ColumnType.INTEGER
    return (
        bool(_words(profile.name) & _KEY) or not profile.readings or (whole and profile.increasing)
    )


def _is_unique(profiles: Sequence[ColumnProfile], name: str) -> bool:
    """Whether a column was seen to differ in every row of the whole table."""
    profile = next(each for each in profiles if each.name == name)
    complete = profile.blanks == 0 and not profile.null_texts
    return complete and profile.rows <= SAMPLE_ROWS and profile.distinct_share == 1.0


def _words(name: str) -> set[str]:
    """The words of a name: ``SeniorCitizen`` and ``senior_citizen`` have the same."""
    return {word.lower() for word in _WORD.findall(name)}


def _widened(reading: Reading) -> tuple[float, float]:
    """A numeric range with a quarter of its width as margin, in round numbers.

    A range within 0 to 1 becomes that, and one without negative values gets none.
    """
    least, greatest = reading.min, reading.max
    if least >= 0 and greatest <= 1:
        return 0, 1
    margin = (greatest - least) / 4 or abs(greatest) / 4 or 1
    low = least - margin
    low = 0 if least >= 0 > low else _rounded(low, math.floor)
    high = greatest + margin
    high = 0 if greatest <= 0 < high else _rounded(high, math.ceil)
    if reading.type is ColumnType.INTEGER:
        return math.floor(low), math.ceil(high)
    return low, high


def _rounded(number: float, direction: Callable[[float], int]) -> float:
    """A number with two significant digits, rounded in a direction."""
    if number == 0:
        return 0
    unit = 10.0 ** (math.floor(math.log10(abs(number))) - 1)
    rounded = direction(number / unit) * unit
    return round(rounded, 12) if unit < 1 else int(rounded)


def _number(value: object) -> str:
    """A limit for a comment: whole numbers without a fraction."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def scalar(value: object) -> str:
    """A value as YAML: plain where that is read back as the same, quoted elsewhere."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return '"' + "".join(map(_escaped, value)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08x}"
