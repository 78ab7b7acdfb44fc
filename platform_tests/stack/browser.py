"""What a person sees and clicks: Dagit, MLflow and the object store's console in a real browser.

Works against whichever addresses it is given, the composed stack's or those of ``interlock up``.
Here stands how to find one's way on the pages; which pages are opened, and when, is decided by the
tests. The pictures on the way are those of the README: ``SAVE_PICTURES=docs/pictures`` keeps them.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import pytest
from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

CHROMIUM, DRIVER = "chromium", "chromedriver"
FLAGS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--lang=en-US",
)
WIDTH, HEIGHT = 1440, 900  # CSS pixels
COLOURS = 256  # of a picture's palette; with few, those of small signs are lost
SECONDS = 60.0  # for a page to show what is waited for, on a busy machine
RUN_SECONDS = 300.0
# What a page does between two looks at it, as a person would not notice.
PASSING = (
    StaleElementReferenceException,
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
)
GROUP, MODEL = "credit_risk", "CreditRiskModel"
LOCATION = "interlock"  # the name of the code location, in every mode


class Browser:
    """A window, and the folder its pictures go to.

    Args:
        driver: Of a started Chromium.
        pictures: For those that are to be kept.
        scratch: For a last one, when something did not appear.
    """

    def __init__(self, driver: webdriver.Chrome, *, pictures: Path, scratch: Path) -> None:
        self.driver = driver
        self.pictures = pictures
        self._scratch = scratch
        self.window()

    def window(self, *, height: int = HEIGHT) -> None:
        """Sets what is visible of a page.

        Args:
            height: CSS pixels.
        """
        metrics = {"width": WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def open(self, url: str) -> None:
        """Opens a page anew, even where only the part after ``#`` differs."""
        self.driver.get("about:blank")
        self.driver.get(url)

    def all(self, xpath: str) -> list[WebElement]:
        """The elements that are there now, hidden ones too."""
        return self.driver.find_elements(By.XPATH, xpath)

    def see(self, xpath: str, *, seconds: float = SECONDS) -> WebElement:
        """Waits until an element is visible.

        Returns:
            The element.
        """
        found: list[WebElement] = []

        def is_there() -> bool:
            found[:] = [each for each in self.all(xpath) if each.is_displayed()]
            return bool(found)

        self.until(is_there, xpath, seconds=seconds)
        return found[0]

    def click(self, xpath: str) -> None:
        """Clicks an element as soon as it can be clicked."""

        def is_clicked() -> bool:
            there = [each for each in self.all(xpath) if each.is_displayed() and each.is_enabled()]
            for element in there[:1]:
                element.click()
            return bool(there)

        self.until(is_clicked, f"can be clicked: {xpath}")

    def until(self, is_true: Callable[[], bool], what: str, *, seconds: float = SECONDS) -> None:
        """Waits for something; the last picture is kept if it does not come."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(*PASSING):
                if is_true():
                    return
            if time.monotonic() > deadline:
                last = self._scratch / "not-seen.png"
                last.write_bytes(self.driver.get_screenshot_as_png())
                raise AssertionError(
                    f"not within {seconds:.0f} s on {self.driver.current_url}: {what}; see {last}"
                )
            time.sleep(0.25)

    def picture(self, name: str, *, down_to: WebElement | None = None, margin: int = 0) -> None:
        """Keeps what is visible once it stands still, with a palette and thus small.

        Args:
            name: Of the file, without its ending.
            down_to: Cut off what is below this.
            margin: Below ``down_to``, CSS pixels.
        """
        # What the pointer happens to be on looks different.
        corner = {"type": "mouseMoved", "x": WIDTH - 1, "y": 1}
        self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", corner)
        seen = [b""]

        def stands_still() -> bool:
            seen.append(self.driver.get_screenshot_as_png())
            return seen[-1] == seen[-2]

        self.until(stands_still, "the page stands still")
        with Image.open(io.BytesIO(seen[-1])) as whole:
            height = whole.height
            if down_to is not None:
                bottom = int(down_to.rect["y"] + down_to.rect["height"]) + margin
                height = min(height, bottom)
            shown = whole.convert("RGB").crop((0, 0, whole.width, height))
        palette = shown.quantize(
            COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
        )
        self.pictures.mkdir(parents=True, exist_ok=True)
        palette.save(self.pictures / f"{name}.png", optimize=True)


@contextlib.contextmanager
def open_browser(scratch: Path) -> Iterator[Browser]:
    """Starts Chromium with an empty profile, and ends it.

    Args:
        scratch: For the profile, and for pictures that nobody asked to keep.

    Yields:
        Its window.
    """
    chromium, driver = shutil.which(CHROMIUM), shutil.which(DRIVER)
    if chromium is None or driver is None:
        pytest.skip("no browser here: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={scratch / 'profile'}"):
        options.add_argument(flag)
    if os.geteuid() == 0:  # Chromium's sandbox refuses root
        options.add_argument("--no-sandbox")
    # With both paths given, Selenium looks for nothing and fetches nothing.
    window = webdriver.Chrome(options, Service(driver))
    try:
        window.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "UTC"})
        pictures = Path(os.environ.get("SAVE_PICTURES") or scratch / "pictures")
        yield Browser(window, pictures=pictures, scratch=scratch)
    finally:
        window.quit()


class Dagit:
    """Dagster's pages.

    Args:
        browser: The window.
        url: Of the web server.
    """

    def __init__(self, browser: Browser, url: str) -> None:
        self.browser = browser
        self._url = url

    def open_group(self, group: str) -> None:
        """Opens the graph of a group of assets, with the navigation folded up."""
        self.browser.open(f"{self._url}/locations/{LOCATION}/asset-groups/{group}")
        self.browser.see(having("button", "Materialize all"))
        if any(each.is_displayed() for each in self.browser.all(reading("Hide navigation"))):
            self.browser.click(reading("Hide navigation"))

    def materialize_all(self) -> str:
        """Clicks *Materialize all* on the page of a group, and *View* in what pops up.

        Returns:
            The id of the run whose page is open now.
        """
        self.browser.click(having("button", "Materialize all"))
        self.browser.click("//a[contains(@href, '/runs/') and normalize-space()='View']")
        self.browser.until(lambda: "/runs/" in self.browser.driver.current_url, "the run's page")
        return PurePosixPath(self.browser.driver.current_url.partition("?")[0]).name

    def wait_for_success(self) -> None:
        """Waits on the page of a run until it has ended, and sees that it went well."""
        title = self.browser.driver
        self.browser.until(
            lambda: re.search(r"\[(SUCCESS|FAILURE|CANCELED)\]", title.title) is not None,
            "the run ends",
            seconds=RUN_SECONDS,
        )
        assert "[SUCCESS]" in title.title, title.title
        self.browser.open(self.browser.driver.current_url)  # without what popped up
        self.browser.see(reading("Success"))
        self.browser.see(starting("Finished execution of run for"))

    def checks_on_green_graph(self, assets: int) -> list[int]:
        """Waits until all assets of the open graph are materialized and all their checks passed.

        Args:
            assets: How many there are.

        Returns:
            How many checks passed, for each asset that has checks.
        """
        counts: list[tuple[int, int]] = []

        def is_green() -> bool:
            found = self.browser.all("//span[contains(., ' / ') and contains(., ' Passed')]")
            counts[:] = [passed_and_all(each.text) for each in found]
            done = len(self.browser.all(reading("Materialized"))) == assets
            loading = self.browser.all(reading("Loading..."))
            return done and not loading and counts != [] and all(n == m for n, m in counts)

        self.browser.until(is_green, f"{assets} assets are materialized and every check passed")
        return [passed for passed, _ in counts]

    def open_checks(self, asset: str) -> int:
        """Opens the checks of an asset, in a window in which all fit.

        Args:
            asset: Key, e.g. ``credit_risk/validated_data``.

        Returns:
            How many there are.
        """
        self.browser.open(f"{self._url}/assets/{asset}?view=checks")
        heading = self.browser.see(
            "//*[starts-with(normalize-space(), 'Checks (') and string-length(.) < 16]"
        )
        count = int("".join(filter(str.isdigit, heading.text)))
        self.browser.window(height=max(HEIGHT, 250 + 48 * count))
        self.browser.until(
            lambda: len(self._check_rows()) == count, f"{count} checks of {asset} are listed"
        )
        return count

    def check_states(self) -> set[str]:
        """What the open list of checks says of them, e.g. ``Succeeded``."""
        return {row.text.splitlines()[-1] for row in self._check_rows()}

    def checked_run(self) -> str:
        """Id of the run in which the selected check was evaluated."""
        link = self.browser.see("//a[contains(@href, '/runs/') and contains(@href, 'logs=step')]")
        return PurePosixPath((link.get_attribute("href") or "").partition("?")[0]).name

    def open_event(self, asset: str) -> None:
        """Opens what the latest materialization of an asset says."""
        self.browser.open(f"{self._url}/assets/{asset}?view=events")
        self.browser.see("//tr[td[normalize-space()='audit_event']]")

    def open_metadata(self, key: str) -> None:
        """Opens an entry of metadata that Dagit shows in a window of its own."""
        self.browser.click(f"//tr[td[normalize-space()='{key}']]//a[starts-with(., '[Show ')]")
        self.browser.see(having("button", "Close"))

    def _check_rows(self) -> list[WebElement]:
        return self.browser.all("//*[contains(@class, 'AssetChecks_checkRow_')]")


def sign_in(browser: Browser, url: str, *, name: str, password: str, picture: str = "") -> None:
    """Signs in as a person does; whoever was signed in before is not any more.

    Args:
        browser: The window.
        url: Of Dagster's web server or of the console.
        name: Who.
        password: Theirs.
        picture: Name of one of the page that asks; none is kept without.
    """
    browser.driver.delete_all_cookies()
    browser.window(height=600)
    browser.open(url)
    browser.see("//input[@id='name']").send_keys(name)
    if picture:
        browser.picture(picture)
    browser.see("//input[@id='password']").send_keys(password)
    browser.click(having("button", "Sign in"))
    browser.until(lambda: not browser.driver.current_url.endswith("/sign-in"), "they are let in")
    browser.window()


def approve_in_console(browser: Browser, url: str, *, version: str, reason: str) -> None:
    """Approves a version of the model in two steps, as the console has them.

    Args:
        browser: The window of somebody who is signed in.
        url: Of the console.
        version: Its number.
        reason: Why.
    """
    browser.open(f"{url}/models/{MODEL}/versions/{version}")
    browser.see("//textarea[@id='reason']").send_keys(reason)
    browser.click("//form[@id='decide']//button[starts-with(normalize-space(), 'Approve')]")
    browser.click(having("button", "Sign the approval"))
    browser.until(
        lambda: browser.driver.current_url.endswith("?done=approve"), "the approval is on record"
    )


def may_materialize(browser: Browser, url: str) -> bool:
    """Whether Dagit lets whoever is signed in materialize the assets of the group."""
    browser.open(f"{url}/locations/{LOCATION}/asset-groups/{GROUP}")
    button = browser.see(having("button", "Materialize all"))
    browser.until(lambda: not browser.all(reading("Loading...")), "the graph is there")
    return (
        button.get_attribute("disabled") is None and button.get_attribute("aria-disabled") != "true"
    )


def materialize_by_clicking(browser: Browser, url: str) -> str:
    """Materializes the assets of ``credit_risk`` by clicking, and sees every check passed.

    Args:
        browser: The window.
        url: Of Dagster's web server.

    Returns:
        The run's id.
    """
    dagit = Dagit(browser, url)
    dagit.open_group(GROUP)
    run_id = dagit.materialize_all()
    dagit.wait_for_success()
    browser.picture("run")

    browser.window(height=540)
    dagit.open_group(GROUP)
    passed = dagit.checks_on_green_graph(4)
    browser.picture("assets")

    counts = []
    for asset in ("validated_data", "registered_version"):
        counts.append(dagit.open_checks(f"{GROUP}/{asset}"))
        assert dagit.check_states() == {"Succeeded"}
        assert dagit.checked_run() == run_id
        browser.window(height=575)
        if asset == "validated_data":
            browser.picture("checks")
    assert sorted(counts) == sorted(passed)
    browser.see(starting("Every gate passed: roc_auc 0."))
    browser.window(height=715)
    browser.picture("gates")

    browser.window(height=1100)
    dagit.open_event(f"{GROUP}/trained_model")
    last_plot = browser.see("//tr[td[normalize-space()='plot_importance']]")
    browser.picture("model", down_to=last_plot, margin=1)
    browser.window(height=720)
    dagit.open_metadata("plot_roc")
    image = browser.see("//img[@alt='roc']")
    browser.until(lambda: image.get_property("naturalWidth") not in (0, None), "the plot is drawn")
    browser.picture("plot")
    return run_id


def see_version_in_mlflow(browser: Browser, url: str, run_id: str) -> None:
    """Sees that the version a run registered is the newest, with its tags.

    Args:
        browser: The window.
        url: Of MLflow.
        run_id: Of the Dagster run.
    """
    browser.window()
    browser.open(f"{url}/#/models/{MODEL}")
    with contextlib.suppress(AssertionError):  # an assistant that nobody asked for
        browser.see("//button[@aria-label='Close']", seconds=5)
        browser.click("//button[@aria-label='Close']")
    newest = browser.see("(//*[@role='row'][.//a[starts-with(., 'Version ')]])[1]")
    said = newest.text.replace("\n", "")
    for tag in (
        f"audit_stream: {GROUP}-{run_id}",
        "environment: dev",
        "deployment_blocked: false",
        "audit_owner: ",
        "data_hash: ",
        "policy_hash: ",
        "model_digest: ",
    ):
        assert tag in said, said
    browser.picture("registry", down_to=newest)
    browser.click("(//a[starts-with(., 'Version ')])[1]")
    governed = browser.see(starting("Governed by Interlock: "))
    browser.picture("version", down_to=governed, margin=24)


def see_trail_in_console(
    browser: Browser, url: str, *, user: str, secret: str, bucket: str, keys: Sequence[str]
) -> None:
    """Sees audit events in MinIO's console.

    Args:
        browser: The window.
        url: Of the console.
        user: Who looks.
        secret: Of the user.
        bucket: Of the trail.
        keys: Of the events; the folder of the last is looked at.
    """
    browser.window(height=700)
    browser.open(f"{url}/login")
    browser.see("//input[@id='accessKey']").send_keys(user)
    browser.see("//input[@id='secretKey']").send_keys(secret)
    browser.click("//button[@id='do-login']")
    browser.see("//button[@id='sign-out']")
    with contextlib.suppress(AssertionError):  # the licence, shown once
        browser.see("//button[@id='acknowledge-confirm']", seconds=5)
        browser.click("//button[@id='acknowledge-confirm']")
    paths = [PurePosixPath(key) for key in keys]
    folder = paths[-1].parent
    browser.open(f"{url}/browser/{bucket}/{quote(f'{folder}/', safe='')}")
    for name in [path.name for path in paths if path.parent == folder]:
        browser.see(reading(name))
    browser.picture("trail")


def reading(text: str) -> str:
    """XPath of the elements whose own text is this."""
    return f"//*[text()[normalize-space()='{text}']]"


def starting(text: str) -> str:
    """XPath of the elements whose own text starts like this."""
    return f"//*[text()[starts-with(normalize-space(), '{text}')]]"


def having(tag: str, text: str) -> str:
    """XPath of the elements of a kind that read like this, whatever is inside them."""
    return f"//{tag}[normalize-space()='{text}']"


def passed_and_all(text: str) -> tuple[int, int]:
    """The numbers of ``55 / 55 Passed``."""
    passed, count = re.findall(r"\d+", text)
    return int(passed), int(count)
