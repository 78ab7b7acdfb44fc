"""What the console's pages show, to whom, and that nothing on them is believed or run."""

from __future__ import annotations

import re
import threading
from html.parser import HTMLParser
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlencode

import pytest
from console_site import OWN, VERSION, Counter, text_of
from office import MODEL, Office
from product_fixtures import AUDIT, OPENED, Made, World, run_all, tiny_product

from interlock.actions.suspend import Grounds, suspend
from interlock.adapters.model_registry import ModelRegistry
from interlock.adapters.signer import LocalSigner
from interlock.console import files
from interlock.console.rendering import POLICY, margin
from interlock.governance.audit import champion_ledger
from interlock.governance.gates import GateResult
from interlock.governance.principal import Role

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'"
RUN_KEY = "governance/audit/2040/01/02/tiny-run-1/000008.json"


@pytest.fixture
def counter(office: Office, tmp_path: Path) -> Counter:
    return Counter(office, tmp_path)


class Elements(HTMLParser):
    """What a browser makes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts = 0
        self.dangerous: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        names = dict(attrs)
        if any(name.startswith("on") or name == "style" for name in names):
            self.dangerous.append(f"{tag} {names}")
        if tag in {"script", "img"} and not (names.get("src") or "").startswith("/"):
            self.dangerous.append(f"{tag} {names}")


def test_every_page_may_load_its_own_files_alone(counter: Counter) -> None:
    for path in ("/", f"/models/{MODEL}", VERSION, "/waiting", "/audit", "/integrity", "/nowhere"):
        answer = counter.get("arno", path)
        assert answer.status_code == (404 if path == "/nowhere" else 200), path
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert "unsafe" not in POLICY
        # Nothing inline: the policy would stop it, and the page would look broken.
        assert not re.search(r"<style|<script>|\sstyle=|\son[a-z]+=", answer.text), path
        assert answer.text.count("<h1") == 1
        for landmark in ("<header", "<nav", "<main", "<footer", 'lang="en"', 'class="skip"'):
            assert landmark in answer.text, (path, landmark)
        for table in re.findall(r"<table.*?</table>", answer.text, re.DOTALL):
            assert "<caption" in table
            assert 'scope="col"' in table
        for name in re.findall(r'(?:href|src)="(/static/[^"]+)"', answer.text):
            assert counter.get("arno", name).status_code == 200


def test_models_and_versions(counter: Counter) -> None:
    second = counter.office.another_version()
    page = text_of(counter.get("vera", "/").text)
    assert f"{MODEL} none yet version {second} pending 3 of 3" in page
    listed = text_of(counter.get("vera", f"/models/{MODEL}").text)
    assert listed.index("Version 2") < listed.index("Version 1")
    assert "challenger" in listed
    assert counter.get("vera", "/models/NoSuchModel").status_code == 404
    assert counter.get("vera", f"/models/{MODEL}/versions/77").status_code == 404


def test_pages_agree_that_dev_requires_no_approval(
    made: tuple[World, Made], approval_key: LocalSigner, tmp_path: Path
) -> None:
    world, result = made
    office = Office(world, result, approval_key)
    run_all(world, tiny_product(), run="run-2")
    counter = Counter(office, tmp_path)
    office.approve("grace", version="2")
    page = text_of(counter.get("vera", f"/models/{MODEL}/versions/2").text)
    waiting = text_of(counter.get("vera", "/waiting").text)
    assert "Not required in dev; 1 given" in page
    assert "approval not required here, 1 given" in waiting
    for shown in (page, waiting, text_of(counter.get("vera", "/").text)):
        assert "not required" in shown
        assert "pending" not in shown


def test_version_says_what_is_known_and_who_may(counter: Counter) -> None:
    page = counter.get("grace", VERSION).text
    shown = text_of(page)
    seen = counter.office.case().seen
    for part in (
        "0 of 2 for tier high",
        "at least 0.6000",
        "Lineage Snapshot",
        "Validated snapshot",
        "Training run",
        "registered 2040-01-02 09:00:",
        "UTC",
        "0 of 2 approvals are valid",
        seen.digest,
        seen.data_hash,
        "Rows accepted 240",
        "Blocking checks",
        "model:register",
    ):
        assert part in shown, part
    assert 'aria-describedby="against-promote"' in page  # an approver does not promote
    assert "no policy permits it to the role approver" in shown
    assert 'aria-describedby="against-approve"' not in page
    assert "nobody decides on their own version" in text_of(counter.get("ada", VERSION).text)
    plot = re.search(r'src="(/models/[^"]*/plots/[^"]*)"', page)
    assert plot
    image = counter.get("grace", plot[1])
    assert (image.headers["content-type"], image.content[1:4]) == ("image/png", b"PNG")
    assert counter.get("grace", f"{VERSION}/plots/../../mlflow.db").status_code == 404


def test_plot_that_is_too_large_is_not_fetched(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetched(*_: object) -> Path:
        raise AssertionError("it must not be fetched")

    page = counter.get("grace", VERSION).text
    plot = re.search(r'src="(/models/[^"]*/plots/[^"]*)"', page)
    assert plot
    monkeypatch.setattr(files, "LARGEST", 100)
    monkeypatch.setattr(ModelRegistry, "run_file", fetched)
    answer = counter.get("grace", plot[1])
    assert answer.status_code == 404
    assert "no PNG of at most 100 bytes" in text_of(answer.text)


def test_page_of_a_version_says_who_could_still_approve(counter: Counter) -> None:
    """Of the approvers in the directory; ``tess`` is of the owning team, ``ada`` trained it."""
    counter.add("gone", Role.APPROVER, disabled=True)
    assert "Could still approve: grace, henry." in text_of(counter.get("vera", VERSION).text)
    counter.decide("grace")
    assert "Could still approve: henry." in text_of(counter.get("vera", VERSION).text)
    counter.disable("henry")
    assert "Nobody who is known here could still approve" in text_of(
        counter.get("vera", VERSION).text
    )
    counter.office.approve("ines")
    assert "still approve" not in text_of(counter.get("vera", VERSION).text)


def test_model_that_is_not_the_platforms_is_told_of_and_spoils_no_other(counter: Counter) -> None:
    counter.office.client.create_registered_model("fraud model")
    for path in ("/", "/waiting"):
        answer = counter.get("grace", path)
        assert answer.status_code == 200
        shown = text_of(answer.text)
        assert "no model of the platform can be named 'fraud model'" in shown
        assert MODEL in shown
    assert counter.get("grace", "/models/fraud%20model").status_code == 200


@pytest.mark.parametrize(
    ("direction", "value", "shown"),
    [("max", 0.1664, "+0.0336"), ("max", 0.25, "\N{MINUS SIGN}0.0500"), ("min", 0.25, "+0.0500")],
)
def test_margin_is_positive_on_the_good_side_of_the_limit(
    direction: Literal["min", "max"], value: float, shown: str
) -> None:
    gate = GateResult(
        "brier", value, 0.2, direction, passed=not shown.startswith("\N{MINUS SIGN}"), reason=""
    )
    assert margin(gate) == shown


def test_metrics_stand_beside_the_champions(counter: Counter) -> None:
    counter.office.approve_all()
    counter.office.promote()
    second = counter.office.another_version()
    page = text_of(counter.get("vera", f"/models/{MODEL}/versions/{second}").text)
    assert "Champion, version 1" in page
    champion = text_of(counter.get("vera", VERSION).text)
    assert "it is the champion already" in champion
    assert "model:promote" in champion


def test_change_in_mlflow_behind_interlock_is_shown(counter: Counter) -> None:
    counter.office.client.set_model_version_tag(MODEL, "1", "approval_state", "approved")
    counter.office.client.set_registered_model_alias(MODEL, "champion", "1")
    page = text_of(counter.get("grace", VERSION).text)
    assert "MLflow's tag approval_state is 'approved', by the audit trail it is 'pending'" in page
    assert "MLflow's alias champion disagrees" in page


def test_version_that_the_trail_does_not_prove_offers_nothing(counter: Counter) -> None:
    counter.office.client.delete_model_version_tag(MODEL, "1", "audit_event")
    page = counter.get("grace", VERSION).text
    assert "The audit trail does not prove this version" in text_of(page)
    assert "<form" not in page.partition("<main")[2]


def test_waiting_is_for_those_who_may(counter: Counter) -> None:
    def shown(name: str) -> tuple[str, str]:
        page = text_of(counter.get(name, "/waiting").text)
        mine, _, others = page.partition("Not waiting for you")
        return mine, others

    assert f"{MODEL} version 1" in shown("grace")[0]
    counter.decide("grace")
    mine, others = shown("grace")
    assert "Nothing waits for a decision of yours" in mine
    assert "Not you: it cannot" in others or "grace approved it already" in others
    assert f"{MODEL} version 1" in shown("henry")[0]
    assert "they or their team own" in shown("tess")[1]


def test_hostile_names_and_reasons_are_text(counter: Counter) -> None:
    counter.office.approve("grace", reason=HOSTILE)
    counter.office.client.set_model_version_tag(MODEL, "1", "approval_state", HOSTILE)
    counter.office.client.create_registered_model("<script>alert(1)<!-- 'a\"")
    for path in (
        "/",
        f"/models/{MODEL}",
        VERSION,
        "/waiting",
        "/audit",
        f"/audit?{urlencode({'person': HOSTILE, 'model': HOSTILE})}",
        f"/audit/event?{urlencode({'key': HOSTILE})}",
        f"/models/{quote(HOSTILE, safe='')}",
        f"{VERSION}?done={quote(HOSTILE[:20])}",
    ):
        found = Elements(counter.get("arno", path).text)
        assert found.scripts == 2, path  # htmx and the console's own
        assert found.dangerous == [], path


def test_timeline_filters_and_goes_back(counter: Counter) -> None:
    counter.office.approve_all()
    page = counter.get("arno", "/audit").text
    assert text_of(page).count("succeeded") >= 6
    chosen = text_of(counter.get("arno", "/audit?action=model:approve&outcome=succeeded").text)
    rows = chosen.partition("Newest")[0]
    assert "grace approver model:approve" in rows
    assert "model:train" not in rows.partition("Reason")[2]
    of_person = counter.get("arno", "/audit?person=HEN").text
    assert "henry" in of_person
    assert ">grace " not in of_person
    day = OPENED.date().isoformat()
    assert "model:train" in counter.get("arno", f"/audit?day={day}&model=tiny").text
    assert "Nothing found" in counter.get("arno", "/audit?day=2040-01-01").text
    for wrong in (
        "outcome=maybe",
        "day=yesterday",
        "before=soon",
        "unknown=1",
        "person=" + "x" * 300,
    ):
        assert counter.get("arno", f"/audit?{wrong}").status_code == 400, wrong


def test_trail_is_for_those_who_may_read_it_and_that_is_recorded(counter: Counter) -> None:
    refused = counter.get("vera", "/audit")
    assert refused.status_code == 403
    assert "no policy permits it to the role viewer" in refused.text
    assert [(each.action, each.principal.name) for each in counter.denials()] == [
        ("audit:read", "vera")
    ]
    assert 'aria-disabled="true"' in counter.get("vera", "/").text
    assert counter.get("vera", f"/audit/event?key={RUN_KEY}").status_code == 403

    def readings() -> int:
        return len([each for each in counter.world.records() if each.action == "audit:read"]) - 2

    for _ in range(3):
        assert counter.get("arno", "/audit").status_code == 200
    assert readings() == 2  # started and succeeded, once for all three
    counter.clock.advance(minutes=16)
    counter.get("arno", "/audit")
    assert readings() == 4


def test_event_is_shown_as_it_is_stored(counter: Counter) -> None:
    page = counter.get("arno", f"/audit/event?key={RUN_KEY}")
    assert page.status_code == 200
    assert "model:register succeeded" in text_of(page.text)
    assert "&#34;schema&#34;: &#34;interlock.audit/v1&#34;" in page.text
    raw = counter.get("arno", f"/audit/event.json?key={RUN_KEY}")
    assert raw.content == counter.world.store.get(AUDIT, RUN_KEY)
    assert "attachment" in raw.headers["content-disposition"]
    gone = counter.get(
        "arno", "/audit/event?key=governance/audit/2040/01/02/tiny-run-1/000099.json"
    )
    assert gone.status_code == 404
    assert counter.get("arno", "/audit/event?key=../secrets").status_code == 400


def verified(counter: Counter, name: str) -> str:
    """Somebody has the trail verified, and looks when that is done."""
    form = counter.form(name, "/integrity", "/integrity/verify")
    assert counter.post(name, "/integrity/verify", form).status_code == 303
    for thread in threading.enumerate():
        if thread.name == "verification":
            thread.join(60)
    return text_of(counter.get(name, "/integrity").text)


def test_integrity_is_verified_on_demand_and_on_record(counter: Counter) -> None:
    assert "never verified from a console" in text_of(counter.get("vera", "/integrity").text)
    assert "intact" in verified(counter, "arno")
    spoiled = counter.world.store.buckets[AUDIT].versions[RUN_KEY]
    spoiled.append(spoiled[0])
    shown = verified(counter, "arno")
    assert "Not intact: 1 finding" in shown, shown
    assert "stored over the event" in shown
    # Known to everybody, who need not be allowed to ask for it.
    assert "Not intact" in text_of(counter.get("vera", "/integrity").text)


def test_verification_needs_the_right_and_the_form(counter: Counter) -> None:
    form = counter.form("vera", "/integrity", "/integrity/verify")
    assert counter.post("vera", "/integrity/verify", form).status_code == 403
    assert counter.denials()[-1].action == "audit:read"
    assert counter.post("arno", "/integrity/verify", {"proof": ""}).status_code == 403
    assert counter.denials()[-1].action == "console:verify"
    assert counter.get("arno", "/integrity/verify").status_code == 405
    assert counter.site.verifications.last() is None


def test_unverifiable_ledger_is_an_alarm(counter: Counter) -> None:
    counter.office.approve_all()
    counter.office.promote()
    stored = counter.world.audit.read(champion_ledger(MODEL))[0]
    versions = counter.world.store.buckets[AUDIT].versions[stored.key]
    versions.append(versions[0])
    assert "does not verify" in text_of(counter.get("vera", f"/models/{MODEL}").text)
    assert "not proven" in text_of(counter.get("vera", "/").text)


def test_store_that_is_away_is_said_with_a_remedy(counter: Counter) -> None:
    headers = counter.headers("arno")
    counter.world.store.go_away()
    answer = counter.client.get(VERSION, headers=headers)
    counter.world.store.come_back()
    assert answer.status_code == 503
    assert "What to do:" in answer.text


def test_strangers_are_asked_to_sign_in(counter: Counter) -> None:
    answer = counter.client.get("/", headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert counter.client.get(VERSION).status_code == 401
    other = counter.client.get("/", headers={"host": "evil.example", "accept": "text/html"})
    assert other.status_code == 421
    assert "Call the console by the name" in other.text
    assert counter.client.get("/healthz").text == "ok"
    spoofed = counter.client.get("/", headers={"x-forwarded-user": "grace", "remote-user": "grace"})
    assert spoofed.status_code == 401


def test_signed_out_is_signed_out(counter: Counter) -> None:
    headers = {**counter.headers("grace"), **OWN}
    assert counter.client.post("/sign-out", headers=headers).status_code == 303
    counter.clock.advance(seconds=3)
    assert counter.client.get("/", headers=headers).headers["location"] == "/sign-in"


def test_operator_is_named_on_every_page(counter: Counter) -> None:
    client = counter.without_sign_in("otto", Role.ML_ENGINEER)
    page = client.get("/", headers={"accept": "text/html"}).text
    assert "acts as <strong>otto</strong>, ml engineer, on the word of the operator alone" in page
    assert "Sign out" not in page


def test_suspended_approval_is_an_alarm_until_people_agree_again(counter: Counter) -> None:
    counter.approve_all()
    counter.office.promote()
    trainer = counter.world.workspace()
    grounds = Grounds(
        model=MODEL,
        version="1",
        cause="drift",
        why="income drifted",
        check=RUN_KEY,
        data_hash="ab" * 32,
    )
    suspend(trainer, counter.office.at("ada"), grounds)
    page = text_of(counter.get("grace", VERSION).text)
    assert "Its approval is suspended since" in page
    assert "for drift: income drifted" in page
    assert "suspended" in text_of(counter.get("grace", "/").text)
    counter.approve_all()
    assert "Its approval is suspended" not in text_of(counter.get("grace", VERSION).text)
