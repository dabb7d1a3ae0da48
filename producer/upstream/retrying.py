"""Asks again while there is hope: a decorator round the client, of the same shape."""

import logging
import random
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any, Final, Protocol, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_before_delay, stop_never

from producer.config import Upstream as Settings
from producer.errors import MalformedPage, UpstreamGone, UpstreamUnavailable
from producer.model import Page

log = logging.getLogger("vtj.upstream")

T = TypeVar("T")

SHORTEST_WAIT: Final = 0.5
# Gateways cut and garble answers now and then; one that stays wrong is upstream's own.
MALFORMED_TRIES: Final = 3


class Source(Protocol):
    async def changes_since(self, cursor: int) -> Page: ...

    async def first_cursor(self, day: date) -> int: ...


class Retrying:
    """Repeats a call on UpstreamUnavailable for as long as it takes, and on MalformedPage three times in all.

    patience: seconds after which a call that still fails raises UpstreamGone (`run --once`), or None: never.
    Waits grow from half a second to `retry_wait`, half of each by chance, and are never shorter than Retry-After
    asks. Each is logged once. Cancelling the task ends a wait at once. Everything else passes through. One call at a
    time.
    """

    def __init__(self, feed: Source, settings: Settings, *, patience: float | None) -> None:
        self._feed = feed
        self._longest_wait = settings.retry_wait
        self._patience = patience
        self._malformed = 0
        # Once: it is in a reference cycle, and the collector, which would have to find each, is kept quiet.
        patient = stop_never if patience is None else stop_before_delay(patience)
        self._tries = AsyncRetrying(
            retry=retry_if_exception_type((UpstreamUnavailable, MalformedPage)),
            wait=self._wait,
            stop=lambda state: self._malformed >= MALFORMED_TRIES or patient(state),
            before_sleep=_log,
            reraise=True,
        )

    async def changes_since(self, cursor: int) -> Page:
        return await self.again(lambda: self._feed.changes_since(cursor))

    async def first_cursor(self, day: date) -> int:
        return await self.again(lambda: self._feed.first_cursor(day))

    async def again(self, call: Callable[[], Awaitable[T]]) -> T:
        """The same for any other call of the client."""
        self._malformed = 0

        async def attempt() -> T:
            try:
                return await call()
            except MalformedPage:
                self._malformed += 1
                raise

        gone: UpstreamGone
        try:
            return await self._tries(attempt)
        except UpstreamUnavailable as error:
            gone = UpstreamGone(
                f"Gave up on upstream after {self._patience:g} s (VTJ_UPSTREAM__PATIENCE). Last: {error}",
                hint="Nothing was lost, and the cursor stays: run it again later.",
            )
        raise gone

    def _wait(self, state: RetryCallState) -> float:
        # The exponent is bounded: tries go on for days, and floats do not.
        longest = min(SHORTEST_WAIT * 2.0 ** min(state.attempt_number, 30), self._longest_wait)
        wait = longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads instances, hides nothing
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, UpstreamUnavailable) else None
        return max(wait, asked or 0.0)


def _log(state: RetryCallState) -> None:
    error: Any = state.outcome.exception() if state.outcome else None
    log.warning("%s Asking again in %.1f s (try %d).", error, state.upcoming_sleep, state.attempt_number + 1)
