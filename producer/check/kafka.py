"""The links at Kafka, and the schema registry. Nothing is left there, nobody at work is disturbed (kafka/rights.py)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, TypeVar

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    TransactionalIdAuthorizationFailed,
)

from producer.check.chain import Broken, Skip
from producer.check.site import Site, trouble
from producer.check.upstream import ahead
from producer.config import Settings
from producer.errors import KafkaGone, KafkaRefused
from producer.kafka import rights, topics
from producer.kafka.clients import Admin, administration
from producer.kafka.names import SHARDS
from producer.kafka.rights import Right

T = TypeVar("T")

GRANT: Final = "Grant it as docs/kafka.md lists it; an explicit Deny goes before every Allow."
FETCH: Final = 1  # key of Kafka's protocol
FETCH_OF_4: Final = 4  # the oldest version of Fetch that Kafka 4.0 still speaks
STATES: Final = "__transaction_state"
NEW: Final = 5.0  # (s) in which a new cluster makes its coordinators' topics
SHOWN: Final = 8


async def network(on: Site) -> str:
    """One that takes connections is enough: it names the others."""
    there = [_host(one) for one in (on.settings.kafka.bootstrap_servers or "").split(",")]
    wrong = [said for said in await asyncio.gather(*(trouble(*one) for one in there)) if said]
    if len(wrong) == len(there):
        raise KafkaGone(f"{'; '.join(wrong)}.", hint="Check VTJ_KAFKA__BOOTSTRAP_SERVERS, DNS and firewalls.")
    return f"{len(there) - len(wrong)} of {len(there)} take connections{': ' if wrong else ''}{'; '.join(wrong)}"


def _host(text: str) -> tuple[str, int]:
    host, _, port = text.strip().rpartition(":")
    return host.strip("[]"), int(port)


async def login(on: Site) -> str:
    """One that we begin with lets us in, TLS and SASL included, and names all brokers."""
    async with administration(on.settings.kafka) as admin:
        return f"there are {len(admin._client.cluster.brokers())} broker(s)"


async def brokers(on: Site) -> str:
    """By the names that the brokers give themselves, which are others than those to begin with."""
    async with administration(on.settings.kafka) as admin:
        there = [(one.host, one.port) for one in admin._client.cluster.brokers()]
    if wrong := [said for said in await asyncio.gather(*(trouble(*one) for one in there)) if said]:
        raise KafkaGone(
            f"Of the {len(there)} brokers {len(wrong)} cannot be reached: {'; '.join(wrong)}.",
            hint="Let this machine reach them by the names that they tell (advertised.listeners), or bring them up.",
        )
    return f"{len(there)}, each reached by the name that it tells"


async def version(on: Site) -> str:
    async with administration(on.settings.kafka) as admin:
        await admin.describe_cluster()
        (spoken, *_) = [one._versions for one in admin._client._conns.values()]
    if spoken[FETCH][0] < FETCH_OF_4:
        return "as Kafka 3.0 to 3.9"
    return "as Kafka 4.0 or later"


async def topic_rights(on: Site) -> str:
    wanted = needed(on.settings, _plans(on))
    async with administration(on.settings.kafka) as admin:
        found = await rights.of_topics(admin, wanted)
    there = {name: has for name, has in found.items() if has is not None}
    _refuse({name: wanted[name] - has for name, has in there.items()}, "Topic")
    missing = len(wanted) - len(there)
    return f"all that `run` needs on {len(there)} topics" + (f"; {missing} are not there yet" if missing else "")


def needed(settings: Settings, plans: Iterable[topics.Plan]) -> dict[str, set[Right]]:
    """By topic, what `run` must be allowed to do."""
    wanted = {plan.name: {Right.DESCRIBE, Right.DESCRIBE_CONFIGS, Right.WRITE} for plan in plans}
    prefix, data = settings.topics.prefix, settings.data_prefix
    read = [f"{prefix}.cursor", f"{prefix}.ledger", f"{prefix}.watchlist", f"{data}.identity"]
    if settings.state.enabled:
        read += [name for name in wanted if name.startswith(f"{data}.change.")]
    if settings.privacy.restricted_topics:
        read.append(f"{data}.state.turvakielto")
    for name in read:
        wanted[name].add(Right.READ)
    return wanted


async def group_rights(on: Site) -> str:
    async with administration(on.settings.kafka) as admin:
        try:
            has = await _coordinated(lambda: rights.of_group(admin, on.names.group))
        except GroupCoordinatorNotAvailableError:
            raise await _without_coordinator(admin, "consumer groups", "offsets.topic.replication.factor") from None
    _refuse({on.names.group: {Right.READ, Right.DESCRIBE} - has}, "Group")
    return on.names.group


async def id_rights(on: Site) -> str:
    names = on.names
    begins = f"{names.prefix}.{names.feed}."
    ids = [f"{begins}{shard}" for shard in range(SHARDS)] + [names.transactional_id] * on.settings.state.enabled
    async with administration(on.settings.kafka) as admin:
        refused = await rights.refused_ids(admin, f"{begins}check", ids)
    _refuse(
        {f"{begins}* (prefixed)" if one.endswith(".check") else one: {Right.WRITE} for one in refused},
        "TransactionalId",
    )
    return f"{begins}*"


def _refuse(missing: Mapping[str, Iterable[Right]], kind: str) -> None:
    lines = [f"{kind} {name}: {', '.join(map(str, sorted(these)))}" for name, these in missing.items() if these]
    if lines:
        more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
        raise KafkaRefused(f"The account may not: {'; '.join(lines[:SHOWN])}{more}.", hint=GRANT)


async def planned(on: Site) -> str:
    plans = _plans(on)
    async with administration(on.settings.kafka) as admin:
        await topics.refuse_differences(admin, plans)
    return f"all {len(plans)}"


def _plans(on: Site) -> list[topics.Plan]:
    return topics.planned(on.settings, on.catalogue)


async def transactions(on: Site) -> str:
    """Whether there is a coordinator for them, and, as far as we may see that, whether it can write."""
    unused = f"{on.names.prefix}.{on.names.feed}.check"
    async with administration(on.settings.kafka) as admin:
        try:
            await _coordinated(lambda: admin.find_coordinator(unused, rights.TRANSACTION))
        except TransactionalIdAuthorizationFailed:
            raise KafkaRefused(f"The account may not: TransactionalId {unused}: Describe.", hint=GRANT) from None
        except GroupCoordinatorNotAvailableError:
            log = "transaction.state.log"
            raise await _without_coordinator(
                admin, "transactions", f"{log}.replication.factor", also=f" and {log}.min.isr=1"
            ) from None
        sync = await rights.in_sync(admin, STATES)
        if sync is None:
            return "there is a coordinator; whether it can write is proved by running"
        least = await _configured(admin, ConfigResourceType.TOPIC, STATES, "min.insync.replicas")
        if least is not None and sync < int(least):
            raise Broken(
                f"{STATES} has partitions with {sync} replica(s) in sync, and transactions need {least}.",
                hint="Bring the missing brokers back; on a single broker set transaction.state.log.min.isr=1, and "
                f"min.insync.replicas=1 on {STATES}.",
                exit_code=KafkaRefused.exit_code,
            )
    return f"there is a coordinator, and {sync} replica(s) in sync"


async def _without_coordinator(admin: Admin, of: str, name: str, also: str = "") -> Broken:
    """name: the broker's setting of how many replicas the coordinator's own topic has."""
    there = (await admin.describe_cluster())["brokers"]
    factor = await _configured(admin, ConfigResourceType.BROKER, str(there[0]["node_id"]), name)
    said = "may not be asked for (DescribeConfigs, Cluster)" if factor is None else f"is {factor}"
    return Broken(
        f"There is no coordinator for {of}. There are {len(there)} broker(s), and {name} {said}.",
        hint=f"On a single broker set {name}=1{also} and restart it; in a cluster bring up as many brokers as it "
        "says. Where Kafka is new, run check again in a minute.",
        exit_code=KafkaRefused.exit_code,
    )


async def _configured(admin: Admin, kind: ConfigResourceType, of: str, name: str) -> str | None:
    """None: the account may not know."""
    (answer,) = await admin.describe_configs([ConfigResource(kind, of)])
    ((code, _, _, _, entries),) = answer.resources
    return None if code else next((entry[1] for entry in entries if entry[0] == name), None)


async def _coordinated(ask: Callable[[], Awaitable[T]]) -> T:
    """Asks again while a new cluster makes the coordinator's own topic. Raises the last refusal."""
    until = time.monotonic() + NEW
    while True:
        try:
            return await ask()
        except (GroupCoordinatorNotAvailableError, GroupLoadInProgressError):
            if time.monotonic() > until:
                raise
        await asyncio.sleep(0.2)


async def registry(on: Site) -> str:
    from producer.registry.client import Registry  # with Avro's checker: only who has a registry pays for it

    if on.settings.registry.url is None:
        raise Skip("none is set: values are single-object encoded")
    async with Registry(on.settings.registry) as asked:
        return f"keeps {await asked.level()}"


async def schemas(on: Site) -> str:
    from producer.registry import subjects
    from producer.registry.client import Registry

    if on.settings.registry.url is None:
        raise Skip("no registry is set")
    async with Registry(on.settings.registry) as asked:
        found = await subjects.compare(asked, subjects.subjects(on.catalogue, on.settings))
    if on.settings.registry.auto_register:
        subjects.refuse(found, "incompatible")
    else:
        subjects.refuse(found, "new", "changed", "incompatible")
    new = sum(one.state != "same" for one in found)
    return f"{len(found) - new} of {len(found)} are registered" + ("; `run` registers the others" if new else "")


async def clock(on: Site) -> str:
    async with administration(on.settings.kafka) as admin:
        there = await rights.clock(admin)
        here = time.time()
    if there is None:
        raise Skip("this account may not ask for it (Describe on the Cluster)")
    return ahead(there - here, "Kafka")
