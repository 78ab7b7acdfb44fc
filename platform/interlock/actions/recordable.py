"""What may stand in a record: how foreign errors are named, and how large a record may be.

Used by ``authority``, which writes the records.
"""

from __future__ import annotations

import traceback
from pathlib import Path

from interlock.governance.audit import (
    LAST_SEQUENCE,
    AuditEvent,
    AuditRecord,
    Chain,
    Stream,
    encode,
)


def place_of(error: BaseException) -> str:
    """What to record of an error that is not ours: what and where, never its text.

    Libraries quote the values that they stumble over, and a record can never be removed.
    """
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "interlock" in Path(frame.filename).parts]
    where = f" in {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    return f"{type(error).__name__}{where}; the log of the run has its text"


def require_recordable(record: AuditRecord) -> None:
    """Refuse a record that is larger than an event may be, wherever it stands in a stream.

    Raises:
        AuditWriteFailed: It is.
    """
    last = Stream("x" * 128, record.time.date())
    encode(AuditEvent(record, Chain(last, LAST_SEQUENCE, "0" * 64)))
