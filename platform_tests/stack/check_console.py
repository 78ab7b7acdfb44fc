"""What two approvers and somebody on call do and see at the console, in a real browser.

Without Docker: the embedded services, staging, and accounts of this platform. Not collected by an
ordinary run of the tests. ``SAVE_PICTURES=docs/pictures`` keeps the README's pictures:

    SAVE_PICTURES=docs/pictures .venv/bin/pytest platform_tests/stack/check_console.py
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys
from stack.browser import Browser, open_browser
from stack.processes import PASSWORD, add_account, served

from interlock.governance.principal import Role
from interlock.local.home import Home
from interlock.local.platform import connected
from interlock.settings import load_settings

pytestmark = pytest.mark.timeout(900)

MODEL = "CreditRiskModel"
PEOPLE = {
    "grace": Role.APPROVER,
    "henry": Role.APPROVER,
    "otto": Role.ML_ENGINEER,
    "arno": Role.AUDITOR,
}
STAGING = {
    "ENVIRONMENT": "staging",
    "AUDIT_RETENTION_DAYS": "1",
    "IDENTITY_SOURCE": "env",
    "RUN_OWNER": "ada",
    "RUN_ROLE": "ml_engineer",
}


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a console with a version that waits, and with people who may sign in."""
    for name, value in {**STAGING, "INTERLOCK_HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(name, value)
    with connected(load_settings()) as settings:
        interlock = Path(sys.executable).with_name("interlock")
        subprocess.run([interlock, "run", "credit_risk"], check=True)
        for name, role in PEOPLE.items():
            add_account(settings, name, role)
        key = str(Home(settings.home).approval_key)
        log = tmp_path / "console.log"
        with served(settings, "interlock.console", log=log, APPROVAL_KEY=key) as url:
            yield url


def test_two_people_approve_and_a_third_promotes(console: str, tmp_path: Path) -> None:
    with open_browser(tmp_path) as browser:
        decide_and_look(browser, console)


def decide_and_look(browser: Browser, url: str, version: str = "1") -> None:
    """Everything that this check is for; pictures on the way.

    Args:
        browser: The window.
        url: Of the console.
        version: That waits.
    """
    page = f"{url}/models/{MODEL}/versions/{version}"
    browser.window(height=640)
    with signed_in(browser, url, "grace"):
        browser.open(f"{url}/waiting")
        browser.see(link("Look at it and decide"))
        browser.picture("console-waiting")
        browser.click(link("Look at it and decide"))
        is_greyed(browser, "Make it the champion …", because="no policy permits it to the role")
        approve(browser, "Holdout, calibration and data quality reviewed.", picture=True)
    with signed_in(browser, url, "henry"):
        browser.open(page)
        approve(browser, "Costs at the chosen threshold are within appetite.")
        whole(browser)
        lineage = browser.see("//ol[@class='lineage']")
        browser.picture("console-version", down_to=lineage, margin=24)
        dark(browser, on=True)
        browser.picture("console-version-dark", down_to=lineage, margin=24)
        dark(browser, on=False)
        browser.window(height=640)
    with signed_in(browser, url, "otto"):
        browser.open(page)
        is_greyed(browser, "Approve …", because="no policy permits it to the role ml_engineer")
        browser.click(button("Make it the champion …"))
        browser.click(button("Make it the champion"))
        browser.see("//*[@role='status' and contains(., 'is the champion now')]")
        browser.see("//*[contains(@class, 'alias') and .='champion']")
    with signed_in(browser, url, "arno"):
        browser.open(f"{url}/integrity")
        browser.click(button("Verify now"))
        # Without being asked to, the page says when it is done.
        browser.see("//*[contains(@class, 'state-passed') and .='intact']")
        browser.picture("console-integrity")
        browser.open(f"{url}/audit?action=model:")
        browser.see("//td[.='model:promote']")
        browser.picture("console-audit")
        browser.see("//select[@name='outcome']").send_keys("denied")
        browser.until(lambda: "outcome=denied" in browser.driver.current_url, "it was filtered")
        browser.open(f"{url}/audit?action=model:approve&outcome=succeeded")
        browser.click("(//td/a[starts-with(., 'event')])[1]")
        browser.see("//pre[contains(., 'interlock.audit/v1')]")
        reached_by_keyboard(browser, url)
    log: Any = browser.driver
    broken = [each for each in log.get_log("browser") if each["level"] == "SEVERE"]
    assert broken == []  # the content security policy stopped nothing


@contextlib.contextmanager
def signed_in(browser: Browser, url: str, name: str) -> Iterator[None]:
    """Somebody signs in, and out again."""
    browser.open(f"{url}/sign-in")
    browser.see("//input[@name='name']").send_keys(name)
    browser.see("//input[@name='password']").send_keys(PASSWORD)
    browser.click(button("Sign in"))
    browser.see(f"//*[contains(@class, 'who')]//*[.='{name}']")
    yield
    browser.click(button("Sign out"))
    browser.see("//input[@name='password']")


def approve(browser: Browser, reason: str, *, picture: bool = False) -> None:
    """Approve the version whose page is open."""
    browser.see("//textarea[@name='reason']").send_keys(reason)
    browser.click(button("Approve …"))
    browser.see("//*[.='validated for use in staging']")
    if picture:
        browser.picture("console-confirm")
    browser.click(button("Sign the approval"))
    browser.see("//*[@role='status' and contains(., 'signed and on record')]")


def is_greyed(browser: Browser, text: str, *, because: str) -> None:
    """See that a button cannot be used, and why it says so."""
    found = browser.see(button(text))
    assert not found.is_enabled()
    why = found.get_attribute("aria-describedby")
    assert because in browser.see(f"//*[@id='{why}']").text


def reached_by_keyboard(browser: Browser, url: str) -> None:
    """See that the first key leads past the navigation to the content."""
    browser.open(f"{url}/")
    browser.see("//h1").parent.switch_to.active_element.send_keys(Keys.TAB)
    first = browser.driver.switch_to.active_element
    assert first.text == "Skip to the content"
    first.send_keys(Keys.ENTER)
    browser.until(
        lambda: browser.driver.switch_to.active_element.get_attribute("id") == "content",
        "the content is reached",
    )


def whole(browser: Browser) -> None:
    """Make all of a page visible."""
    # Plots load as they come into view.
    browser.driver.execute_script("for (const i of document.images) i.loading = 'eager'")
    height = browser.driver.execute_script("return document.documentElement.scrollHeight")
    browser.window(height=int(height))
    browser.until(
        lambda: bool(
            browser.driver.execute_script(
                "return [...document.images].every(i => i.complete && i.naturalWidth > 0)"
            )
        ),
        "every plot is drawn",
    )
    height = browser.driver.execute_script("return document.documentElement.scrollHeight")
    browser.window(height=int(height))


def dark(browser: Browser, *, on: bool) -> None:
    """Have the browser ask for dark pages, or for light ones."""
    wanted = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [wanted]})


def button(text: str) -> str:
    """A button that reads so."""
    return f"//button[normalize-space()='{text}']"


def link(text: str) -> str:
    """A link that reads so."""
    return f"//a[normalize-space()='{text}']"
