"""Leaving a shard in the middle of a commit: all of it or nothing, no open transaction, no task, and within 5 s."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from producer.model import EncodedEvent, EncodedPage
from tests.integration.deployment import ENDED, KOTIKUNTA, Deployment, change, until
from tests.integration.pages import encoded

pytestmark = pytest.mark.kafka

PROMISED = 5.0  # s, from the stop signal to the end


class Told(list[EncodedEvent]):
    """Events, of which the one in the middle does something when it is taken."""

    middle: Callable[[], object]

    def __iter__(self) -> Iterator[EncodedEvent]:
        for at, event in enumerate(super().__iter__()):
            if at == len(self) // 2:
                self.middle()
            yield event


class Moments:
    """Calls `leave` at one moment of a commit."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.leave: Callable[[], object]
        self._patch = patch

    def _leave(self) -> None:
        self.leave()

    def filling(self, page: EncodedPage) -> EncodedPage:
        events = Told(page.events)
        events.middle = self._leave
        return replace(page, events=events)

    def delivering(self, page: EncodedPage) -> EncodedPage:
        return self._within("send_batch", page, call=5)

    def writing_the_cursor(self, page: EncodedPage) -> EncodedPage:
        return self._within("send", page)

    def committing(self, page: EncodedPage) -> EncodedPage:
        return self._within("commit_transaction", page)

    def _within(self, name: str, page: EncodedPage, call: int = 1) -> EncodedPage:
        real: Callable[..., Awaitable[Any]] = getattr(AIOKafkaProducer, name)
        calls = count(1)

        async def leaving(producer: AIOKafkaProducer, *arguments: Any, **options: Any) -> Any:
            if next(calls) == call:
                asyncio.get_running_loop().call_soon(self._leave)
            return await real(producer, *arguments, **options)

        self._patch.setattr(AIOKafkaProducer, name, leaving)
        return page


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> Moments:
    return Moments(monkeypatch)


@pytest.mark.parametrize("moment", ["filling", "delivering", "writing_the_cursor", "committing"])
async def test_who_is_cancelled_leaves_all_or_nothing(
    deployment: Deployment, persons: list[str], moments: Moments, moment: str
) -> None:
    # Every 200 events are delivered before the next are taken, so that the transaction is open at every moment.
    chunked = deployment.create_topics().but(VTJ_KAFKA__TRANSACTION_EVENTS="200")
    async with chunked.publisher().open() as shard:
        await shard.begin(1)
    before = asyncio.all_tasks()
    page: EncodedPage = getattr(moments, moment)(encoded(deployment, 1, 2, *map(change, persons)))

    async def work() -> None:
        async with chunked.publisher().open() as shard:
            await shard.commit([page])

    working = asyncio.ensure_future(work())
    left_at: list[float] = []

    def leave() -> None:
        left_at.append(asyncio.get_running_loop().time())
        working.cancel()

    moments.leave = leave
    await asyncio.wait([working])
    assert working.cancelled()
    assert asyncio.get_running_loop().time() - left_at[0] < PROMISED
    assert asyncio.all_tasks() == before
    await until(deployment.nothing_open, "the end of the transaction", ENDED)
    cursor, events = await deployment.cursor(), await deployment.stored(KOTIKUNTA)
    assert (cursor, len(events)) in [(1, 0), (2, len(persons))]
    assert cursor == 1 or moment == "committing"
