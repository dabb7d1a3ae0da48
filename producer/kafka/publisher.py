"""Opening a shard: fence, complete and seal what was left behind, and only then read the cursors."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import KW_ONLY, dataclass

from aiokafka import AIOKafkaProducer

from producer.config import Kafka
from producer.errors import Doubt, StepDown, TopicsDiffer
from producer.kafka import recovery, topics
from producer.kafka.clients import Admin, started
from producer.kafka.connection import connection
from producer.kafka.cursor import of_feed, positions, refuse_other_keys
from producer.kafka.deadlines import deadline
from producer.kafka.names import SHARDS, Names
from producer.kafka.shard import Shard
from producer.kafka.transactions import Oversized, Transactions
from producer.observe import pulse


@dataclass(frozen=True, slots=True)
class Publisher:
    """Opens the shard of a bucket, again after any doubt, with a new producer each time.

    names: of any bucket that lives there. data_topics: topic → partitions, of all that events and dead letters go to.
    oversized: makes the dead letter of a record that its topic would refuse (page, event, limit in bytes).
    still_ours: whether the group coordinator's last word gives us the shard.
    """

    settings: Kafka
    names: Names
    _: KW_ONLY
    data_topics: Mapping[str, int]
    oversized: Oversized
    instance: str
    still_ours: Callable[[], bool]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Shard]:
        """Fences older instances, and only then reads the cursors. Leaving ends what is open and the producer.

        Raises StepDown (not ours any more), Doubt (no answer in time), KafkaRefused, TopicsDiffer, CursorUnreadable,
        SettingsError (other keys than the feed's).
        """
        settings, names = self.settings, self.names
        pulse.shard.set(names.shard_name)
        limits = await self._limits()
        producer = AIOKafkaProducer(
            **connection(settings, self.instance),
            transactional_id=names.transactional_id,
            transaction_timeout_ms=int(settings.transaction_timeout * 1000),
            compression_type="zstd",
            max_batch_size=min(settings.batch_size, min(limits.values()) - 1024),
        )
        transactions = Transactions(settings, names, producer, self.data_topics, limits, self.oversized)
        what = (
            f"InitProducerId of {names.transactional_id} (on a single broker, are "
            "transaction.state.log.replication.factor and transaction.state.log.min.isr 1?)"
        )
        async with started(producer, settings, what):
            try:
                if not self.still_ours():
                    raise StepDown("the shard went to another instance while it was being opened")
                async with deadline(settings.commit_timeout, "finding the topics"):
                    # Else the first commit asks for one after the other.
                    await producer.client.set_topics([*self.data_topics, names.ledger_topic, names.cursor_topic])
                async with deadline(settings.commit_timeout, "completing the last commit"):
                    await recovery.complete(producer, settings, names)
                async with deadline(settings.commit_timeout, "sealing the partitions"):
                    await recovery.seal(producer, names, self.data_topics)
                # Not longer: a marker that the broker has lost is made good by opening anew.
                async with deadline(settings.commit_timeout, "reading the cursor"):
                    found = await positions(settings, self.instance, names.cursor_topic, [names.shard])
                    # Has another feed its key version?
                    if names.keys is not None and not any(of_feed(names.feed, key) for key in found):
                        found = await positions(settings, self.instance, names.cursor_topic, list(range(SHARDS)))
                refuse_other_keys(found, names)
                yield Shard(names, transactions, found, self.instance)
            finally:
                await transactions.end()

    async def _limits(self) -> dict[str, int]:
        """A topic that is missing is a Doubt: it was there at the start, and a restarting broker forgets for a bit."""
        settings, what = self.settings, "reading the limits of the topics"
        admin = Admin(**connection(settings, self.instance))
        async with deadline(settings.commit_timeout, what), started(admin, settings, what):
            try:
                return await topics.limits(admin, list(self.data_topics))
            except TopicsDiffer as missing:
                raise Doubt(str(missing)) from None
