"""``interlock drift check``: is data still like what a version learned from?

Two ways in, one result. A version is proven by the audit trail, its model scores the rows, and the
check is recorded (ADR-0014). A file, a stored profile or rows, needs no
platform. The exit code of drift is one of its own, so that a broken file never reads as drift.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from interlock.adapters.table_files import PARQUET_ENDINGS, TableFile
from interlock.cli import drift_view
from interlock.cli.app import DRIFT, OK
from interlock.cli.bar import bar_on, count_on
from interlock.cli.drift_files import compare_files
from interlock.cli.entering import opened
from interlock.cli.verb import Result, Terminal, verb
from interlock.errors import DataError, EvidenceError, InterlockError
from interlock.ml.drift_document import drift_document
from interlock.ml.drift_limits import DriftLimits
from interlock.ml.drift_report import render_drift_report
from interlock.ml.source import CsvSource, ParquetSource, Source
from interlock.ml.verdict import DriftVerdict, Outcome
from interlock.product import ModelProduct

_VERSION: Final = re.compile(
    r"(models:/)?(?P<model>[A-Za-z][\w.-]*)?([@](?P<alias>[\w-]+)|/(?P<version>\d+))?|(?P<bare>\d+)"
)


@dataclass(frozen=True)
class _Named:
    """A version as somebody typed it; the champion where neither alias nor number is given."""

    model: str | None
    alias: str | None
    version: str | None


@verb("check")
@click.option(
    "--reference",
    required=True,
    metavar="VERSION|FILE",
    help="MODEL, MODEL@ALIAS, MODEL/3 or 3; or a stored profile, a CSV or a Parquet file.",
)
@click.option(
    "--current",
    "files",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="CSV or Parquet; give it again, or name more files at the end.",
)
@click.argument("more", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--product", "name", help="Whose limits, contract and CSV dialect; of a version, its own."
)
@click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="Write the report here too.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    default=os.cpu_count() or 1,
    show_default="all processors",
    help="Processes that count rows.",
)
def command(
    terminal: Terminal,
    *,
    reference: str,
    files: tuple[Path, ...],
    more: tuple[Path, ...],
    name: str | None,
    page: Path | None,
    jobs: int,
) -> Result:
    """Hold data against what a version learned from, or against a file.

    Against a version the check is recorded and suspends nothing: the data is yours, not the
    product's. Against a file nothing is recorded.

    Exit codes: 0 no drift; 4 drift; 1 no verdict, because data cannot be read or is too little;
    2 usage; 3 denied.
    """
    if page is not None and not page.absolute().parent.is_dir():
        msg = f"the folder {page.parent} does not exist"
        raise click.BadParameter(msg, param_hint="--html")
    every = (*files, *more)
    if Path(reference).is_file():
        return _against_file(terminal, Path(reference), every, name=name, page=page, jobs=jobs)
    return _against_version(terminal, _named(reference), every, name, page)


def _against_file(
    terminal: Terminal,
    reference: Path,
    files: Sequence[Path],
    *,
    name: str | None,
    page: Path | None,
    jobs: int,
) -> Result:
    product = None if name is None else _product(name, None)
    like = _as_written(product)
    with bar_on(terminal.err, "counting") as progress:
        found = compare_files(
            replace(like, path=reference),
            [replace(like, path=path) for path in files],
            limits=product.watched.drift if product else DriftLimits(),
            jobs=jobs,
            progress=progress,
        )
    facts = {
        "checked": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "reference": f"{reference}, SHA-256 {found.reference_hash}",
        **{f"data, {label}": f"{rows:,} rows, SHA-256 {hashed}"
           for label, rows, hashed in found.files},
        **{f"left out, {each.name}": each.reason for each in found.refused},
    }  # fmt: skip
    if page is not None:
        _write(
            page,
            render_drift_report(
                found.verdict,
                title=f"{_label(files)} against {reference.name}",
                facts=facts,
                reference=found.reference,
                current=found.current,
                withheld=product.protected if product else (),
            ),
        )
    document = {
        "reference": {"file": reference, "sha256": found.reference_hash},
        "current": [
            {"file": label, "rows": rows, "sha256": digest} for label, rows, digest in found.files
        ],
        "refused": [asdict(each) for each in found.refused],
        "notes": found.notes,
        "html": page,
        "verdict": drift_document(found.verdict),
    }
    error = None
    if found.refused:
        error = DataError(
            f"{len(found.refused)} of {len(files)} files cannot be read: "
            + "; ".join(f"{each.name}: {each.reason}" for each in found.refused),
            remedy="the verdict is of the other files alone; correct these and check again",
        )
    about = [("reference", reference), ("data", _label(files)), ("report", page)]
    return _result(found.verdict, document, about, notes=found.notes, error=error)


def _against_version(
    terminal: Terminal, named: _Named, files: Sequence[Path], name: str | None, page: Path | None
) -> Result:
    # What the platform needs costs seconds to import.
    from interlock.actions.drift_check import check_drift
    from interlock.assembly import process_context

    product = _product(name, named.model)
    with opened(terminal) as workspace, count_on(terminal.err, "counting") as counted:
        version = named.version
        if named.alias not in (None, "champion"):
            found_at = workspace.registry.version_at(product.model, named.alias or "")
            if found_at is None:
                raise EvidenceError(
                    f"{product.model} has no version at alias {named.alias!r}",
                    remedy="name a version by its number, see `interlock approvals`",
                )
            version = found_at.version
        found = check_drift(
            workspace,
            product,
            replace(process_context("drift-check", terminal.say), progress=counted),
            _given(product, files),
            version=version,
        )
    if page is not None:
        _write(page, found.page)
    document = {
        "reference": {
            "model": product.model,
            "version": found.reference.version.version,
            "sha256": found.reference.profile_hash,
        },
        "current": [{"file": path} for path in files],
        "data_hash": found.data_hash,
        "refused": [],
        "notes": found.notes,
        "html": page,
        "verdict": drift_document(found.verdict),
        "audit_event": found.event_key,
        "mlflow_run": found.mlflow_run,
    }
    about = [
        ("reference", found.reference.label),
        ("data", _label(files)),
        ("report", page),
        ("audit_event", found.event_key),
    ]
    return _result(found.verdict, document, about, notes=found.notes)


def _result(
    verdict: DriftVerdict,
    document: dict[str, Any],
    about: Sequence[tuple[str, object]],
    *,
    notes: Sequence[str] = (),
    error: InterlockError | None = None,
) -> Result:
    if error is None and verdict.outcome is Outcome.NOT_ENOUGH_DATA:
        error = DataError(
            f"no verdict: {verdict.rows[1]:,} rows against {verdict.rows[0]:,} are too few",
            remedy=f"give at least {verdict.limits.min_rows} rows with a value in every column",
        )
    if error is not None:
        document["error"] = {
            "type": type(error).__name__,
            "message": error.message,
            "remedy": error.remedy,
        }
    return Result(
        document,
        view=drift_view.shown(verdict, about),
        error=error,
        code=DRIFT if verdict.outcome is Outcome.DRIFT else OK,
        notes=notes,
    )


def _named(reference: str) -> _Named:
    found = _VERSION.fullmatch(reference)
    if (
        found is None
        or not reference
        or Path(reference).suffix in (".bin", ".csv", *PARQUET_ENDINGS)
    ):
        msg = f"{reference!r} is neither a file here nor MODEL, MODEL@ALIAS, MODEL/3 or 3"
        raise click.BadParameter(msg, param_hint="--reference")
    return _Named(found["model"], found["alias"], found["version"] or found["bare"])


def _product(name: str | None, model: str | None) -> ModelProduct:
    """The product that was named, or whose model was, or the only one."""
    from interlock.cli.run import named_product
    from interlock.definitions import DEFS, load_products

    if name is not None:
        product = named_product(name)
        if model not in (None, product.model):
            msg = f"{name} has the model {product.model}, not {model}"
            raise click.BadParameter(msg, param_hint="--product")
        return product
    products = load_products(DEFS).products
    fitting = [each for each in products if model in (None, each.model)]
    if len(fitting) == 1:
        return fitting[0]
    known = ", ".join(f"{each.name} ({each.model})" for each in products)
    what = f"of model {model!r}" if model else "named"
    msg = f"there is no one product {what}; choose one of: {known}"
    raise click.BadParameter(msg, param_hint="--product")


def _given(product: ModelProduct, files: Sequence[Path]) -> Any:
    from interlock.actions.current_data import GivenFile

    def source(path: Path) -> Source:
        if path.suffix in PARQUET_ENDINGS:
            return ParquetSource(kind="parquet", path=path.name)
        return _csv_of(product).model_copy(update={"path": path.name})

    first, *others = (GivenFile(path, source(path)) for path in files)
    return replace(first, more=tuple(others))


def _csv_of(product: ModelProduct) -> CsvSource:
    """How the product's own CSV is written; the usual way where it has none."""
    told = product.watched.current or product.source
    return told if isinstance(told, CsvSource) else CsvSource(kind="csv", path="given")


def _as_written(product: ModelProduct | None) -> TableFile:
    """How files are read: as the product writes its own, the usual way without one."""
    like = TableFile(Path())
    if product is None:
        return like
    source, contract = _csv_of(product), product.contract
    return replace(
        like,
        delimiter=source.delimiter,
        encoding=source.encoding,
        null_values=contract.null_values,
        decimal=contract.decimal,
    )


def _label(files: Sequence[Path]) -> str:
    more = len(files) - 1
    return f"{files[0].name} and {more} more" if more else files[0].name


def _write(page: Path, report: str) -> None:
    try:
        page.write_text(report, encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"{page} cannot be written ({error.strerror or error})",
            remedy="name another file with --html",
        ) from error
