"""Debian's chromium, driven by selenium, and axe-core's rules where npm has brought them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
AXE = (Path(os.environ.get("AXE_CORE", "")), ROOT / ".ci" / "node" / "node_modules" / "axe-core" / "axe.min.js")
ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--hide-scrollbars",
)  # fmt: skip


@contextmanager
def browser(width: int = 1280, height: int = 1000) -> Iterator[Any]:
    """A browser whose requests and console are recorded; skips the test where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("no chromium or chromedriver on PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in (*ARGUMENTS, f"--window-size={width},{height}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.chrome.service.Service(driver)
    opened = webdriver.Chrome(options=options, service=service)
    try:
        opened.set_page_load_timeout(60)
        yield opened
    finally:
        opened.quit()


def complaints(driver: Any) -> list[str]:
    """What the console says that is worse than a remark."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def hosts(driver: Any) -> set[str]:
    """Every host that was asked for anything."""
    asked: set[str] = set()
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            parts = urlsplit(message["params"]["request"]["url"])
            if parts.scheme in ("http", "https", "ws", "wss"):
                asked.add(parts.hostname or "")
    return asked


def axe() -> str:
    """axe-core's script; skips the test where npm has not brought it."""
    for file in AXE:
        if file.is_file():
            return file.read_text(encoding="utf-8")
    pytest.skip("axe-core is not installed: npm install --prefix .ci/node axe-core")


def accessibility(driver: Any, script: str) -> list[str]:
    """axe-core's findings that are serious or worse, each in a line."""
    # The page's policy forbids scripts in the page; the driver's are not the page's.
    driver.execute_script(script)
    found = driver.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes']]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
