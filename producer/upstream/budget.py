"""The own request budget: DVV's quota is not published, and going over it costs everybody on the account."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from producer.observe.pulse import pulse

WINDOW = 60.0


class Budget:
    """Lets no more than so many requests go in any 60 seconds. Waits, never fails.

    A window over the very last requests rather than a bucket that refills: after a rest a bucket of the same size
    lets nearly the double go within one minute.
    """

    def __init__(
        self,
        per_minute: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.limit = per_minute
        self._times: deque[float] = deque(maxlen=per_minute)
        self._clock = clock
        self._sleep = sleep
        self._turn = asyncio.Lock()

    @property
    def left(self) -> int:
        """Requests that may go at once."""
        since = self._clock() - WINDOW
        return self.limit - sum(at > since for at in self._times)

    async def spend(self) -> None:
        """Returns when one more request may go. First come, first served."""
        async with self._turn:
            if len(self._times) == self._times.maxlen:
                while (wait := self._times[0] + WINDOW - self._clock()) > 0:
                    pulse().quota_wait += wait
                    await self._sleep(wait)
            self._times.append(self._clock())
