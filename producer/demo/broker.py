"""The broker of the demo: PyPI's noida-db as a child process, or where that is missing the one that the tests take.

noida-db 0.2.3 has what one pipeline needs: transactions, fencing, read_committed, groups, topic configs and limits.
Seen missing: it ends no transaction that ran out of time, puts no silent member out of a group, answers a fetch at
once though there is nothing, and writes all its data anew each second.
"""

import asyncio
import importlib.util
import re
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import producer
from producer.demo import keeper
from producer.errors import KafkaGone, SettingsError

START_PATIENCE, END_PATIENCE = 10.0, 3.0  # s
CURE = (
    "Install it (pip install 'vtj-producer[demo]', or at once: uvx 'vtj-producer[demo]' demo; wheels for glibc Linux "
    "and macOS), or pass --bootstrap-servers HOST:PORT of a Kafka where the demo may create topics. A checkout also "
    "takes the broker of its tests: `make .venv/dev`, and Docker, or Java 17 with Maven."
)


@dataclass(frozen=True)
class Broker:
    """note: what the user must know of it. ended: raises KafkaGone when an embedded one has ended by itself."""

    bootstrap: str
    note: str
    ended: asyncio.Future[None]


def broker(bootstrap: str | None) -> AbstractAsyncContextManager[Broker]:
    """The broker at that address, or one that lives as long as the context. Raises SettingsError: it cannot be had."""
    if bootstrap:
        return _given(bootstrap)
    if (package := importlib.util.find_spec("noida_db")) is None:
        return _of_the_tests()
    return _embedded(Path(package.origin or "").with_name("noida-db"))


@asynccontextmanager
async def _given(bootstrap: str) -> AsyncIterator[Broker]:
    yield Broker(bootstrap, "The topics stay on this broker.", asyncio.get_running_loop().create_future())


@asynccontextmanager
async def _embedded(binary: Path) -> AsyncIterator[Broker]:
    # Port 0 takes a free one and says which. The keeper adds the folder.
    command = [str(binary), "start", "--only", "kafka", "--kafka-port", "0", "--data-dir"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", keeper.__file__, *command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # Ctrl-C in the terminal is for the demo, which still needs the broker for its check.
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    said: deque[str] = deque(maxlen=10)
    listening = asyncio.create_task(_listen(process.stdout, said, address := asyncio.Future[str]()))
    listening.add_done_callback(lambda task: task.cancelled() or task.exception())  # whoever waits for it is told too
    first: list[asyncio.Future[Any]] = [listening, address]
    try:
        await asyncio.wait(first, timeout=START_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if not address.done():
            raise SettingsError("\n  ".join(["The embedded broker did not start. Its last words:", *said]), hint=CURE)
        yield Broker(address.result(), "Embedded broker noida-db: never for production.", listening)
    finally:
        listening.cancel()
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), END_PATIENCE)
        except TimeoutError:
            process.kill()


async def _listen(output: asyncio.StreamReader, said: deque[str], address: asyncio.Future[str]) -> None:
    """Reads to the end: a full pipe would stop the broker, and what it says belongs on no screen unless it ends."""
    async for line in output:
        said.append(line.decode(errors="replace").rstrip())
        found = re.fullmatch(r"\s*kafka\s+(\S+:\d+)\s*", said[-1])
        if found and not address.done():
            address.set_result(found[1])
    raise KafkaGone("\n  ".join(["The embedded broker ended. Its last words:", *said]), hint="Start the demo again.")


@asynccontextmanager
async def _of_the_tests() -> AsyncIterator[Broker]:
    """Only in a checkout, with the extra `dev`: another project's `tests` must not be taken for ours."""
    why = "The embedded broker noida-db is not installed"
    if not (Path(producer.__file__).parent.parent / "tests" / "broker").is_dir():
        raise SettingsError(f"{why}.", hint=CURE)
    try:
        from tests.broker import NoKafka, find_broker
    except ImportError:
        raise SettingsError(f"{why}.", hint=CURE) from None
    try:
        found = await asyncio.to_thread(find_broker)
    except NoKafka as reason:
        raise SettingsError(f"{why}, and {reason}.", hint=CURE) from None
    try:
        async with _given(found.bootstrap) as one:
            yield one
    finally:
        await asyncio.to_thread(found.close)
