"""What each role sees in Dagit in a real browser: which buttons can be used, and why others cannot.

Without Docker: the embedded object store, the web server, and accounts of this platform. Not
collected by an ordinary run of the tests. ``look_at_roles`` works against any address at which the
accounts exist. ``SAVE_PICTURES=docs/pictures`` keeps the pictures:

    SAVE_PICTURES=docs/pictures .venv/bin/pytest platform_tests/stack/check_roles.py
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.remote.webelement import WebElement
from stack.browser import GROUP, LOCATION, Browser, having, open_browser, reading, sign_in
from stack.processes import PASSWORD, add_account, served

from interlock.governance.access import Action, Decision, Resource
from interlock.governance.policy import PolicyEngine, favourable_context
from interlock.governance.principal import Environment, Principal, Role
from interlock.local.platform import connected
from interlock.settings import load_settings

pytestmark = pytest.mark.timeout(900)

WHY = ("no policy permits it", "only owners", "Insufficient permissions", "do not have permission")
SCHEDULE, DECISION = "ml_training_schedule", "model_decision"


@dataclass(frozen=True)
class Account:
    """Somebody who can sign in.

    Attributes:
        name: Theirs.
        role: Theirs.
        team: Theirs; ``credit-risk`` owns the product.
        password: Theirs.
    """

    name: str
    role: Role
    team: str
    password: str = PASSWORD


ACCOUNTS = (
    Account("vera", Role.VIEWER, "credit-risk"),
    Account("emil", Role.ML_ENGINEER, "credit-risk"),
    Account("grace", Role.APPROVER, "model-risk"),
    Account("root", Role.PLATFORM_ADMIN, "platform"),
)


@pytest.fixture
def dagit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a web server to which people sign in."""
    monkeypatch.setenv("ENVIRONMENT", "dev")
    monkeypatch.setenv("INTERLOCK_HOME", str(tmp_path / "home"))
    with connected(load_settings()) as settings:
        for each in ACCOUNTS:
            add_account(settings, each.name, each.role, team=each.team, password=each.password)
        dagster = tmp_path / "dagster"
        dagster.mkdir()
        instance = "telemetry: {enabled: false}\nnux: {enabled: false}\n"
        (dagster / "dagster.yaml").write_text(instance)
        workspace = tmp_path / "workspace.yaml"
        module = f"module_name: interlock.definitions, location_name: {LOCATION}"
        workspace.write_text(f"load_from: [{{python_module: {{{module}}}}}]\n")
        with served(
            settings,
            "interlock.webserver",
            "-w",
            str(workspace),
            log=tmp_path / "webserver.log",
            DAGSTER_HOME=str(dagster),
        ) as url:
            yield url


def test_each_role_sees_what_the_policies_give_it(dagit: str, tmp_path: Path) -> None:
    with open_browser(tmp_path) as browser:
        look_at_roles(browser, dagit, Environment.DEV)


def look_at_roles(
    browser: Browser, url: str, environment: Environment, accounts: tuple[Account, ...] = ACCOUNTS
) -> None:
    """Sign in as each and see which buttons can be used; a picture of each schedule's page.

    Args:
        browser: The window.
        url: Of Dagster's web server.
        environment: It runs in.
        accounts: One for each role; those of ``credit-risk`` own the product.
    """
    for each in accounts:
        sign_in(browser, url, name=each.name, password=each.password)
        says = decisions(each, environment)
        owns = each.team == "credit-risk"
        browser.open(f"{url}/locations/{LOCATION}/asset-groups/{GROUP}")
        browser.see(reading("raw_data"))
        all_assets = having("button", "Materialize all")
        can_be_used(browser, all_assets, says[Action.DATA_INGEST], owns=owns)
        reload = says[Action.PLATFORM_ADMINISTER]
        if environment is Environment.DEV and not reload.allowed:
            reload = says[Action.MODEL_TRAIN]
        can_be_used(browser, having("button", "Reload definitions"), reload)
        browser.picture(f"role-{each.role.value}-assets")
        browser.open(f"{url}/locations/{LOCATION}/schedules/{SCHEDULE}")
        can_be_used(browser, "//input[@type='checkbox']", says[Action.MODEL_REGISTER])
        browser.picture(f"role-{each.role.value}-schedule")
        can_decide(browser, url, says[Action.MODEL_APPROVE])
        browser.picture(f"role-{each.role.value}-decision")


def decisions(account: Account, environment: Environment) -> Mapping[Action, Decision]:
    """What the policies say to each action of somebody, about versions of others."""
    engine = PolicyEngine.load()
    who = Principal(account.name, account.role, "local", frozenset({account.team}))
    return {
        action: engine.decide(
            principal=who,
            action=action,
            resource=Resource(action.resource_kind, "any"),
            environment=environment,
            context=favourable_context(environment),
        )
        for action in (
            Action.DATA_INGEST,
            Action.MODEL_TRAIN,
            Action.MODEL_REGISTER,
            Action.MODEL_APPROVE,
            Action.PLATFORM_ADMINISTER,
        )
    }


def can_be_used(browser: Browser, xpath: str, said: Decision, *, owns: bool = True) -> None:
    """See that a button can be used or not, as it was decided, and that Dagit says why not."""
    allowed = said.allowed and owns

    def is_as_decided() -> bool:
        found = browser.all(xpath)
        return found != [] and is_enabled(found[0]) is allowed

    browser.until(is_as_decided, f"{xpath} can be used: {allowed}")
    if allowed:
        return
    before = shown(browser)

    def says_why() -> bool:
        ActionChains(browser.driver).move_to_element(browser.all(xpath)[0]).perform()
        return any(each in line for line in shown(browser) - before for each in WHY)

    browser.until(says_why, f"{xpath} says why it cannot be used")


def shown(browser: Browser) -> set[str]:
    """The lines of text that can be seen."""
    text = browser.driver.execute_script("return document.body.innerText")
    return set(str(text).splitlines())


def is_enabled(button: WebElement) -> bool:
    """Whether a button or switch can be used."""
    return (
        button.get_attribute("disabled") is None and button.get_attribute("aria-disabled") != "true"
    )


def can_decide(browser: Browser, url: str, said: Decision) -> None:
    """See that a decision about a version can be launched or that its Launchpad is closed."""
    browser.open(f"{url}/locations/{LOCATION}/jobs/{DECISION}")
    browser.see(reading("interlock/approvers"))

    def is_open() -> bool:
        if not browser.driver.current_url.endswith("/playground"):
            browser.see(reading("Launchpad"), seconds=1).click()
        return browser.driver.current_url.endswith("/playground")

    if said.allowed:
        browser.until(is_open, "the Launchpad opens")
        browser.see("//button[starts-with(normalize-space(), 'Launch')]")
        return
    assert not is_open()
    tab = browser.see(reading("Launchpad"))
    ActionChains(browser.driver).move_to_element(tab).perform()
