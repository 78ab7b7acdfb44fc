"""What Dagster is told when an action fails: whether trying again can help."""

from __future__ import annotations

import dagster as dg
import pytest

from interlock.errors import (
    AuditWriteFailed,
    EvidenceError,
    InterlockError,
    RegistryUnavailable,
    StoreUnavailable,
)
from interlock.guard import Guard


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (StoreUnavailable, True),
        (RegistryUnavailable, True),
        (AuditWriteFailed, True),
        (EvidenceError, False),
    ],
)
def test_what_is_over_when_a_store_answers_is_tried_again(
    error: type[InterlockError], again: bool
) -> None:
    with pytest.raises(dg.Failure) as caught, Guard._failing_clearly():
        raise error("it went wrong", remedy="do this")
    assert caught.value.allow_retries is again
    assert caught.value.metadata["remedy"].value == "do this"
