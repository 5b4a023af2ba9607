"""What was decided elsewhere, on the command line or in another browser, and words for what cannot be done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests import films
from tests.acceptance.browser import browser, complaints
from tests.acceptance.harness import Daemon, cli, write_config
from tests.acceptance.test_review import Page

pytestmark = [pytest.mark.model, pytest.mark.usefixtures("loopback")]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Daemon, str, str]]:
    config = write_config(tmp_path, service={"review": "127.0.0.1:0", "poll_seconds": 0.2})
    with Daemon(config) as daemon:
        address = daemon.event("review.started")["address"]
        shutil.copy(films.make(tmp_path / "film.mp4", frames=60), tmp_path / "inbox")
        daemon.event("video.done")
        yield daemon, address, str(config)
        assert daemon.stop() == 0


def opened(driver: object, address: str) -> Page:
    """The page of the first film."""
    base = f"{urlsplit(address).scheme}://{urlsplit(address).netloc}"
    page = Page(driver, base)
    page.driver.get(address)
    page.driver.get(f"{base}/films/1#20")
    page.until(lambda: page.explained(20))
    return page


def come_back(page: Page) -> None:
    """As if the window had been left and is looked at again."""
    page.driver.execute_script("window.dispatchEvent(new Event('focus'))")


def chosen(config: str) -> list[int]:
    shown = json.loads(cli("show", "1", "--json", "--config", config).stdout)
    return [still["frame"] for still in shown["selections"][-1]["stills"]]


def pressed(page: Page, name: str) -> bool:
    return bool(page.button(name).get_attribute("aria-pressed") == "true")


def test_two_browsers_and_the_command_line_agree(running: tuple[Daemon, str, str]) -> None:
    _, address, config = running
    with browser() as first, browser() as second:
        one, other = opened(first, address), opened(second, address)
        for page in (one, other):
            page.keys("u")
            page.until(lambda page=page: page.text("#said") == "there is nothing to undo")  # type: ignore[misc]
        one.keys("p")
        one.until(lambda: one.text("#said") == "frame 20 pinned")
        come_back(other)
        other.until(lambda: pressed(other, "Pin"))
        # Both go through the same decisions.
        other.keys("u")
        other.until(lambda: other.text("#said") == "taken back")
        come_back(one)
        one.until(lambda: not pressed(one, "Pin"))
        one.keys("U")
        one.until(lambda: one.text("#said") == "decided again")
        assert cli("ban", "1", "21", "--config", config).returncode == 0
        come_back(other)
        other.until(lambda: pressed(other, "Pin"))
        other.keys("\ue014")
        other.until(lambda: other.frame == 21 and pressed(other, "Ban"))
        # The stills are chosen anew: whoever has filled something in keeps it, the other page shows them.
        count = other.one("input[name=count]")
        count.clear()
        count.send_keys("9")
        assert cli("select", "1", "--count", "2", "--config", config).returncode == 0
        frames = chosen(config)
        assert 20 in frames
        come_back(one)
        one.until(
            lambda: [int(card.get_attribute("data-frame")) for card in one.all("#picks li[data-frame]")] == frames
        )
        come_back(other)
        other.until(lambda: "chosen anew elsewhere" in other.text("#said"))
        assert other.one("input[name=count]").get_property("value") == "9"
        assert complaints(first) == complaints(second) == []


def test_what_cannot_be_done_is_said(running: tuple[Daemon, str, str], tmp_path: Path) -> None:
    daemon, address, _ = running
    with browser() as driver:
        page = opened(driver, address)
        for name, text, told in (
            ("count", "1.2.3", "select.count"), ("count", ".", "select.count"), ("count", "-1", "greater than"),
            ("count", "1000000000", "at most 1000"), ("count", "many", "select.count"),
            ("min_gap_seconds", "1e", "Apart"), ("size", "10.5", "Longest side"),
        ):  # fmt: skip
            field = page.one(f"input[name={name}]")
            before = field.get_property("value")
            field.clear()
            field.send_keys(text)
            page.button("Preview").click()
            page.until(lambda told=told: told in page.text("#export-said"))  # type: ignore[misc]
            assert "error" in page.one("#export-said").get_attribute("class")
            field.clear()
            field.send_keys(before)
        # A refused retry says why, beside the list as on the film's page.
        (tmp_path / "inbox" / "broken.mp4").write_bytes(b"no film " * 100)
        daemon.event("video.rejected")
        for path, place in (("/", "#list-said"), ("/films/2", "#retry + [role=status]")):
            driver.get(page.base + path)
            page.until(lambda: page.button("Retry").is_displayed())
            driver.execute_script("document.querySelector('meta[name=csrf]').content = 'old'")
            page.button("Retry").click()
            page.until(lambda place=place: "load it again" in page.text(place))  # type: ignore[misc]
            # A list that was refreshed meanwhile has a new button.
            assert page.button("Retry").get_attribute("aria-disabled") != "true"
        (tmp_path / "inbox" / "broken.mp4").unlink()
