"""When to ask upstream again."""

import asyncio
import gc


class Pace:
    """The pause between polls, once upstream has said `ajanTasalla`. interval: seconds, or None: once is enough."""

    def __init__(self, interval: float | None) -> None:
        self._interval = interval

    async def pause(self) -> bool:
        """Waits for the next poll, or says False: it was the last one. Cancelling the task interrupts it."""
        if self._interval is None:
            return False
        gc.collect()  # off the hot path: see app.quiet_collector
        await asyncio.sleep(self._interval)
        return True
