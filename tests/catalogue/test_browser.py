"""The pages as a reader sees them: Debian's Chromium, from file://, without a network."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.browser import DESKTOP, PHONE, Reader, launched, reading


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with launched() as started:
        yield started


class FileReader:
    def __init__(self, reader: Reader, folder: Path) -> None:
        self.page, self.fits = reader.page, reader.fits
        self._reader, self._folder = reader, folder

    async def open(self, name: str) -> None:
        await self.page.goto((self._folder / name).as_uri())

    def was_undisturbed(self) -> bool:
        assert self._reader.complaints == []
        assert [url for url in self._reader.asked if not url.startswith(("file://", "data:"))] == []
        return bool(self._reader.asked)


async def reader(browser: Browser, folder: Path, width: int, language: str = "fi-FI") -> FileReader:
    return FileReader(await reading(browser, width, language), folder)


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
async def test_from_a_search_to_a_code_set(browser: Browser, folder: Path, width: int) -> None:
    one = await reader(browser, folder, width)
    page = one.page
    await one.open("index.html")
    await page.get_by_role("searchbox").fill("osoite")
    results = page.locator("#results li")
    await expect(results.first).to_be_visible()
    await expect(page.locator("#browse")).to_be_hidden()
    assert await one.fits()
    await page.locator("#results").get_by_role("link", name="Vakinainen osoite Suomessa", exact=True).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Vakinainen osoite Suomessa", use_inner_text=True)
    await expect(page.locator("#example ~ pre")).to_contain_text("vtj.change.vakinainen-kotimainen-osoite")
    assert await one.fits()
    await page.locator("#f-kuntakoodi").get_by_role("link", name="kunta").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("kunta")
    await expect(page.locator("#c-091")).to_contain_text("Helsinki")
    assert await one.fits()
    assert one.was_undisturbed()


async def test_on_a_phone_no_name_of_the_index_is_broken_within_a_word(browser: Browser, folder: Path) -> None:
    one = await reader(browser, folder, PHONE)
    await one.open("codesets.html")
    one_line = "codes => codes.every(code => code.getBoundingClientRect().height < 25)"
    assert await one.page.locator("tbody th code").evaluate_all(one_line)
    assert await one.fits()
    await one.open("codesets/muutosattribuutti.html")
    assert await one.page.locator("tbody th code").evaluate_all(one_line)
    assert await one.fits()


async def test_the_language_is_the_reader_s_and_stays(browser: Browser, folder: Path) -> None:
    one = await reader(browser, folder, DESKTOP, "en-GB")
    page = one.page
    heading = page.get_by_role("heading", level=1)
    await one.open("topics/kotikunta.html")
    english = await heading.inner_text()
    await page.get_by_role("button", name="Suomeksi").click()
    finnish = await heading.inner_text()
    assert finnish != english
    assert await page.locator("html").get_attribute("lang") == "fi"
    await one.open("topics/aidinkieli.html")
    await expect(heading).to_have_text("Äidinkieli", use_inner_text=True)
    await page.get_by_role("button", name="In English").click()
    await expect(heading).to_have_text("Mother tongue", use_inner_text=True)
    assert one.was_undisturbed()


async def test_the_search_knows_both_languages_and_fields(browser: Browser, folder: Path) -> None:
    one = await reader(browser, folder, DESKTOP)
    await one.open("topics/kotikunta.html")
    await one.page.get_by_role("searchbox").fill("mother tongue")
    await one.page.keyboard.press("Enter")
    results = one.page.locator("#results")
    await expect(results.get_by_role("link", name="Äidinkieli", exact=True)).to_be_visible()
    await one.page.get_by_role("searchbox").fill("kielikoodiISO6392")
    await results.get_by_role("link", name="kielikoodiISO6392", exact=True).first.click()
    await expect(one.page.locator("#f-kielikoodiISO6392")).to_be_visible()
    assert one.was_undisturbed()


async def test_no_page_is_wider_than_a_phone(browser: Browser, folder: Path) -> None:
    one = await reader(browser, folder, PHONE)
    wide = []
    for path in sorted(folder.rglob("*.html")):
        await one.open(path.relative_to(folder).as_posix())
        if not await one.fits():
            wide.append(path.name)
    assert wide == []
    assert one.was_undisturbed()
