"""The status page as who is on call sees it: in Debian's Chromium, of a running service and of each state."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date

import pytest
from playwright.async_api import Browser, expect

from producer.config import Server
from producer.observe import server, status
from producer.observe.pulse import Pulse
from producer.sandbox import Sandbox
from producer.sandbox.hetu import personal_code
from tests.broker import Broker
from tests.broker.ports import free_port
from tests.browser import DESKTOP, PHONE, Reader, launched, reading
from tests.integration.deployment import Deployment, change

CODE = personal_code(date(1980, 1, 1), 901, "-")


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with launched() as started:
        yield started


def filled(feed: str = "vtj") -> Pulse:
    """Of a feed that is at work."""
    one, now = Pulse(feed, instance="host-1-abc"), time.time() * 1000
    one.has(range(6))
    for name in ("0", "1", "2"):
        one.opened(name, 2**60 + int(name), now)
        one.buckets[name].up_to_date = True
        one.buckets[name].committed, one.buckets[name].events, one.buckets[name].took = now - 90_000, 1234, 41.0
    one.events.update({f"vtj.change.{name}": 10**at for at, name in enumerate(("kotikunta", "aidinkieli", "nimi"))})
    one.letters.update({"no-person": 2})
    one.next = now + 3_000_000
    return one


@asynccontextmanager
async def looked_at(
    browser: Browser, *pulses: Pulse, width: int = DESKTOP, language: str = "en-GB", dark: bool = False
) -> AsyncIterator[Reader]:
    port = free_port()

    async def ask() -> list[str | None]:
        return ["host-1-abc"] * 6 + ["host-2-def"] * 5 + [None]

    feeds = {one.feed: one for one in pulses}
    async with server.serving(Server(port=port), feeds, dict.fromkeys(feeds, ask)):
        one = await reading(browser, width, language, dark=dark)
        await one.page.goto(f"http://127.0.0.1:{port}/")
        yield one
        await one.page.close()
    assert one.complaints == []
    assert [url for url in one.asked if not url.startswith(f"http://127.0.0.1:{port}/")] == []


@pytest.mark.parametrize(("width", "dark"), [(DESKTOP, False), (PHONE, True)])
async def test_a_feed_at_work(browser: Browser, width: int, dark: bool) -> None:
    async with looked_at(browser, filled(), width=width, dark=dark) as one:
        page = one.page
        await expect(page.get_by_role("status")).to_have_text("Changes are flowing")
        await expect(page.get_by_role("term").filter(has_text="Next poll")).to_be_visible()
        await expect(page.locator("#buckets")).to_contain_text(str(2**60 + 2))
        await expect(page.locator("#topics")).to_contain_text("vtj.change.kotikunta")
        await expect(page.locator("#letters")).to_contain_text("no-person")
        await expect(page.get_by_role("img")).to_have_count(2)
        await expect(page.locator("#shards li.own")).to_have_count(6)
        await expect(page.locator("#shards li.nobody")).to_have_count(1)
        assert await one.fits()


async def test_in_finnish_and_by_keyboard(browser: Browser) -> None:
    async with looked_at(browser, filled("vaki"), filled("vero"), language="fi-FI") as one:
        page = one.page
        await expect(page.get_by_role("status")).to_have_text("Muutokset kulkevat")
        assert await page.evaluate("document.documentElement.lang") == "fi"
        await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="vero")).to_have_attribute("aria-pressed", "true")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status")).to_have_text("Changes are flowing")
        await page.reload()  # which cuts off the stream of events
        await expect(page.get_by_role("status")).to_have_text("Changes are flowing")  # the choice is kept
        one.complaints = [said for said in one.complaints if not said.endswith("/events")]


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
async def test_each_trouble_has_its_words(browser: Browser, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BEAT", 0.05)
    pulse = filled()
    async with looked_at(browser, pulse, width=width) as one:
        said = one.page.get_by_role("status")
        await expect(said).to_have_text("Changes are flowing")
        pulse.retrying("upstream", "Upstream answered 503 to POST muutokset.", "HTTP 503")
        await expect(said).to_have_text("The VTJ interface does not answer")
        await expect(one.page.locator("#troubles")).to_contain_text("Upstream answered 503 to POST muutokset.")
        pulse.well("upstream")
        pulse.next = time.time() * 1000 - status.STALLED * 1000 - 1
        await expect(said).to_have_text("Changes do not flow")
        pulse.left("another instance took over, or the broker ended the transaction", fenced=True)
        await expect(said).to_have_text("Kafka does not answer")
        await expect(one.page.locator("#why")).to_contain_text("another instance took over")
        pulse.well("kafka")
        pulse.has(())
        await expect(said).to_have_text("Another instance does the work")
        assert await one.fits()


async def test_a_service_that_is_gone_is_said(browser: Browser) -> None:
    port = free_port()
    async with server.serving(Server(port=port), {"vtj": filled()}, {}):
        one = await reading(browser, DESKTOP, "en-GB")
        await one.page.goto(f"http://127.0.0.1:{port}/")
        await expect(one.page.get_by_role("status")).to_have_text("Changes are flowing")
    await expect(one.page.get_by_role("status")).to_have_text("The service cannot be reached")
    await expect(one.page.get_by_role("alert")).to_contain_text("The figures are of")
    async with server.serving(Server(port=port), {"vtj": filled()}, {}):
        await expect(one.page.get_by_role("status")).to_have_text("Changes are flowing")


@pytest.mark.kafka
async def test_of_a_running_service(browser: Browser, broker: Broker, prefix: str) -> None:
    port = free_port()
    async with Sandbox(persons=50, history=200, page_size=50) as sandbox:
        deployment = await Deployment(broker.bootstrap, prefix, sandbox.url).small.apply_topics()
        running = deployment.but(VTJ_SERVER__PORT=str(port), VTJ_SCHEDULE__INTERVAL="1", VTJ_UPSTREAM__RETRY_WAIT="1")
        async with running.start("run") as instance:
            await instance.says("committed cursor")
            one = await reading(browser, DESKTOP, "en-GB")
            await one.page.goto(f"http://127.0.0.1:{port}/")
            said = one.page.get_by_role("status")
            await expect(said).to_have_text("Changes are flowing")
            await expect(one.page.locator("#shards li.own")).to_have_count(12)
            sandbox.set_faults([{"fault": 503, "times": None}])
            await expect(said).to_have_text("The VTJ interface does not answer")
            sandbox.set_faults([])
            await expect(said).to_have_text("Changes are flowing")
            async with deployment.publisher().open():  # as another instance would: it fences the one at work
                [key] = sandbox.append([change(CODE)])
                await instance.says("beginning again at the stored cursor")
                await one.page.reload()  # an open page is told each two seconds, a new one at once
                await expect(said).to_have_text("Kafka does not answer")
                await expect(one.page.locator("#why")).to_contain_text("another instance took over")
            await instance.says(f"committed cursor {key}")
            await expect(said).to_have_text("Changes are flowing")
            metrics = await (await one.page.request.get(f"http://127.0.0.1:{port}/metrics")).text()
            shown = await one.page.content()
            assert await (await one.page.request.get(f"http://127.0.0.1:{port}/readyz")).json() == {
                "ready": True,
                "failing": {},
            }
    assert 'vtj_fences_total{feed="vtj"} 1.0' in metrics
    assert [person for person in [CODE, *sandbox.codes()] if person in metrics + shown] == []
