"""A site built from a real database, and a browser that allows it nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.report.leaderboard import leaderboards
from harness.report.site.write import write_site
from harness.store.store import open_store

from ..database import Database
from .results import fill

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Site:
    """A built site's pages, as addresses."""

    folder: Path

    def page(self, kind: str) -> Path:
        """`index`, `board`, `pairs`, `run` (the first of the board) or `failed`."""
        if kind == "index":
            return self.folder / "index.html"
        if kind in ("run", "failed"):
            word = "status failed" if kind == "failed" else "status complete"
            pages = sorted((self.folder / "runs").glob("*.html"))
            return next(page for page in pages if word in page.read_text(encoding="utf-8"))
        pages = [page for page in self.folder.glob("*.html") if page.name != "index.html"]
        return next(page for page in pages if page.name.endswith("-pairs.html") == (kind == "pairs"))


def built(database: Database, folder: Path) -> Site:
    """The site of all boards of a database."""
    with open_store(database.url, read_only=True) as store:
        write_site(store, leaderboards(store), folder)
    return Site(folder)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Site:
    folder = tmp_path_factory.mktemp("site")
    database = Database(Path(shutil.copy(empty, folder / "results.db")))
    fill(database)
    return built(database, folder / "site")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here: the site is not looked at in a browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@dataclass
class Reader:
    """Somebody who reads the site; whatever the pages complain of or ask the network for is noted."""

    site: Site
    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, kind: str) -> Any:
        """Opens a page of this kind."""
        self.page.goto(self.site.page(kind).as_uri())
        return self.page

    def charts(self) -> None:
        """Scrolls to every chart and waits until it is drawn."""
        for figure in self.page.locator("figure.chart").all():
            figure.scroll_into_view_if_needed()
            figure.locator("svg").first.wait_for()

    def text(self, selector: str) -> list[str]:
        """The texts of what is visible."""
        found = self.page.locator(selector).all()
        return [" ".join(each.inner_text().split()) for each in found if each.is_visible()]


def reading(site: Site, browser: Any, **options: Any) -> Iterator[Reader]:
    """A reader whose every visit must pass without a complaint and without a request to the network."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
    reader = Reader(site, context.new_page())
    reader.page.on("console", lambda message: reader.complaints.append(f"{message.type}: {message.text}"))
    reader.page.on("pageerror", lambda error: reader.complaints.append(f"error: {error}"))

    def refuse(route: Any) -> None:
        reader.requests.append(route.request.url)
        route.abort()

    context.route(lambda url: not url.startswith(("file:", "data:")), refuse)
    yield reader
    context.close()
    assert reader.complaints == []
    assert reader.requests == []


@pytest.fixture
def reader(site: Site, browser: Any) -> Iterator[Reader]:
    yield from reading(site, browser)


@pytest.fixture
def at_night(site: Site, browser: Any) -> Iterator[Reader]:
    yield from reading(site, browser, color_scheme="dark")


@pytest.fixture
def on_a_phone(site: Site, browser: Any) -> Iterator[Reader]:
    yield from reading(site, browser, viewport={"width": 390, "height": 844}, has_touch=True)
