"""Takes the screenshots of docs/site.md: the latest board of results.db at three widths, light and dark.

python tools/screenshots.py      needs the extra `test` and Chromium
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from harness.report.leaderboard import leaderboards
from harness.report.site.board_page import page_slug
from harness.report.site.write import write_site
from harness.store.store import open_store

ROOT = Path(__file__).parents[1]
SIZES = {1440: 1150, 768: 1000, 390: 844}
"""Heights in pixels, by width."""

DRAWN = """() => [...document.querySelectorAll("figure")].every(
    figure => figure.getBoundingClientRect().top > innerHeight || figure.querySelector("svg, canvas"))"""
"""Whether every chart in the window is there: others are drawn once they come near it."""


def main() -> None:
    """Builds the site in a folder that goes again, and writes docs/site-WIDTH-SCHEME.png."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        with open_store(f"sqlite:///{ROOT / 'results.db'}", read_only=True) as store:
            boards = leaderboards(store)
            write_site(store, boards, Path(folder))
        page = Path(folder, f"{page_slug(boards[0])}.html").as_uri()
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for width, height in SIZES.items():
            for scheme in ("light", "dark"):
                size = {"width": width, "height": height}
                view = browser.new_page(viewport=size, color_scheme=scheme, bypass_csp=True)
                view.goto(page)
                view.wait_for_function(DRAWN)
                view.screenshot(path=ROOT / "docs" / f"site-{width}-{scheme}.png")
                view.close()
        browser.close()


if __name__ == "__main__":
    main()
