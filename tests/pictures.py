"""`make pictures`: the pictures of README.md, of a real demo and the status page of a real service: docs/pictures."""

import asyncio
import io
import re
import sys
from pathlib import Path
from typing import Final
from unittest import mock

import pytest
from playwright.async_api import expect
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from producer.config import Privacy
from producer.demo import stage
from producer.demo.broker import broker
from producer.demo.news import News
from producer.demo.screen import picture
from producer.sandbox import Sandbox
from tests.broker.ports import free_port
from tests.browser import DESKTOP, launched, reading
from tests.integration.deployment import Deployment

FOLDER: Final = Path(__file__).parents[1] / "docs" / "pictures"
COLUMNS, ROWS = 120, 36
LIVE = 8.0  # s of changes that arrive one by one, once all that waited are told
# Rich's own would have the font fetched from somewhere else.
TEMPLATE: Final = re.sub(r"@font-face \{\{.*?\}\}|<!--.*?-->", "", CONSOLE_SVG_FORMAT, flags=re.S).replace(
    "Fira Code", "ui-monospace"
)


async def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    await status_page(FOLDER / "status.png")
    await demo(FOLDER / "demo.svg")


async def demo(path: Path) -> None:
    """The screen of `vtj-producer demo`, as it stands in a terminal."""

    async def draw(news: News, _: Console, where: str, note: str) -> None:
        while news.position is None or not news.position.upToDate:
            await asyncio.sleep(0.1)
        await asyncio.sleep(LIVE)
        paper = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
        paper.print(picture(news, where, note, COLUMNS, ROWS))
        paper.save_svg(str(path), title="vtj-producer demo", code_format=TEMPLATE)

    with mock.patch.multiple(stage, _lines=draw, _screen=draw):  # who looks has seen enough when it is drawn
        if await stage.perform(None, Privacy(), once=False) != 0:
            sys.exit("The demo's own check found something.")


async def status_page(path: Path) -> None:
    port = free_port()
    async with (
        Sandbox(history=3000, changes_per_day=4 * 86_400.0) as sandbox,
        broker(None) as kafka,
        launched() as browser,
    ):
        deployment = await Deployment(kafka.bootstrap, "vtj", sandbox.url).apply_topics()
        running = deployment.but(VTJ_SERVER__PORT=str(port), VTJ_SCHEDULE__INTERVAL="1")
        async with running.start("run") as service:
            await service.says("committed cursor", times=5)
            one = await reading(browser, DESKTOP, "en-GB")
            await one.page.goto(f"http://127.0.0.1:{port}/")
            await expect(one.page.get_by_role("status")).to_have_text("Changes are flowing")
            await expect(one.page.locator("#shards li.own")).to_have_count(12)
            await asyncio.sleep(LIVE)
            await one.page.screenshot(path=path)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except pytest.fail.Exception as missing:
        sys.exit(str(missing))
