"""Debian's Chromium, and one who reads pages with it."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

DESKTOP: Final = 1280
PHONE: Final = 390
QUIET: Final = (  # as root, without a screen, and saying nothing to anyone
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


expect.set_options(timeout=60_000)  # ms; its own 5,000 are little where a broker starts beside it


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """Fails the test with the cure where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.fail("The pages want a browser: apt-get install chromium", pytrace=False)
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=found, args=list(QUIET))
        yield started
        await started.close()


class Reader:
    """Keeps all that the browser complained of and asked for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda said: self.complaints.append(said.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("requestfailed", lambda request: self.complaints.append(request.url))

    async def fits(self) -> bool:
        return bool(await self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


async def reading(browser: Browser, width: int, language: str = "fi-FI", *, dark: bool = False) -> Reader:
    context = await browser.new_context(
        viewport={"width": width, "height": 850}, locale=language, color_scheme="dark" if dark else "light"
    )
    context.set_default_timeout(10_000)
    return Reader(await context.new_page())
