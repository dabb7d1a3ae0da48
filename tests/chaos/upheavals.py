"""What may happen in a round. Each leaves somebody who goes on, or nobody: then a new instance must.

A moment that matters is not hit by luck: the proxy holds the message that makes it. What is done by luck besides, the
dice of the run decide.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from tests.chaos.arena import PATIENCE, Arena
from tests.chaos.oddities import oversized
from tests.chaos.proxy import ADD_PARTITIONS, END_TXN, HEARTBEAT, INIT_PRODUCER_ID, PRODUCE, Held
from tests.integration.deployment import until

Upheaval = Callable[[Arena], Awaitable[None]]
MOMENTS = (ADD_PARTITIONS, PRODUCE, END_TXN)
BUSY = 75


async def moment(arena: Arena, api: int | None = None, *, answer: bool | None = None) -> Held:
    """One of the messages of a transaction, somewhere in the coming ones."""
    chosen = arena.dice.choice(MOMENTS) if api is None else api
    asked = arena.dice.random() < 0.5 if answer is None else answer
    return await arena.proxy.catch(chosen, answer=asked, skip=arena.dice.randrange(6))


# Processes that end


async def killed_anywhere(arena: Arena) -> None:
    worker = await arena.working()
    await asyncio.sleep(arena.dice.uniform(0, 2 * arena.proxy.beat))
    await arena.kill(worker)


def killed_at(api: int, *, answer: bool, arrives: bool) -> Upheaval:
    """Killed when it has sent this request, which arrives or not; or when the answer is on its way."""

    async def upheaval(arena: Arena) -> None:
        worker = await arena.start()
        arena.feed()
        skip = 0 if api == INIT_PRODUCER_ID else arena.dice.randrange(6)
        held = await arena.proxy.catch(api, answer=answer, skip=skip)
        await arena.kill(worker)
        (held.pass_on if arrives else held.drop)()

    return upheaval


async def killed_unnoticed(arena: Arena) -> None:
    """With another instance that waits. The coordinator finds out by itself."""
    await arena.pair()
    held = await moment(arena)
    await arena.kill(arena.instance(held.pid), unnoticed=True)
    held.drop()
    await arena.commits()


async def killed_in_turns(arena: Arena) -> None:
    """Each as soon as it has the shard."""
    await arena.pair(3)
    for _ in range(2):
        held = await moment(arena)
        await arena.kill(arena.instance(held.pid))
        arena.dice.choice([held.pass_on, held.drop])()


async def terminated(arena: Arena) -> None:
    worker = await arena.working()
    held = await moment(arena)
    worker.signal(signal.SIGTERM)
    await asyncio.sleep(arena.dice.uniform(0, arena.proxy.beat))
    arena.dice.choice([held.pass_on, held.drop, held.cut])()
    await arena.stop(worker)


# Processes that stand still


async def zombie(arena: Arena) -> None:
    """Frozen in the middle of a transaction while another instance takes over; then it goes on."""
    older, younger = await arena.pair()
    held = await moment(arena)
    if held.pid != older.pid:
        older, younger = younger, older
    arena.freeze(older)
    if arena.dice.random() < 0.7:
        await arena.put_out(older.pid)  # else the session timeout does it
    await arena.commit_of(younger)
    held.pass_on()
    await arena.thaw(older)
    arena.feed(60)


async def frozen_alone(arena: Arena) -> None:
    """Until the broker has ended its transaction."""
    worker = await arena.working()
    held = await moment(arena, PRODUCE, answer=True)
    arena.freeze(worker)
    await arena.direct.at_rest(PATIENCE)
    held.pass_on()
    await arena.thaw(worker)


async def fenced_late(arena: Arena) -> None:
    """Out of the group without hearing of it, the older one still commits when the younger is about to fence it."""
    older, younger = await arena.pair()
    held = await moment(arena, END_TXN, answer=True)
    if held.pid != older.pid:
        older, younger = younger, older
    held.pass_on()
    word = await arena.proxy.catch(HEARTBEAT, pid=older.pid)
    await arena.put_out(older.pid)
    fence = await arena.proxy.catch(INIT_PRODUCER_ID, pid=younger.pid)
    arena.feed(60)
    await arena.commit_of(older)
    fence.pass_on()
    arena.feed(60)
    await arena.commit_of(younger)
    word.pass_on()


async def put_out_alive(arena: Arena) -> None:
    """The coordinator gives the shard away, and its word comes late to who still works."""
    await arena.pair()
    for _ in range(arena.dice.randrange(1, 3)):
        held = await moment(arena)
        await arena.put_out(held.pid)
        held.pass_on()
        await arena.commits()


# Networks


def cut_at(api: int, *, answer: bool) -> Upheaval:
    """The connection breaks with the request, or with its answer, on the way."""

    async def upheaval(arena: Arena) -> None:
        await arena.start()
        arena.feed()
        skip = 0 if api == INIT_PRODUCER_ID else arena.dice.randrange(6)
        (await arena.proxy.catch(api, answer=answer, skip=skip)).cut()
        await arena.commits(2)

    return upheaval


def silence_at(api: int, *, answer: bool) -> Upheaval:
    """The request, or its answer, never arrives, and nothing tells of it."""

    async def upheaval(arena: Arena) -> None:
        await arena.start()
        arena.feed()
        (await moment(arena, api, answer=answer)).drop()
        await arena.commits(2)

    return upheaval


def late(api: int) -> Upheaval:
    """The connection breaks, and the request arrives after all, in a later transaction of the same instance.

    Some events of that one stand in the topics, its cursor does not, and it gets no further.
    """

    async def upheaval(arena: Arena) -> None:
        worker = await arena.start()
        arena.feed()
        held = await moment(arena, api, answer=False)
        held.cut_client()
        await arena.commits(arena.dice.randrange(1, 3))
        half = await arena.proxy.catch(PRODUCE, answer=True)
        arrived = arena.proxy.catch(api, answer=True)
        held.pass_on()
        await arrived
        await arena.kill(worker)
        half.drop()

    return upheaval


async def slow_network(arena: Arena) -> None:
    arena.proxy.delay = lambda: arena.dice.uniform(0, 0.03)
    await arena.pair()
    await arena.commits(3)
    held = await moment(arena, answer=True)
    await arena.kill(arena.instance(held.pid))
    held.drop()


# The broker


def broker_dies(*, at_commit: bool) -> Upheaval:
    async def upheaval(arena: Arena) -> None:
        worker = await arena.working()
        if at_commit:
            held = await moment(arena, END_TXN, answer=False)
            held.pass_on()
            await asyncio.sleep(arena.dice.uniform(0, arena.proxy.beat / 4))
        await arena.on_broker("kill")
        if arena.dice.random() < 0.3:
            await arena.kill(worker, unnoticed=True)
        await arena.on_broker("start")

    return upheaval


async def broker_restarts(arena: Arena) -> None:
    await arena.working()
    await arena.on_broker("restart")
    arena.feed(60)


async def broker_dies_and_restarts(arena: Arena) -> None:
    """Killed during a commit, and stopped again when it has just come back."""
    await arena.working()
    held = await moment(arena, END_TXN, answer=False)
    held.pass_on()
    await asyncio.sleep(arena.dice.uniform(0, arena.proxy.beat / 4))
    await arena.on_broker("kill")
    await arena.on_broker("start")
    await arena.on_broker("restart")


async def broker_pauses(arena: Arena) -> None:
    """Long enough for doubts. Whoever opens the shard meanwhile gives up, too."""
    worker = await arena.working()
    held = await moment(arena)
    await arena.on_broker("pause")
    held.pass_on()
    await worker.says("no end within")
    if arena.dice.random() < 0.5:
        await asyncio.sleep(arena.dice.uniform(0, 4))
    await arena.on_broker("resume")


# Upstream and the topics


async def upstream_fails(arena: Arena) -> None:
    """Every way, while the log grows, and a `run --once` beside finds the feed taken."""
    worker = await arena.working()
    beside = await arena.start("--once")
    for fault in arena.dice.sample(list(FAULTS), len(FAULTS)):
        before = arena.faults
        arena.sandbox.set_faults([{"fault": fault, "endpoint": "muutokset", **FAULTS[fault]}])
        arena.feed(30)
        await arena.faults_beyond(before)
    await arena.end(beside, BUSY)
    assert worker.lives, worker.log


FAULTS: dict[int | str, dict[str, Any]] = {
    429: {"retry_after": 1}, 500: {}, 502: {}, 503: {}, "reset": {}, "truncated": {}, "not_json": {}, "gzip": {},
    "drip": {"seconds": 0.3}, "hang": {},
}  # fmt: skip


async def once_alone(arena: Arena) -> None:
    """`run --once` is killed, and another one does the rest."""
    first = await arena.start("--once")
    arena.feed()
    held = await moment(arena)
    await arena.kill(first)
    held.drop()
    await arena.end(await arena.start("--once"), 0)
    await until(lambda: arena.up_to_date, "the follower's sight of the last commit")


async def limit_falls(arena: Arena) -> None:
    """A topic takes smaller records from one moment to the next: a batch is refused in the middle of a transaction."""
    worker = await arena.working()
    held = await moment(arena, PRODUCE, answer=False)
    topic = ConfigResource(ResourceType.TOPIC, arena.direct.topic("change.kotikunta"))
    limit = ConfigEntry("max.message.bytes", "40000", incremental_operation=AlterConfigOpType.SET)
    await asyncio.to_thread(_set, arena.broker.bootstrap, topic, limit)
    arena.sandbox.append([oversized(arena.dice, 60_000)])
    arena.feed(30)
    held.pass_on()
    await until(lambda: arena.up_to_date, f"the rest\n{arena.logs}", PATIENCE)
    await arena.audit()  # before it matters whether the worker noticed
    assert "MessageSizeTooLarge" in worker.log, worker.log
    limit = ConfigEntry("max.message.bytes", None, incremental_operation=AlterConfigOpType.DELETE)
    await asyncio.to_thread(_set, arena.broker.bootstrap, topic, limit)
    arena.sandbox.append([oversized(arena.dice, 60_000), oversized(arena.dice, 1_100_000)])


def _set(bootstrap: str, topic: ConfigResource, entry: ConfigEntry) -> None:
    topic.incremental_configs = [entry]
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    admin.incremental_alter_configs([topic])[topic].result(20)


async def stranger(arena: Arena) -> None:
    """Another feed's open transaction in our partition of the cursor topic hides our latest cursor for a while."""
    names = arena.direct.names
    producer = Producer(
        {"bootstrap.servers": arena.broker.bootstrap, "transactional.id": "stranger", "log_level": 0, "linger.ms": 0}
    )
    await asyncio.to_thread(producer.init_transactions, 20)
    worker = await arena.working()
    producer.begin_transaction()
    producer.produce(names.cursor_topic, b"{}", b"stranger/0", names.shard)
    assert await asyncio.to_thread(producer.flush, 20) == 0
    said = worker.log.count("committed cursor")
    await worker.says("committed cursor", said + 2)
    await arena.kill(worker)
    younger = await arena.start()
    await until(
        lambda: "opened at" in younger.log or "reading the cursor: no end" in younger.log,
        f"the reading of the cursor\n{younger.log}",
    )
    await asyncio.to_thread(producer.abort_transaction, 20)


