"""What Dagster's answer to a mutation says came of it: text in, an outcome and its reason out.

Nothing counts as done but what says so: which types of answer do is in ``dagster_names.py``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

from interlock.governance.audit import Outcome
from interlock.webserver.dagster_names import SEVERAL, SUCCESSES

UNAUTHORIZED: Final = "UnauthorizedError"
NO_PERMISSION: Final = "You do not have permission"
"""How Dagster says that somebody may not terminate a run; it has no type of its own for that."""
FORBIDDEN: Final = "Dagster's permission map does not give it to them"


def outcome_of(status: int, body: bytes) -> tuple[Outcome, str]:
    """What an answer to a mutation says came of it, and why.

    Args:
        status: HTTP's.
        body: As Dagster sent it.

    Returns:
        Denied when all of it was; of several that ended differently, failed with how many did.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = {}
    answer = answer if isinstance(answer, dict) else {}
    if UNAUTHORIZED in str(answer.get("errors", "")):
        return Outcome.DENIED, FORBIDDEN
    if status >= 400 or answer.get("errors"):  # noqa: PLR2004 - HTTP's errors
        return Outcome.FAILED, f"answered {status}"
    results = list(_each((answer.get("data") or {}).values()))
    outcomes = {_outcome(each) for each in results}
    if outcomes == {Outcome.SUCCEEDED}:
        return Outcome.SUCCEEDED, ""
    if outcomes == {Outcome.DENIED}:
        return Outcome.DENIED, FORBIDDEN
    kinds = Counter(_kind(each) for each in results)
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    return Outcome.FAILED, f"answered {status}: {told or 'nothing that says whether it was done'}"


def _each(results: Iterable[Any]) -> Iterator[Any]:
    """Results one by one, where an answer holds several."""
    for result in results:
        if _kind(result) in SEVERAL:
            lists = [each for each in result.values() if isinstance(each, list)]
            yield from (each for one in lists for each in one)
        else:
            yield result


def _outcome(result: Any) -> Outcome:
    if _kind(result) == UNAUTHORIZED:
        return Outcome.DENIED
    if isinstance(result, dict) and NO_PERMISSION in str(result.get("message", "")):
        return Outcome.DENIED
    return Outcome.SUCCEEDED if _kind(result) in SUCCESSES else Outcome.FAILED


def _kind(result: Any) -> str:
    """The type of a result, as GraphQL calls it."""
    if isinstance(result, bool):
        return "Boolean"
    return str(result.get("__typename", "?"))[:100] if isinstance(result, dict) else "?"
