"""A browser without a window: Debian's Chromium by its driver. Where there is none, tests are skipped with a word."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from notify.testing import wait_until

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--force-device-scale-factor=1"),
)


def _program() -> str:
    return shutil.which("chromium") or shutil.which("google-chrome") or ""


def missing() -> str:
    """Why there is no browser; empty if there is one."""
    lacking = [] if _program() else ["chromium"]
    lacking += [] if shutil.which("chromedriver") else ["chromium-driver"]
    return f"no browser: apt-get install {' '.join(lacking)}" if lacking else ""


class Browser:
    """A browser that looks at the page.

    Args:
        driver: selenium's driver.
        url: the URL of the page.
    """

    def __init__(self, driver: Any, url: str) -> None:
        self.driver = driver
        self.url = url

    def open(self, path: str) -> None:
        self.driver.get(self.url + path)

    def find(self, selector: str) -> Any:
        """The first element; an error if there is none."""
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements("css selector", selector))

    def text(self, selector: str = "main") -> str:
        return str(self.driver.execute_script("return document.querySelector(arguments[0])?.innerText || ''", selector))

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition: Callable[[], object], what: str, timeout_s: float = 30.0) -> None:
        wait_until(lambda: bool(condition()), timeout_s=timeout_s, what=f"{what}; the page shows: {self.text()[:400]!r}")

    def click(self, selector: str) -> None:
        """Click by script: what moves under the pointer of a driver is no matter of ours."""
        self.run("document.querySelector(arguments[0]).click()", selector)

    def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})

    def errors(self) -> list[str]:
        """What the console complained of."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]


@contextmanager
def browsing(url: str) -> Iterator[Browser]:
    """Run a browser with an empty profile."""
    profile = tempfile.mkdtemp(prefix="notify-browser-")
    options = Options()
    options.binary_location = _program()
    for flag in (*FLAGS, f"--user-data-dir={profile}", "--window-size=1280,900"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield Browser(driver, url)
    finally:
        driver.quit()
        shutil.rmtree(Path(profile), ignore_errors=True)