KINDS: dict[str, Upheaval] = {
    "killed anywhere": killed_anywhere,
    "killed while fencing": killed_at(INIT_PRODUCER_ID, answer=False, arrives=True),
    "killed after fencing": killed_at(INIT_PRODUCER_ID, answer=True, arrives=False),
    "killed between partitions and events": killed_at(ADD_PARTITIONS, answer=True, arrives=False),
    "killed while sending events": killed_at(PRODUCE, answer=False, arrives=True),
    "killed between events and commit": killed_at(END_TXN, answer=False, arrives=False),
    "killed during the commit": killed_at(END_TXN, answer=False, arrives=True),
    "killed after the commit": killed_at(END_TXN, answer=True, arrives=False),
    "killed unnoticed": killed_unnoticed,
    "killed in turns": killed_in_turns,
    "terminated": terminated,
    "zombie": zombie,
    "frozen alone": frozen_alone,
    "fenced late": fenced_late,
    "put out alive": put_out_alive,
    "cut at InitProducerId": cut_at(INIT_PRODUCER_ID, answer=True),
    "cut at AddPartitions": cut_at(ADD_PARTITIONS, answer=True),
    "cut before Produce": cut_at(PRODUCE, answer=False),
    "cut after Produce": cut_at(PRODUCE, answer=True),
    "cut before EndTxn": cut_at(END_TXN, answer=False),
    "cut after EndTxn": cut_at(END_TXN, answer=True),
    "silence after AddPartitions": silence_at(ADD_PARTITIONS, answer=True),
    "silence after Produce": silence_at(PRODUCE, answer=True),
    "silence before EndTxn": silence_at(END_TXN, answer=False),
    "silence after EndTxn": silence_at(END_TXN, answer=True),
    "late AddPartitions": late(ADD_PARTITIONS),
    "late Produce": late(PRODUCE),
    "late EndTxn": late(END_TXN),
    "slow network": slow_network,
    "broker killed": broker_dies(at_commit=False),
    "broker killed during a commit": broker_dies(at_commit=True),
    "broker restarted": broker_restarts,
    "broker killed and restarted": broker_dies_and_restarts,
    "broker paused": broker_pauses,
    "upstream fails": upstream_fails,
    "once": once_alone,
    "limit falls": limit_falls,
    "stranger": stranger,
}
