"""The demo's course: sandbox and broker, the topics, the pipeline between them in view, and the check at the end."""

import asyncio
import logging
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr
from rich.console import Console
from rich.live import Live

from producer.app.run import serve
from producer.config import Feed, Kafka, Privacy, Schedule, Settings, State, Topics, Upstream
from producer.demo.broker import broker as a_broker
from producer.demo.check import compare
from producer.demo.news import News
from producer.demo.screen import line, picture, summary
from producer.events.decode import Decoder
from producer.events.groups import Catalogue
from producer.kafka import topics
from producer.kafka.clients import administration
from producer.kafka.deadlines import reached
from producer.kafka.reader import committed
from producer.operate import logs
from producer.operate.together import together
from producer.sandbox import ACCOUNT, Sandbox

HISTORY = 3000  # changes that wait at the start
PER_DAY = 4 * 86_400.0  # and then four a second
RETENTION = 86_400  # s: the topics stay behind on a broker that was given


async def perform(bootstrap: str | None, privacy: Privacy, *, once: bool) -> int:
    """0 when topics and log agree at the end, else 1. bootstrap: of a Kafka to use; None starts one.

    once: ends when upstream says `ajanTasalla`, else at SIGINT or SIGTERM. Raises what ends the pipeline (a Stop).
    """
    console = Console(highlight=False, soft_wrap=True)
    live = sys.stdout.isatty() and console.is_terminal and not console.is_dumb_terminal
    logs.set_up("warning", "console")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a broker that is away: the line says so in a sentence
    catalogue, prefix = Catalogue.load(), f"demo-{secrets.token_hex(3)}"
    async with Sandbox(history=HISTORY, changes_per_day=PER_DAY) as sandbox, a_broker(bootstrap) as broker:
        settings = Settings(
            upstream=Upstream(url=sandbox.url, username=ACCOUNT, password=SecretStr(ACCOUNT), start="0"),
            kafka=Kafka(bootstrap_servers=broker.bootstrap),
            topics=Topics(prefix=prefix, retention=RETENTION),
            feed=Feed(name="demo"),
            schedule=Schedule(interval=1),
            privacy=privacy,
            state=State(enabled=False),
        )
        plans = topics.planned(settings, catalogue)
        async with administration(settings.kafka) as admin:
            await topics.apply(admin, plans, settings.topics.replication)

        news = News(prefix, Decoder(catalogue), settings.data_prefix)
        where = f"topics {prefix}.* on {broker.bootstrap}"
        with _signals() as told:  # until the pipeline ends, which it does with `once`, or the user has seen enough
            await together(
                serve(settings, once=once),
                news.follow(settings.kafka, plans),
                (_screen if live else _lines)(news, console, where, broker.note),
                broker.ended,
                told.wait(),
            )

        console.print("Reading the topics again …")
        async with reached(settings.kafka, "reading the topics again"):
            again = committed(settings.kafka, [plan.name for plan in plans], from_beginning=True, once=True)
            verdict = await compare(again, sandbox.log(), catalogue, prefix, settings.data_prefix)
    console.print(summary(verdict))
    return 0 if verdict.agrees else 1


async def _screen(news: News, console: Console, where: str, note: str) -> None:
    """Drawn in place four times a second, by a thread: a terminal that is held (Ctrl-S) must not hold the pipeline."""
    logging.getLogger().handlers[:] = [news]
    with Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as screen:
        while True:
            await asyncio.to_thread(screen.update, picture(news, where, note, *console.size), refresh=True)
            await asyncio.sleep(0.25)


async def _lines(news: News, console: Console, where: str, note: str) -> None:
    """A line a second, if there is news: for pipes, logs and dumb terminals."""
    await asyncio.to_thread(console.print, f"vtj-producer demo: {where}. {note}")
    last = ""
    while True:
        await asyncio.sleep(1)
        if news.records and (now := line(news)) != last:
            await asyncio.to_thread(console.print, now)
            last = now


@contextmanager
def _signals() -> Iterator[asyncio.Event]:
    """Set at the first SIGINT or SIGTERM; the next one acts as it always does, so that Ctrl-C twice ends anything."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def tell(*_: object) -> None:
        restore()
        loop.call_soon_threadsafe(told.set)

    for number in before:
        signal.signal(number, tell)
    try:
        yield told
    finally:
        restore()
