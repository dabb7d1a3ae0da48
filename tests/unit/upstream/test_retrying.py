import asyncio
import functools
import logging
from collections.abc import Iterable, Iterator
from datetime import date

import pytest
from tenacity import AsyncRetrying

from producer.config import Upstream as Settings
from producer.errors import MalformedPage, ProducerError, UpstreamGone, UpstreamRefused, UpstreamUnavailable
from producer.model import Page
from producer.upstream import retrying
from producer.upstream.retrying import Retrying

PAGE = Page("CHANGE", "0", 5, 7, True, 0, [])


class Feed:
    """Fails as told, then answers."""

    def __init__(self, errors: Iterable[ProducerError]) -> None:
        self._errors: Iterator[ProducerError] = iter(errors)
        self.calls: list[object] = []

    async def changes_since(self, cursor: int, *, bucket: str = "0", listed: bytes = b"") -> Page:
        self.calls.append(cursor)
        for error in self._errors:
            raise error
        return PAGE

    async def first_cursor(self, day: date) -> int:
        self.calls.append(day)
        for error in self._errors:
            raise error
        return 42


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits asked for; none is waited."""
    asked: list[float] = []

    async def sleep(seconds: float) -> None:
        asked.append(seconds)

    monkeypatch.setattr(retrying, "AsyncRetrying", functools.partial(AsyncRetrying, sleep=sleep))
    return asked


def away(count: int = 1, retry_after: float | None = None) -> list[ProducerError]:
    return [UpstreamUnavailable("Upstream answered 503 to POST muutokset.", retry_after=retry_after)] * count


def malformed(count: int) -> list[ProducerError]:
    return [MalformedPage("Upstream's answer is not JSON.", hint="h")] * count


def patient(feed: Feed, retry_wait: float = 60, patience: float | None = None) -> Retrying:
    return Retrying(feed, Settings(retry_wait=retry_wait), patience=patience)


async def test_what_works_is_asked_once(waits: list[float]) -> None:
    feed = Feed([])
    assert await patient(feed).changes_since(5) is PAGE
    assert (feed.calls, waits) == ([5], [])


async def test_the_service_never_gives_up(waits: list[float]) -> None:
    feed = Feed(away(2000))
    assert await patient(feed).changes_since(5) is PAGE
    assert feed.calls == [5] * 2001
    assert len(waits) == 2000


async def test_the_first_cursor_is_asked_in_the_same_way(waits: list[float]) -> None:
    feed = Feed(away(2))
    assert await patient(feed).first_cursor(date(2026, 11, 1)) == 42
    assert feed.calls == [date(2026, 11, 1)] * 3
    assert len(waits) == 2


async def test_waits_grow_from_half_a_second_to_the_longest(waits: list[float]) -> None:
    await patient(Feed(away(40)), retry_wait=8).changes_since(5)
    for wait, longest in zip(waits, [1, 2, 4, 8, *[8] * 36], strict=True):
        assert longest / 2 <= wait <= longest
    assert len(set(waits[4:])) > 1, "instances must not come back in step"


async def test_upstreams_own_wish_is_honoured(waits: list[float]) -> None:
    await patient(Feed(away(1, retry_after=1234))).changes_since(5)
    assert waits == [1234]


async def test_a_wish_for_haste_is_not(waits: list[float]) -> None:
    await patient(Feed(away(3, retry_after=0))).changes_since(5)
    assert min(waits) >= 0.5


async def test_a_garbled_answer_is_asked_for_again(waits: list[float]) -> None:
    feed = Feed(malformed(2))
    assert await patient(feed).changes_since(5) is PAGE
    assert len(feed.calls) == 3


async def test_one_that_stays_wrong_stops(waits: list[float]) -> None:
    feed = Feed(malformed(99))
    with pytest.raises(MalformedPage, match="not JSON"):
        await patient(feed).changes_since(5)
    assert len(feed.calls) == 3


async def test_each_call_begins_anew(waits: list[float]) -> None:
    feed = Feed(malformed(2) + away(1) + malformed(1))
    again = patient(feed)
    with pytest.raises(MalformedPage):
        await again.changes_since(5)
    assert await again.changes_since(5) is PAGE


async def test_a_refusal_is_not_repeated(waits: list[float]) -> None:
    feed = Feed([UpstreamRefused("no", hint="h")])
    with pytest.raises(UpstreamRefused):
        await patient(feed).changes_since(5)
    assert (len(feed.calls), waits) == (1, [])


async def test_once_gives_up_before_a_wait_longer_than_its_patience(waits: list[float]) -> None:
    feed = Feed(away(99, retry_after=301))
    with pytest.raises(UpstreamGone, match=r"after 300 s .*Last: Upstream answered 503") as caught:
        await patient(feed, patience=300).changes_since(5)
    assert (len(feed.calls), waits) == (1, [])
    assert caught.value.exit_code == 7
    assert caught.value.__context__ is None


async def test_once_uses_its_patience(waits: list[float]) -> None:
    feed = Feed(away(5))
    assert await patient(feed, patience=300).changes_since(5) is PAGE
    assert len(waits) == 5


async def test_ever_fewer_waits_are_told_and_then_the_answer(
    waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await patient(Feed(away(2, retry_after=1234))).changes_since(5)
    assert [record.getMessage() for record in caplog.records if record.name != "asyncio"] == [
        "Upstream answered 503 to POST muutokset. Asking again in 1234.0 s (try 2).",
        "Upstream answered 503 to POST muutokset. Asking again in 1234.0 s (try 3).",
        "Upstream answers again, at try 3 after 0 s.",
    ]
    assert {(record.name, record.levelname) for record in caplog.records if record.name != "asyncio"} == {
        ("vtj.upstream", "WARNING")
    }
    caplog.clear()
    await patient(Feed(away(500))).changes_since(5)  # a night
    lines = [record.getMessage() for record in caplog.records if record.name == "vtj.upstream"]
    assert [line[line.index("try") :] for line in lines] == [
        *(f"try {tries + 1})." for tries in (1, 2, 4, 8, 16, 32, 64, 128, 256)),
        "try 501 after 0 s.",
    ]


async def test_a_wait_ends_with_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = asyncio.Event()

    async def sleep(seconds: float) -> None:
        waiting.set()
        await asyncio.sleep(seconds)

    monkeypatch.setattr(retrying, "AsyncRetrying", functools.partial(AsyncRetrying, sleep=sleep))
    task = asyncio.create_task(patient(Feed(away(1, retry_after=3600))).changes_since(5))
    await waiting.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
