"""Takes the pictures: ``python -m tests.screenshots FOLDER``."""

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import notify
from notify.testing import private_server, wait_until
from tests.screenshots.lab import lab
from tests.support.browser import Browser, browsing, missing
from tests.support.web_page import served

WIDE, PHONE = (1280, 900), (390, 844)
FORMS = (("", WIDE, False), ("-dark", WIDE, True), ("-phone", PHONE, False), ("-phone-dark", PHONE, True))
README = {"overview": (1280, 756), "job": (1280, 612)}
"""The pictures of the README, and their sizes; copy them to docs/images."""


def shoot(browser: Browser, path: str, file: Path, size: tuple[int, int], *, dark: bool = False) -> None:
    browser.resize(*size, dark=dark)
    browser.open(path)
    wait_until(lambda: browser.run("return document.readyState") == "complete", what="the page")
    browser.driver.save_screenshot(str(file))
    sys.stdout.write(f"{file} {file.stat().st_size / 1024:.0f} kB, complaints: {browser.errors()}\n")


def main(folder: Path) -> None:
    problem = missing()
    if problem:
        sys.exit(problem)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        server = stack.enter_context(private_server())
        bus = stack.enter_context(notify.connect(server.url, name="lab"))
        story = stack.enter_context(lab(server, bus, Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        browser = stack.enter_context(browsing(stack.enter_context(served(bus))))
        views = {"overview": "/", "jobs": "/jobs?status=failed", "job": f"/job/{story}", "services": "/services"}
        views |= {"service": "/service/payments", "queues": "/queues", "workers": "/workers", "cron": "/cron"}
        views |= {"topics": "/topics", "topic": "/topic/job.orders", "cancel": "/action/cancel?all=1&queue=orders"}
        for name, path in views.items():
            for form, size, dark in FORMS:
                shoot(browser, path, folder / f"{name}{form}.png", size, dark=dark)
        for name, size in README.items():
            shoot(browser, views[name], folder / f"readme-{name}.png", size)


main(Path(sys.argv[1]))
