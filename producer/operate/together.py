"""Several things at once, of which none goes on without the others."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from producer.errors import Doubt


async def together(*doing: Coroutine[Any, Any, Any] | asyncio.Future[Any], all_of_them: bool = False) -> Any:
    """Until the first ends, or all of them; what is still going on then is cancelled and waited for.

    Returns what the one that ended last has returned. An error of any of them is raised as it is.
    """
    tasks = {asyncio.ensure_future(one) for one in doing}
    left = tasks
    try:
        while left:
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                if one.cancelled():  # whoever hears of it would think that we were
                    raise Doubt("the work was cancelled, and not by us")
                result = one.result()
            if not all_of_them:
                return result
        return result
    finally:
        for one in tasks:
            one.cancel()
        await asyncio.wait(tasks)
