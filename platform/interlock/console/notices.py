"""What a page says after something was done: fixed words, chosen by a word in the address."""

from __future__ import annotations

from typing import Final

_NOTICES: Final = {
    "approve": "Your approval is signed and on record.",
    "reject": "Your rejection is signed and on record. It stands for good.",
    "promote": "The version is the champion now.",
    "rollback": "The earlier champion is back, and that is on record.",
}


def notice_of(done: str) -> str:
    """The words for what was done; empty for anything else."""
    return _NOTICES.get(done, "")
