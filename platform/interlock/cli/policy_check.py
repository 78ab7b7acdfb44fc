"""``interlock policy check``: do the policies load, and do they agree with their schema?"""

from __future__ import annotations

from pathlib import Path

import click

from interlock.cli import view
from interlock.cli.verb import Result, Terminal, verb
from interlock.governance.policy import PolicyEngine


@verb("check")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Another folder of *.cedar files with their schema.",
)
def command(terminal: Terminal, directory: Path | None) -> Result:  # noqa: ARG001 - a verb's form
    """Validate all policies against their schema, as every process does when it starts."""
    files = PolicyEngine.check(directory)
    rules = list(files.rules.values())
    document = {
        "valid": True,
        "directory": files.directory,
        "policy_hash": files.digest,
        "files": files.files,
        "policies": [
            {"id": rule.id, "effect": rule.effect, "file": rule.file, "reason": rule.reason}
            for rule in rules
        ],
    }
    shown = view.table(
        ("file", "permits", "forbids"),
        [
            (
                name,
                *(
                    ", ".join(rule.id for rule in rules if (rule.file, rule.effect) == (name, kind))
                    for kind in ("permit", "forbid")
                ),
            )
            for name in dict.fromkeys(rule.file for rule in rules)
        ],
    )
    about = view.pairs(
        [
            ("directory", files.directory),
            ("policy_hash", files.digest),
            ("verdict", view.verdict(True, f"valid: {len(rules)} policies agree with the schema")),
        ]
    )
    return Result(document, view=[shown, "", about])
