"""Two approvals and a promotion at once: nothing is promoted before its quorum is on record."""

from __future__ import annotations

import threading
from collections.abc import Callable

from office import Office

from interlock.errors import AccessDenied, ApprovalError, ProductBusy
from interlock.governance.audit import decode


def test_promotion_among_two_approvals_waits_for_both_or_is_refused(office: Office) -> None:
    gate = threading.Barrier(3)
    failures: list[BaseException] = []

    def one(act: Callable[[], object]) -> None:
        gate.wait()
        try:
            act()
        except BaseException as error:  # noqa: BLE001 - looked at below
            failures.append(error)

    acts: list[Callable[[], object]] = [
        lambda: office.approve("grace"),
        lambda: office.approve("henry"),
        office.promote,
    ]
    threads = [threading.Thread(target=one, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(isinstance(each, AccessDenied | ApprovalError | ProductBusy) for each in failures)
    assert len(failures) <= 1
    assert len(office.case().assessment.counted) == 2
    assert office.champion() == (None if failures else "1")
    if failures:
        assert office.last_refusal().action == "model:promote"
        office.promote()
    assert office.champion() == "1"
    log = office.world.audit
    assert log.verify().intact
    records = [decode(each.data).record for stream in log.streams() for each in log.read(stream)]
    moved = [
        each.time
        for each in records
        if (each.action, each.outcome.value) == ("model:promote", "succeeded")
    ]
    agreed = [
        each.time
        for each in records
        if (each.action, each.outcome.value) == ("model:approve", "succeeded")
    ]
    assert len(agreed) == 2
    assert max(agreed) <= min(moved)
