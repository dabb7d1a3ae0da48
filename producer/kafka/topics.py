"""The topics: as planned, as they are, and how they differ. The program never relies on the broker creating them."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from producer.config import Settings, Topics
from producer.errors import KafkaRefused, SettingsError, TopicsDiffer
from producer.events.deadletter import dead_letter_topic
from producer.events.groups import Catalogue, restricted_topic
from producer.events.identities import identity_topic
from producer.events.protection import restricted_topics
from producer.kafka.names import SHARDS
from producer.kafka.watchlist import watchlist_topic

DAY_MS = str(24 * 3600 * 1000)


@dataclass(frozen=True, slots=True)
class Plan:
    """One topic as it should be; configs as Kafka names them. data: it takes the events or dead letters of the feed."""

    name: str
    partitions: int
    configs: dict[str, str]
    data: bool = True


@dataclass(frozen=True, slots=True)
class Difference:
    """One point where a topic is not as planned. setting: "topic", "partitions" or the name of a topic config."""

    topic: str
    setting: str
    is_: str
    planned: str

    def __str__(self) -> str:
        if self.setting == "topic":
            return f"{self.topic}: missing"
        return f"{self.topic}: {self.setting} is {self.is_}, planned {self.planned}"


def erased_topic(prefix: str) -> str:
    """Who has been erased: a compacted topic, which copies of the topics must heed."""
    return f"{prefix}.erased"


def handled_topic(prefix: str) -> str:
    """Which dead letters and unmapped events have been dealt with: a compacted topic, without persons."""
    return f"{prefix}.handled"


def plan(
    settings: Topics, data_topics: Iterable[str], state_topics: Iterable[str] = (), data_prefix: str | None = None
) -> list[Plan]:
    """Every topic of this release. data_topics, state_topics: those keyed by person, from the catalogue of schemas.

    data_prefix: that of topics with persons in them, where it is another than the settings'.
    """
    data_prefix = data_prefix or settings.prefix
    dated = {"cleanup.policy": "delete", "retention.ms": str(settings.retention * 1000)}
    # Compaction leaves the active segment alone: what a tombstone takes back must be gone within two days all the same.
    current = {"cleanup.policy": "compact", "max.compaction.lag.ms": DAY_MS, "segment.ms": DAY_MS}
    return [
        *(Plan(name, settings.partitions, current, data=False) for name in state_topics),
        *(Plan(name, settings.partitions, dated) for name in data_topics),
        Plan(identity_topic(data_prefix), settings.partitions, current),
        Plan(erased_topic(data_prefix), settings.partitions, current, data=False),
        Plan(handled_topic(data_prefix), settings.partitions, current, data=False),
        Plan(watchlist_topic(settings.prefix), settings.partitions, current),
        Plan(dead_letter_topic(data_prefix), 1, dated),
        # Small segments: compaction leaves the active one alone, and opening a shard reads its whole partition.
        Plan(
            f"{settings.prefix}.cursor",
            SHARDS,
            {"cleanup.policy": "compact", "segment.bytes": str(4 << 20)},
            data=False,
        ),
        Plan(f"{settings.prefix}.ledger", SHARDS, {"cleanup.policy": "delete", "retention.ms": "-1"}, data=False),
    ]


def planned(settings: Settings, catalogue: Catalogue) -> list[Plan]:
    """Every topic that these settings need. catalogue: that of the permit."""
    prefix = settings.data_prefix
    states = catalogue.state_topics(prefix) if settings.state.enabled else ()
    plans = plan(settings.topics, catalogue.topics(prefix), states, prefix)
    beside = restricted_topics(settings, catalogue, (one.name for one in plans))
    dated = {"retention.ms": str((settings.privacy.restricted_retention or settings.topics.retention) * 1000)}
    return plans + [
        replace(one, name=name, configs=one.configs | (dated if "retention.ms" in one.configs else {}))
        for one in plans
        if (name := restricted_topic(one.name)) in beside
    ]


async def retentions(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> dict[str, int | None]:
    """How long each topic keeps a record (ms); None: for ever."""
    found = {name: int(configs["retention.ms"]) async for name, configs in _configs(admin, topics, "retention.ms")}
    return {name: None if kept < 0 else kept for name, kept in found.items()}


async def policies(admin: AIOKafkaAdminClient, prefix: str) -> dict[str, str]:
    """The cleanup policy of every topic whose name begins so."""
    names = [topic["topic"] for topic in await admin.describe_topics() if topic["topic"].startswith(prefix)]
    return {name: configs["cleanup.policy"] async for name, configs in _configs(admin, names, "cleanup.policy")}


async def limits(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> dict[str, int]:
    """The largest record batch that each topic takes (bytes). Raises TopicsDiffer when one is missing."""
    asked = "max.message.bytes"
    found = {name: int(configs[asked]) async for name, configs in _configs(admin, topics, asked)}
    if missing := sorted(set(topics) - set(found)):
        raise _differ([Difference(name, "topic", "missing", "there") for name in missing])
    return found


async def differences(admin: AIOKafkaAdminClient, plans: Sequence[Plan]) -> list[Difference]:
    """What is missing or not as planned, in the order of the plan."""
    there = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
    present = [plan.name for plan in plans if plan.name in there]
    asked = {key for plan in plans for key in plan.configs}
    configs = {name: values async for name, values in _configs(admin, present, *asked)}
    return [found for planned in plans for found in _compare(planned, there, configs)]


def _compare(planned: Plan, there: Mapping[str, int], configs: Mapping[str, Mapping[str, str]]) -> Iterator[Difference]:
    if planned.name not in there or planned.name not in configs:
        yield Difference(planned.name, "topic", "missing", "there")
        return
    if there[planned.name] != planned.partitions:
        yield Difference(planned.name, "partitions", str(there[planned.name]), str(planned.partitions))
    for key, value in planned.configs.items():
        now = configs[planned.name].get(key, "unset")
        if now != value:
            yield Difference(planned.name, key, now, value)


async def refuse_differences(admin: AIOKafkaAdminClient, plans: Sequence[Plan]) -> None:
    """The check before work: raises TopicsDiffer with every difference."""
    if found := await differences(admin, plans):
        raise _differ(found)


def refuse_count(topic: str, there: int, planned: int) -> None:
    """Raises TopicsDiffer when a topic has other partitions than planned: to others its keys are elsewhere."""
    if there != planned:
        raise _differ([Difference(topic, "partitions", str(there), str(planned))])


# What no command can mend.
COUNTS = (
    "If it was always so, set VTJ_TOPICS__PARTITIONS to the count that is there. If partitions were added, keys would "
    "move away from their history: delete that topic and make it anew with `vtj-producer topics apply` (`vtj-producer "
    "backfill` brings back the last two weeks), or begin under another VTJ_TOPICS__PREFIX."
)


async def require_target(admin: AIOKafkaAdminClient, settings: Topics, *names: str) -> None:
    """Of the user's topics that events are to go to: parted as ours are, and none of ours.

    Raises SettingsError, TopicsDiffer.
    """
    topic = names[0]
    own = r"(change|state)\..+|identity|erased|handled|watchlist|dead-letter(\..+)?|cursor|ledger"
    if re.fullmatch(rf"{re.escape(settings.prefix)}\.(k\d+\.)?({own})", topic):
        raise SettingsError(f"{topic} is one of the program's own topics.", hint="Name a topic of your own.")
    count = settings.partitions
    if found := await differences(admin, [Plan(one, count, {"cleanup.policy": "delete"}) for one in names]):
        raise TopicsDiffer(
            f"Events cannot go to {topic}: {'; '.join(map(str, found))}.",
            hint=f"Make it: `kafka-topics.sh --bootstrap-server … --create --topic {topic} --partitions {count}`, with "
            "as many partitions as all topics keyed by person have.",
        )


def _differ(found: Sequence[Difference]) -> TopicsDiffer:
    lines = "".join(f"\n  {difference}" for difference in found[:20])
    more = f"\n  … and {len(found) - 20} more" if len(found) > 20 else ""
    mend = "See them with `vtj-producer topics plan`, mend them with `vtj-producer topics apply`."
    return TopicsDiffer(
        f"{len(found)} difference(s) between the topics and the plan:{lines}{more}",
        hint=COUNTS if any(one.setting == "partitions" for one in found) else mend,
    )


async def apply(admin: AIOKafkaAdminClient, plans: Sequence[Plan], replication: int | None) -> list[Difference]:
    """Creates what is missing and sets what differs. Returns what it mended.

    replication: replicas of a new topic; None: three, or as many as there are brokers. Raises TopicsDiffer, before
    anything is changed, when a partition count differs: no command can mend that without moving keys away from
    their history.
    """
    found = await differences(admin, plans)
    if counts := [difference for difference in found if difference.setting == "partitions"]:
        raise TopicsDiffer(
            "A partition count cannot change once there are events:"
            + "".join(f"\n  {difference}" for difference in counts),
            hint=COUNTS,
        )
    missing = {difference.topic for difference in found if difference.setting == "topic"}
    if missing:
        replicas = replication or min(3, len((await admin.describe_cluster())["brokers"]))
        await _create(admin, [planned for planned in plans if planned.name in missing], replicas)
    for name in sorted({difference.topic for difference in found} - missing):
        await _set(admin, next(planned for planned in plans if planned.name == name))
    while await differences(admin, plans):  # noqa: ASYNC110 - the broker answers before its own metadata follow
        await asyncio.sleep(0.1)
    return found


# What a commit survives with three replicas: the loss of one broker, without a cursor that goes back.
SAFE = {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}


async def _create(admin: AIOKafkaAdminClient, plans: Sequence[Plan], replicas: int) -> None:
    safe = SAFE if replicas >= 3 else {}
    response = await admin.create_topics(
        [
            NewTopic(planned.name, planned.partitions, replicas, topic_configs=planned.configs | safe)
            for planned in plans
        ]
    )
    for name, code, *_ in response.topic_errors:
        if code not in (0, TopicAlreadyExistsError.errno):  # another `topics apply` was quicker
            raise KafkaRefused(
                f"Topic {name} was not created: {for_code(code).__name__}.",
                hint="Check VTJ_TOPICS__REPLICATION against the number of brokers, and the ACL Create on the topics.",
            )


async def _set(admin: AIOKafkaAdminClient, planned: Plan) -> None:
    """Kafka's AlterConfigs replaces the whole set, so that what somebody else set on the topic is sent again."""
    kept: dict[str, str] = {}
    async for _, configs in _configs(admin, [planned.name], overridden_only=True):
        kept = configs
    resource = ConfigResource(ConfigResourceType.TOPIC, planned.name, configs=kept | planned.configs)
    for response in await admin.alter_configs([resource]):
        for code, *_ in response.resources:
            if code:
                raise KafkaRefused(
                    f"The configs of {planned.name} were not set: {for_code(code).__name__}.",
                    hint="Grant AlterConfigs on the topic, or set them with the tools of your Kafka.",
                )


TOPIC_CONFIG_SOURCE = 1  # DescribeConfigs: set on the topic itself, not inherited from the broker


async def _configs(
    admin: AIOKafkaAdminClient, topics: Sequence[str], *asked: str, overridden_only: bool = False
) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """asked: these alone; none: all, of which each topic has three dozen."""
    if not topics:
        return
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, dict.fromkeys(asked)) for name in topics]
    for response in await admin.describe_configs(resources):
        for code, _, _, name, entries in response.resources:
            if code == UnknownTopicOrPartitionError.errno:
                continue
            if code:
                raise KafkaRefused(
                    f"The configs of {name} cannot be read: {for_code(code).__name__}.",
                    hint="Grant DescribeConfigs on the topics of the prefix.",
                )
            yield name, {e[0]: e[1] for e in entries if not overridden_only or e[3] == TOPIC_CONFIG_SOURCE}
