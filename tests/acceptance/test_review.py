"""The review page of a running daemon in a real browser: look, decide, export, and see the proven file on the disk."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests import films
from tests.acceptance.browser import accessibility, axe, browser, complaints, hosts
from tests.acceptance.harness import Daemon, cli, write_config

pytestmark = [pytest.mark.model, pytest.mark.usefixtures("loopback")]


class Page:
    """A film's page, driven as a person would."""

    def __init__(self, driver: Any, base: str) -> None:
        self.driver = driver
        self.base = base

    def until(self, wanted: Callable[[], Any], seconds: float = 30.0) -> Any:
        """What ``wanted`` gives once it is true."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if found := wanted():
                    return found
            except Exception as error:
                # The page was loaded anew while it was looked at.
                if type(error).__name__ not in ("StaleElementReferenceException", "NoSuchElementException"):
                    raise
            time.sleep(0.05)
        told = [self.text(place) for place in ("#said", "#export-said", "#why")]
        raise AssertionError(f"waited in vain; {self.driver.current_url} says {told}, {complaints(self.driver)}")

    def one(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        found: list[Any] = self.driver.find_elements("css selector", selector)
        return found

    def text(self, selector: str) -> str:
        return "".join(element.text for element in self.all(selector))

    def button(self, name: str) -> Any:
        return self.driver.find_element("xpath", f"//button[normalize-space()='{name}']")

    def keys(self, *keys: str) -> None:
        self.one("body").send_keys(*keys)

    @property
    def frame(self) -> int:
        return int(self.one("#curve").get_attribute("aria-valuenow"))

    def explained(self, frame: int) -> bool:
        return self.text("#why h2") == f"Frame {frame}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("review")


@pytest.fixture
def running(folder: Path) -> Iterator[tuple[Daemon, str]]:
    config = write_config(folder, service={"review": "127.0.0.1:0", "poll_seconds": 0.2})
    with Daemon(config) as daemon:
        address = daemon.event("review.started")["address"]
        daemon.event("service.ready")
        yield daemon, address
        assert daemon.stop() == 0


def test_a_film_from_its_arrival_to_an_export(running: tuple[Daemon, str], folder: Path) -> None:
    daemon, address = running
    with browser() as driver:
        page = Page(driver, f"{urlsplit(address).scheme}://{urlsplit(address).netloc}")
        driver.get(address)
        assert "token" not in driver.current_url
        # The list follows the daemon without being loaded again.
        driver.execute_script("window.stays = true")
        shutil.copy(films.make(folder / "film.mp4", frames=100), folder / "inbox")
        page.until(lambda: page.text("li[data-film] .what a") == "film.mp4", 60)
        page.until(lambda: page.text("li[data-film] .facts .state") == "done", 60)
        assert driver.execute_script("return window.stays")
        daemon.event("video.done")
        # What was refused can be tried again there.
        (folder / "inbox" / "broken.mp4").write_bytes(b"no film " * 100)
        retry = page.until(lambda: page.one("button[aria-label='Retry broken.mp4']"), 60)
        refused = daemon.event("video.rejected")
        retry.click()
        assert daemon.event("video.rejected")["video_id"] == refused["video_id"]
        (folder / "inbox" / "broken.mp4").unlink()
        _look(page)
        _decide(page)
        _export(page, folder)
        assert complaints(driver) == []
        assert hosts(driver) == {"127.0.0.1"}


def _look(page: Page) -> None:
    """Strip, curve, keys, alternatives."""
    page.driver.find_element("link text", "film.mp4").click()
    for name in ("Filmstrip", "Score curve", "Export panel"):
        assert page.one(f"[aria-label='{name}']").is_displayed()
    page.until(lambda: page.explained(page.frame))
    first = page.frame
    slots = page.until(lambda: page.all("#slots button[aria-label*=score]"))
    chains = __import__("selenium.webdriver", fromlist=["ActionChains"]).ActionChains
    chains(page.driver).move_to_element(slots[2]).perform()
    page.until(lambda: page.one("#hover").is_displayed() and page.one("#hover img").get_property("naturalWidth"))
    slots[2].click()
    page.until(lambda: page.frame == int(slots[2].get_attribute("data-frame")))
    page.until(lambda: page.explained(page.frame))
    curve = page.one("#curve")
    chains(page.driver).move_to_element_with_offset(curve, curve.size["width"] // 4, 0).click().perform()
    page.until(lambda: 70 <= page.frame <= 80)
    at = page.frame
    page.keys("\ue014")
    assert page.frame == at + 1
    page.keys("\ue012", "\ue012")
    assert page.frame == at - 1
    # The frame in full is that very frame.
    page.until(lambda: page.one(".pane .note").get_attribute("hidden") is not None)
    assert page.one(".pane img").get_property("naturalWidth") == 192
    page.keys("z")
    assert page.button("100 %").get_attribute("aria-pressed") == "true"
    page.keys("c")
    assert len(page.all(".pane")) == 2
    _move_both(page, chains)
    page.button("Compare four").click()
    assert len(page.all(".pane")) == 4
    page.keys("c", "z")
    assert len(page.all(".pane")) == 1
    stills = [int(card.get_attribute("data-frame")) for card in page.all("#picks li[data-frame]")]
    towards = "\ue012" if min(stills) < page.frame else "\ue014"
    chains(page.driver).key_down("\ue008").send_keys(towards).key_up("\ue008").perform()
    assert page.frame in stills
    assert first in [int(card.get_attribute("data-frame")) for card in page.all("#picks li[data-frame]")]
    page.keys("?")
    assert page.one("#help").is_displayed()
    page.button("Close").click()


def _move_both(page: Page, chains: Any) -> None:
    """Whatever moves or enlarges one of two pictures does so with the other."""

    def places() -> list[str]:
        shown = "return [...document.querySelectorAll('.pane img')].map((one) => one.style.transform)"
        found: list[str] = page.driver.execute_script(shown)
        return found

    page.until(lambda: len(set(places())) == 1)
    left = page.all(".pane")[0]
    for move in (
        lambda: page.keys(">"),
        lambda: page.keys("l"),
        lambda: page.keys("i"),
        lambda: chains(page.driver).drag_and_drop_by_offset(left, 30, 20).perform(),
        lambda: chains(page.driver).scroll_from_origin(_wheel(left), 0, -200).perform(),
    ):
        before = places()
        move()
        page.until(lambda before=before: places()[0] != before[0])  # type: ignore[misc]
        assert len(set(places())) == 1


def _wheel(element: Any) -> Any:
    origin = __import__("selenium.webdriver.common.actions.wheel_input", fromlist=["ScrollOrigin"]).ScrollOrigin
    return origin.from_element(element)


def _decide(page: Page) -> None:
    """Reject a still, take an alternative of its moment, pin, ban, undo: by button and by key."""
    still = page.frame
    page.until(lambda: page.explained(still))
    page.button("Reject").click()
    page.until(lambda: page.text("#said") == f"frame {still} rejected")
    page.button("Alternatives").click()
    page.until(lambda: page.all("#tools .others button"))
    page.until(lambda: page.all("#tools .others button")[0].click() or True)
    page.until(lambda: page.frame != still and page.explained(page.frame))
    other = page.frame
    page.keys("a")
    page.until(lambda: page.text("#said") == f"frame {other} accepted")
    assert page.one(f"#picks li.new[data-frame='{other}']").is_displayed()
    page.keys("\ue014")
    page.keys("b")
    page.until(lambda: page.text("#said") == f"frame {other + 1} banned")
    page.button("Undo").click()
    page.until(lambda: page.text("#said") == "taken back")
    page.button("Pin").click()
    page.until(lambda: page.text("#said") == f"frame {other + 1} pinned")
    page.keys("u")
    page.until(lambda: page.button("Pin").get_attribute("aria-pressed") == "false")


def _export(page: Page, folder: Path) -> None:
    """As marked; then anew for a span that is dragged on the curve."""
    config = str(folder / "config.yaml")
    wanted = {
        int(card.get_attribute("data-frame"))
        for card in page.all("#picks li[data-frame]")
        if "out" not in card.get_attribute("class").split()
    }
    page.button("Export").click()
    page.until(lambda: page.text("#export-said").endswith("exported and proven"), 60)
    shown = json.loads(cli("show", "1", "--json", "--config", config).stdout)
    assert {still["frame"] for still in shown["selections"][-1]["stills"]} == wanted
    for still in shown["selections"][-1]["stills"]:
        assert films.read_still(Path(still["path"])) == still["frame"]
    chains = __import__("selenium.webdriver", fromlist=["ActionChains"]).ActionChains
    curve = page.one("#curve")
    page.driver.execute_script("arguments[0].scrollIntoView()", curve)
    width = curve.size["width"]
    action = chains(page.driver).key_down("\ue008").move_to_element_with_offset(curve, -width // 4, 0).click_and_hold()
    action.move_by_offset(width // 4, 0).move_by_offset(width // 4, 0).release().key_up("\ue008").perform()
    page.until(lambda: "would be chosen" in page.text("#export-said"))
    span = [page.one(f"input[name={name}]").get_attribute("value") for name in ("start", "end")]
    # The same by a button instead of a key.
    for name in ("start", "end"):
        page.one(f"input[name={name}]").clear()
    page.button("Mark a span").click()
    action = chains(page.driver).move_to_element_with_offset(curve, -width // 4, 0).click_and_hold()
    action.move_by_offset(width // 2, 0).release().perform()
    assert [page.one(f"input[name={name}]").get_attribute("value") for name in ("start", "end")] == span
    page.button("Mark a span").click()
    count = page.one("input[name=count]")
    count.clear()
    count.send_keys("2")
    page.until(lambda: page.text("#export-said").startswith("2 would be chosen"))
    frames = [
        int(one.get_attribute("aria-label").split("frame ")[1].split(",")[0]) for one in page.all("#previewed button")
    ]
    assert all(20 <= frame <= 80 for frame in frames)
    page.button("Export").click()
    page.until(lambda: page.text("#export-said") == "2 stills exported and proven", 60)
    assert [int(card.get_attribute("data-frame")) for card in page.all("#picks li[data-frame]")] == frames
    stills = sorted((folder / "stills").rglob("*.png"))
    assert cli("verify", *map(str, stills), "--config", config).returncode == 0


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light"), (2560, "dark")])
def test_everyone_can_use_it_at_every_width(running: tuple[Daemon, str], folder: Path, width: int, scheme: str) -> None:
    daemon, address = running
    if not (folder / "inbox" / "film.mp4").exists():
        shutil.copy(films.make(folder / "film.mp4", frames=100), folder / "inbox")
        daemon.event("video.done")
    script = axe()
    with browser(width) as driver:
        size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 500}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        page = Page(driver, "")
        driver.get(address)
        assert accessibility(driver, script) == []
        driver.find_element("link text", "film.mp4").click()
        page.until(lambda: page.explained(page.frame))
        assert accessibility(driver, script) == []
        for path in ("", "/frames/3"):
            driver.get(address.split("/?")[0] + "/films/1" + path)
            assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        assert complaints(driver) == []
