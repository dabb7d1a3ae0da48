"""The stop signals, and what is left to do when one comes."""

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")

# From the stop signal to the end of the process (s).
STOP_LIMIT = 4.8
SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def until_stopped(serving: Awaitable[T]) -> T | None:
    """A stop signal cancels the service's task, whatever it is doing; everything it opened then closes itself.

    Returns what it does; None: it was stopped.
    """
    task, loop = asyncio.ensure_future(serving), asyncio.get_running_loop()

    def stop() -> None:
        for name in SIGNALS:  # once: a second cancellation would cut off the abort that the first one began
            loop.add_signal_handler(name, lambda: None)
        task.cancel()
        # Closing is bounded by deadlines of its own. This is for what no deadline reaches: a name look-up hangs in a
        # thread that the interpreter waits for.
        last = threading.Timer(STOP_LIMIT, os._exit, (0,))
        last.daemon = True
        last.start()

    for name in SIGNALS:
        loop.add_signal_handler(name, stop)
    await asyncio.wait([task])
    return None if task.cancelled() else task.result()
