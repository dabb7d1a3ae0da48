"""`vtj-producer run`: the feeds of a process, until it is told to stop."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

from producer import __version__
from producer.app.run import serve
from producer.config import Settings
from producer.errors import Stop
from producer.kafka.names import SHARDS, STATE, Names
from producer.kafka.ownership import by_shard, owners
from producer.observe import pulse
from producer.observe.audit import audit
from producer.operate.stopping import until_stopped
from producer.operate.together import together

log = logging.getLogger("vtj.service")


def run(feeds: Sequence[Settings], *, once: bool, skip: int | None = None) -> None:
    """Works until SIGTERM or SIGINT, or with `once` until upstream says `ajanTasalla` in every feed."""

    async def told() -> None:  # where a signal is heard already: who says that it starts says that it stops
        names = ", ".join(one.feed.name for one in feeds)
        audit("started: feed %(feeds)s, release %(release)s", {"feeds": names, "release": __version__})
        await serve_all(feeds, once=once, skip=skip)

    why = "done" if once else "told to"
    try:
        with asyncio.Runner() as runner:
            runner.run(until_stopped(told()))
    except BaseException as error:
        why = type(error).__name__
        raise
    finally:
        audit("stopped: %(why)s", {"why": why})


async def serve_all(feeds: Sequence[Settings], *, once: bool, skip: int | None = None) -> None:
    """Each feed with connections, consumer group and producers of its own.

    What would end the process of a single feed ends one of several alone: it is told, and the feed begins anew after
    VTJ_UPSTREAM__RETRY_WAIT. With `once` it is raised when the others have come to their ends.
    """
    if len(feeds) == 1:
        pulse.begin(feeds[0].feed.name, alone=True)
    # With aiohttp's server and Prometheus's library: only who has a port pays for them.
    async with _pages(feeds) if feeds[0].server.port is not None and not once else nullcontext():
        if len(feeds) == 1:
            await serve(feeds[0], once=once, skip=skip)
            return
        ended: list[Stop] = []
        await together(*(_beside_others(one, ended, once=once, skip=skip) for one in feeds), all_of_them=True)
        if ended:
            raise ended[0]


def _pages(feeds: Sequence[Settings]) -> AbstractAsyncContextManager[None]:
    """The process's, and so every feed's."""
    from producer.observe.server import serving

    def asking(settings: Settings) -> Callable[[], Awaitable[list[str | None]]]:
        group = Names(settings.topics.prefix, settings.feed.name, STATE).group

        async def ask() -> list[str | None]:
            owner = by_shard(await owners(settings.kafka, "vtj-producer", group))
            return [owner.get(shard) for shard in range(SHARDS)]

        return ask

    return serving(feeds[0].server, pulse.pulses, {one.feed.name: asking(one) for one in feeds})


async def _beside_others(settings: Settings, ended: list[Stop], *, once: bool, skip: int | None) -> None:
    name = settings.feed.name
    pulse.begin(name, alone=False)  # of all that comes of this task
    while True:
        try:
            await serve(settings, once=once, skip=skip)
            return
        except Stop as stop:
            pulse.pulse().failing("feed", str(stop))
            log.error("stands still, the other feeds go on: %s (%s)", stop, stop.hint)
            if once:
                ended.append(type(stop)(f"Feed {name}: {stop}", hint=stop.hint))
                return
        await asyncio.sleep(settings.upstream.retry_wait)
