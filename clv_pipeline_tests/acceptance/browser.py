"""A person in front of a browser: real headless Chromium, steered by what is written on the page.

Nothing here knows a CSS class: texts, roles and addresses only, each waited for with patience. When something does
not appear, the error names a screenshot and the text of the page.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Error, Locator, Page, ViewportSize, expect, sync_playwright

PATIENCE_MS = 120_000
WINDOW: ViewportSize = {"width": 1500, "height": 940}
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 375, "height": 812}


def find_chromium() -> str:
    """The program, installed from the distribution when that is possible; else the test is skipped with the reason."""
    names = ("chromium", "chromium-browser", "google-chrome")
    if not any(map(shutil.which, names)) and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "--quiet"], check=True)
        subprocess.run(["apt-get", "install", "--quiet", "--yes", "chromium"], check=True)
    for name in names:
        if program := shutil.which(name):
            return program
    pytest.skip(f"no browser: none of {', '.join(names)} is installed, and only root can install one with apt-get")


class Visitor:
    """Looks at the pages of one site, and keeps pictures of what is seen in a folder."""

    def __init__(self, page: Page, pictures: Path) -> None:
        self.page = page
        self.pictures = pictures
        self.taken: list[Path] = []
        """The pictures of this visit; others may lie beside them."""

    def open(self, path: str) -> None:
        """Go to a page of the site."""
        with self._evidence(f"opening {path}"):
            self.page.goto(path)

    def sees(self, text: str | re.Pattern[str]) -> None:
        """Wait until a text is visible; a string is the whole text of its element."""
        self.sees_it(self.page.get_by_text(text, exact=True).filter(visible=True).first)

    def sees_it(self, what: Locator) -> None:
        """Wait until an element is visible."""
        with self._evidence(f"looking for {what}"):
            expect(what).to_be_visible()

    def sees_address(self, address: re.Pattern[str]) -> None:
        """Wait until the address of the page is such."""
        with self._evidence(f"waiting for the address {address.pattern}"):
            expect(self.page).to_have_url(address)

    def click(self, what: Locator) -> None:
        """A click with the mouse, as soon as the element is there, is enabled, and keeps still."""
        with self._evidence(f"clicking {what}"):
            what.click()

    def writes(self, where: Locator, text: str) -> None:
        """Fill in a field."""
        with self._evidence(f"writing {text} into {where}"):
            where.fill(text)

    def picture(self, name: str) -> Path:
        """Keep what is visible now, as `name.png`."""
        self.pictures.mkdir(parents=True, exist_ok=True)
        path = self.pictures / f"{name}.png"
        # States and colours come a moment after the words.
        self.page.wait_for_timeout(3_000)
        self.page.screenshot(path=path)
        self.taken.append(path)
        return path

    @contextmanager
    def _evidence(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (Error, AssertionError) as error:
            seen = self.picture("failure")
            text = seen.with_suffix(".txt")
            text.write_text(self.page.locator("body").inner_text(), encoding="utf-8")
            error.add_note(f"{doing} at {self.page.url}; see {seen} and {text}")
            raise


@contextmanager
def visitor(url: str, pictures: Path) -> Iterator[Visitor]:
    """A visitor of the site at `url`, whose browser is closed at the end."""
    program = find_chromium()
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=program) as chromium:
        page = chromium.new_page(base_url=url, viewport=WINDOW, locale="en-GB", timezone_id="UTC")
        page.set_default_timeout(PATIENCE_MS)
        yield Visitor(page, pictures)
