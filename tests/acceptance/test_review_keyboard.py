"""The review page without a mouse, with names that want to be more than text, and with scripts switched off."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests import films
from tests.acceptance.browser import browser, complaints, hosts
from tests.acceptance.harness import cli, write_config
from tests.acceptance.test_review import Page
from tests.acceptance.test_review_process import reviewing

pytestmark = [pytest.mark.model, pytest.mark.usefixtures("loopback")]

TAB, ENTER, ESCAPE, RIGHT = "\ue004", "\ue007", "\ue00c", "\ue014"
STALE = "document.querySelector('.counts').insertAdjacentHTML('afterend', '<p class=\"cluster\">idle</p>')"
NAME = "<img src=x onerror=hacked=1>\"'\u202e&amp;\n.mp4"


class Keyboard(Page):
    """A person who has no mouse."""

    def press(self, *keys: str) -> None:
        self.driver.switch_to.active_element.send_keys(*keys)

    def shift(self, key: str) -> None:
        self.driver.switch_to.active_element.send_keys("\ue008", key, "\ue000")

    def tab_to(self, selector: str) -> Any:
        """Press Tab until something that fits has the focus."""
        for _ in range(150):
            self.press(TAB)
            element = self.driver.switch_to.active_element
            if self.driver.execute_script("return arguments[0].matches(arguments[1])", element, selector):
                return element
        raise AssertionError(f"Tab does not reach {selector}")

    def held(self, selector: str) -> bool:
        """Whether something that fits has the focus."""
        return bool(self.driver.execute_script("return document.activeElement.matches(arguments[0])", selector))

    def said(self, words: str) -> None:
        self.until(lambda: self.text("#said") == words)


@contextmanager
def film_on_page(folder: Path, name: str = "film.mp4") -> Iterator[tuple[str, str]]:
    """A scored film, the address of the page, and the configuration."""
    config = write_config(folder)
    made = films.make(folder / "made.mp4", frames=100)
    assert cli("once", str(made.rename(folder / name)), "--config", str(config)).returncode == 0
    with reviewing(config) as (_, address):
        yield address, str(config)


def test_everything_by_keyboard_alone(tmp_path: Path) -> None:
    with film_on_page(tmp_path) as (address, config), browser() as driver:
        page = Keyboard(driver, "")
        driver.get(address)
        page.tab_to(".films .what a")
        page.press(ENTER)
        page.until(lambda: page.explained(page.frame))
        still = page.frame
        page.press(RIGHT)
        page.until(lambda: page.explained(still + 1))
        page.shift(RIGHT)
        page.until(lambda: page.explained(page.frame) and page.frame != still + 1)
        page.press("x")
        page.said(f"frame {page.frame} rejected")
        page.press("u")
        page.said("taken back")
        page.shift("u")
        page.said("decided again")
        page.press("m")
        page.until(lambda: page.all("#tools .others button"))
        page.tab_to("#tools .others button")
        page.press(ENTER)
        page.until(lambda: page.explained(page.frame))
        other = page.frame
        # The other frames are now those of another one; whoever walks through them is still there.
        assert page.held("#tools .others button")
        page.press("a")
        page.said(f"frame {other} accepted")
        # A key of one's own, which the next page knows as well.
        page.press("?")
        page.tab_to("[data-action=accept]")
        page.press(ENTER)
        page.press("k")
        page.press(ESCAPE)
        driver.refresh()
        page.until(lambda: page.explained(page.frame))
        page.press("k")
        page.said(f"frame {other} is undecided")
        page.press("p")
        page.said(f"frame {other} pinned")
        page.press("n")
        page.until(lambda: page.one("#note textarea").is_displayed())
        page.press("for the cover")
        page.press(TAB)
        page.press(ENTER)
        page.said("noted")
        page.until(lambda: "for the cover" in page.text("#why dl"))
        page.press("c")
        page.until(lambda: len(page.all(".pane")) == 2)
        page.tab_to("#tools button:not([hidden])")
        page.press("c")
        page.until(lambda: len(page.all(".pane")) == 1)
        # The strip has one stop; Enter takes its frame. The span is taken by keys, the export by the form.
        page.tab_to("#slots button")
        page.press(ENTER)
        page.until(lambda: page.explained(page.frame))
        page.press("[")
        page.until(lambda: page.one("input[name=start]").get_attribute("value") not in ("", "0.0"))
        page.tab_to("input[name=count]").send_keys("\ue009", "a", "\ue000", "2")
        page.tab_to("#preview")
        page.press(ENTER)
        page.until(lambda: page.text("#export-said").startswith("2 would be chosen"))
        page.tab_to("#go-export")
        page.press(ENTER)
        page.until(lambda: page.text("#export-said") == "2 stills exported and proven", 60)
        page.until(lambda: page.held("#go-export"))
        shown = json.loads(cli("show", "1", "--json", "--config", config).stdout)["selections"][-1]
        assert other in [one["frame"] for one in shown["stills"]]
        assert complaints(driver) == []


def test_the_focus_stays_where_it_is_while_the_list_changes(tmp_path: Path) -> None:
    with film_on_page(tmp_path) as (address, config), browser() as driver:
        page = Keyboard(driver, "")
        driver.get(address)
        page.tab_to(".facts .again")
        driver.execute_script(STALE)
        # Another film comes in front of it.
        other = films.make(tmp_path / "other.mp4", frames=30)
        assert cli("once", str(other), "--config", config).returncode == 0
        page.until(lambda: [link.text for link in page.all(".what a")] == ["other.mp4", "film.mp4"])
        assert page.held("li[data-film='1'] .facts .again")
        # What is said of the workers is as new as the list.
        assert page.text("#rows .cluster") == ""
        # What had the focus is gone; the film's name takes it.
        assert cli("retry", "1", "--config", config).returncode == 0
        page.until(lambda: page.text("li[data-film='1'] .state") == "queued")
        assert page.held("li[data-film='1'] a")
        assert complaints(driver) == []


def test_a_button_that_fails_says_why_and_can_be_pressed_again(tmp_path: Path) -> None:
    with film_on_page(tmp_path) as (address, config), browser() as driver:
        (tmp_path / "broken.mp4").write_bytes(b"no film")
        assert cli("once", str(tmp_path / "broken.mp4"), "--config", config).returncode != 0
        page = Keyboard(driver, "")
        driver.get(address.replace("/?", "/films/2?"))
        page.until(lambda: page.one("html").get_attribute("class") == "js")
        # As after a new start of the server.
        driver.execute_script("document.querySelector('meta[name=csrf]').content = 'of another server'")
        page.tab_to("#retry")
        page.press(ENTER)
        page.until(lambda: "load it again" in page.text("p:has(#retry) [role=status]"))
        assert page.held("#retry[aria-disabled=false]")


def test_what_is_pressed_twice_at_once_is_taken_back(tmp_path: Path) -> None:
    with film_on_page(tmp_path) as (address, _), browser() as driver:
        page = Keyboard(driver, "")
        driver.get(address.replace("/?", "/films/1?"))
        page.until(lambda: page.explained(page.frame))
        page.press("x", "x", "p")
        page.said(f"frame {page.frame} pinned")
        assert page.button("Reject").get_attribute("aria-pressed") == "false"
        # A button that has nothing left to do keeps the focus and does nothing.
        for _ in range(3):
            page.press("u")
            page.said("taken back")
        undo = page.button("Undo")
        page.until(lambda: undo.get_attribute("aria-disabled") == "true")
        undo.send_keys(ENTER)
        assert page.held("button[aria-keyshortcuts=u]")
        assert page.text("#said") == "taken back"


def test_a_name_is_text_and_nothing_else_in_a_browser(tmp_path: Path) -> None:
    with film_on_page(tmp_path, NAME) as (address, config), browser() as driver:
        page = Page(driver, "")
        driver.get(address)
        (link,) = page.all(".films .what a")
        assert link.text == "<img src=x onerror=hacked=1>\"'\\u202e&amp;\\n.mp4"
        link.click()
        page.until(lambda: page.explained(page.frame))
        assert page.text(".where .name") == "<img src=x onerror=hacked=1>\"'\\u202e&amp;\\n.mp4"
        page.button("Note").click()
        page.one("#note textarea").send_keys("</textarea><script>hacked=1</script>")
        page.button("Save").click()
        page.until(lambda: page.text("#said") == "noted")
        report = tmp_path / "report.html"
        assert cli("report", "1", "--out", str(report), "--config", config).returncode == 0
        for place in (driver.current_url, report.as_uri(), address.split("?")[0] + "films/1/frames/3"):
            driver.get(place)
            assert driver.execute_script("return typeof hacked") == "undefined"
            assert not page.all("img[src=x]")
        assert hosts(driver) == {"127.0.0.1"}


def test_without_scripts_list_stills_and_reasons_are_there(tmp_path: Path) -> None:
    with film_on_page(tmp_path) as (address, _), browser() as driver:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        page = Page(driver, "")
        driver.get(address)
        page.one(".films .what a").click()
        cards = page.all("#picks li[data-frame]")
        assert len(cards) == 3
        assert all(card.find_element("css selector", "img").is_displayed() for card in cards)
        assert "of shot" in page.text("#picks") or "niqe" in page.text("#picks")
        assert not [element for element in page.all(".scripted") if element.is_displayed()]
        cards[0].find_element("css selector", "a").click()
        assert page.text("h1").startswith("Frame ")
        assert page.one("img.full").is_displayed()
        frame = urlsplit(driver.current_url).path.rpartition("/")[2]
        there, back, step = ("next", "prev", 1) if page.all("a[rel=next]") else ("prev", "next", -1)
        page.one(f"a[rel={there}]").click()
        assert urlsplit(driver.current_url).path.endswith(f"/{int(frame) + step}")
        page.one(f"a[rel={back}]").click()
        assert urlsplit(driver.current_url).path.endswith(f"/{frame}")


def test_the_report_opened_from_disk_shows_what_the_page_shows(tmp_path: Path) -> None:
    with film_on_page(tmp_path) as (address, config), browser() as driver:
        page = Page(driver, "")
        driver.get(address.replace("/?", "/films/1?"))
        page.until(lambda: page.explained(page.frame))
        reasons = [card.text for card in page.all("#picks li[data-frame] p.quiet")]
        legend = {entry.text for entry in page.all("#legend li")}
        report = tmp_path / "report.html"
        assert cli("report", "1", "--out", str(report), "--config", config).returncode == 0
        driver.get("about:blank")
        driver.get_log("performance")
        driver.get(report.as_uri())
        told = page.text("body")
        assert all(reason in told for reason in reasons)
        assert {entry.text for entry in page.all(".wide ~ ul li")} == legend
        drawing = page.one("[aria-label='Score curve'] svg")
        assert len(drawing.find_elements("css selector", "circle")) == len(reasons)
        assert drawing.find_elements("css selector", "path[stroke='var(--accent)']")
        pictures = page.all("img")
        assert len(pictures) >= len(reasons) + 20
        assert all(driver.execute_script("return arguments[0].naturalWidth > 0", one) for one in pictures)
        assert hosts(driver) == set()
        assert complaints(driver) == []
