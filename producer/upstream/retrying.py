"""Asks again while there is hope: a decorator round the client, of the same shape."""

import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from typing import Any, Final, Protocol, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_before_delay, stop_never

from producer.config import Upstream as Settings
from producer.errors import MalformedPage, UpstreamGone, UpstreamUnavailable
from producer.model import BUCKET, Page
from producer.observe.pulse import pulse
from producer.upstream.client import Upstream

log = logging.getLogger("vtj.upstream")

T = TypeVar("T")

SHORTEST_WAIT: Final = 0.5
# Gateways cut and garble answers now and then; one that stays wrong is upstream's own.
MALFORMED_TRIES: Final = 3


class Source(Protocol):
    async def changes_since(self, cursor: int, *, bucket: str = BUCKET, listed: bytes = b"") -> Page: ...

    async def first_cursor(self, day: date) -> int: ...


class Retrying:
    """Repeats a call on UpstreamUnavailable for as long as it takes, and on MalformedPage three times in all.

    patience: seconds after which a call that still fails raises UpstreamGone (`run --once`), or None: never.
    Waits grow from half a second to `retry_wait`, half of each by chance, and are never shorter than Retry-After
    asks. Ever fewer of them are logged, and then the answer. Cancelling the task ends a wait at once. Everything else
    passes through. One call at a time.
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

    async def changes_since(self, cursor: int, *, bucket: str = BUCKET, listed: bytes = b"") -> Page:
        return await self.again(lambda: self._feed.changes_since(cursor, bucket=bucket, listed=listed))

    async def first_cursor(self, day: date) -> int:
        return await self.again(lambda: self._feed.first_cursor(day))

    async def again(self, call: Callable[[], Awaitable[T]]) -> T:
        """The same for any other call of the client."""
        self._malformed = 0
        began, tries = time.monotonic(), 0

        async def attempt() -> T:
            nonlocal tries
            tries += 1
            try:
                return await call()
            except MalformedPage:
                self._malformed += 1
                raise

        gone: UpstreamGone
        try:
            answer: T = await self._tries(attempt)
            if tries > 1:
                pulse().well("upstream")
                log.warning("Upstream answers again, at try %d after %.0f s.", tries, time.monotonic() - began)
            return answer
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
    pulse().retrying(
        "upstream", str(error), "malformed" if isinstance(error, MalformedPage) else error.fault or "connection"
    )
    if state.attempt_number & (state.attempt_number - 1):
        return  # the 1st, 2nd, 4th, 8th … are told: an upstream that is away for a night must not fill the log
    log.warning("%s Asking again in %.1f s (try %d).", error, state.upcoming_sleep, state.attempt_number + 1)


class Snapshots(Retrying):
    """The same of what is valid now. kinds: groups to ask for, or None: all that the account may see."""

    def __init__(
        self, client: Upstream, settings: Settings, *, kinds: Sequence[str] | None, patience: float | None
    ) -> None:
        super().__init__(client, settings, patience=patience)
        self._client, self._kinds = client, kinds

    async def persons(self, codes: Sequence[str]) -> Page:
        return await self.again(lambda: self._client.persons(codes, self._kinds))

    async def weekly(self, codes: Sequence[str], municipalities: Sequence[str]) -> Page:
        asked = {"codes": codes, "municipalities": municipalities}
        return await self.again(lambda: self._client.weekly(**asked, kinds=self._kinds))
