"""What every command that works on a feed is made of."""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from producer.config import Settings
from producer.errors import Busy, CursorUnreadable, Doubt, KafkaGone, KafkaRefused, StepDown, Stop
from producer.events.convert import Converter
from producer.events.deadletter import dead_letter_topic
from producer.events.decode import Decoder
from producer.events.envelope import Topic
from producer.events.framing import Framing, SingleObject, schema_id
from producer.events.groups import Catalogue, change_topic, state_topic
from producer.events.identities import Identities, Known
from producer.events.page import Withheld
from producer.events.protection import ORDER, Protection, restricted_topics
from producer.events.pseudonyms import Pseudonyms, pseudonyms
from producer.events.state import Blanks
from producer.kafka import ownership, topics
from producer.kafka.clients import administration
from producer.kafka.deadlines import GRACE
from producer.kafka.names import STATE, Names
from producer.kafka.publisher import Publisher
from producer.kafka.table import Table
from producer.kafka.transactions import Oversized
from producer.model import EncodedEvent, EncodedPage
from producer.observe import pulse
from producer.operate import service
from producer.persons.orders import Orders
from producer.persons.roster import Roster
from producer.state.line import READ
from producer.upstream.client import Upstream
from producer.upstream.retrying import Snapshots


def _refuse(_: EncodedPage, event: EncodedEvent, limit: int) -> EncodedEvent:
    raise KafkaRefused(
        f"An event of {len(event.value)} bytes does not fit into {event.topic}, which takes {limit}.",
        hint="Raise max.message.bytes of the topic, and run it again: it goes on behind its last commit.",
    )


@dataclass(frozen=True, slots=True)
class Parts:
    """catalogue: of the data permit. instance: how this process is called at Kafka."""

    settings: Settings
    catalogue: Catalogue
    framing: Framing
    hidden: Pseudonyms | None
    instance: str

    def names(self, bucket: str) -> Names:
        settings = self.settings
        return Names(settings.topics.prefix, settings.feed.name, bucket, self.hidden.check if self.hidden else None)

    def roster(self) -> Roster:
        settings, decoding = self.settings, Decoding(self)

        alone: dict[str, Known] = {}  # there may be hundreds of thousands

        async def known(value: bytes) -> Known:
            told = await decoding(value)
            # Another feed under this prefix has buckets of the same names; it is not ours to let its persons go.
            bucket, codes = told["bucket"] if told["feed"] == settings.feed.name else "", told["codes"]
            return Known(tuple(codes), bucket) if len(codes) > 1 else alone.setdefault(bucket, Known((), bucket))

        return Roster(settings, self.instance, hidden=self.hidden, known=known)

    def erased(self) -> Table[bool]:
        """Keys of the persons who were erased."""
        settings = self.settings
        topic = topics.erased_topic(settings.data_prefix)
        return Table(settings.kafka, self.instance, topic, settings.topics.partitions, _there)

    def orders(self, roster: Roster, *, always: bool = False) -> Orders | None:
        """None where nothing is restricted, but for always."""
        if not (self.settings.privacy.restricted_topics or always):
            return None
        state, order = self.names(STATE), self.catalogue.groups[ORDER]
        return Orders(self.settings, self.instance, roster, state=state, order=order, decode=Decoding(self))

    def blanks(self) -> Blanks:
        topics = self.with_restricted(self.catalogue.state_topics(self.settings.data_prefix))
        return Blanks(self.catalogue, topics, residence=self.settings.privacy.restricted_topics)

    def with_restricted(self, names: Iterable[str]) -> list[str]:
        """These topics, and the restricted ones beside them if there are any."""
        names = [*names]
        return names + restricted_topics(self.settings, self.catalogue, names)

    def identities(self, committed: Mapping[str, Known] = MappingProxyType({})) -> Identities:
        prefix, feed = self.settings.data_prefix, self.settings.feed.name
        return Identities(self.catalogue, self.framing, prefix=prefix, feed=feed, committed=committed)

    def converter(
        self,
        *,
        topic: Topic = change_topic,
        identities: Identities | None = None,
        protection: Protection | None = None,
        withheld: Withheld | None = None,
    ) -> Converter:
        return Converter(
            self.catalogue,
            self.framing,
            prefix=self.settings.data_prefix,
            feed=self.settings.feed.name,
            topic=topic,
            identities=identities,
            hidden=self.hidden,
            protection=protection,
            withheld=withheld,
        )

    def publisher(
        self,
        bucket: str,
        topics: Iterable[str],
        oversized: Oversized = _refuse,
        still_ours: Callable[[], bool] = lambda: True,
    ) -> Publisher:
        """topics: those keyed by person that it writes to, beside the dead letters. oversized: as of Publisher."""
        settings = self.settings
        written = dict.fromkeys(self.with_restricted(topics), settings.topics.partitions)
        letters = self.with_restricted([dead_letter_topic(settings.data_prefix)])
        return Publisher(
            settings.kafka,
            self.names(bucket),
            data_topics={**written, **dict.fromkeys(letters, 1)},
            oversized=oversized,
            instance=self.instance,
            still_ours=still_ours,
        )

    def states(
        self, still_ours: Callable[[], bool], *, into_changes: bool = False, beside: Iterable[str] = ()
    ) -> tuple[Publisher, list[Converter]]:
        """The publisher of the state topics, and what makes records for it.

        into_changes: events of change topics too. beside: further topics.
        """
        prefix, catalogue = self.settings.data_prefix, self.catalogue
        topics_of = (state_topic, change_topic) if into_changes else (state_topic,)
        restricting = self.settings.privacy.restricted_topics
        converters = [
            self.converter(
                topic=one,
                protection=Protection() if restricting else None,
                withheld=self.blanks().withheld if restricting and one is state_topic else None,
            )
            for one in topics_of
        ]
        written = [*catalogue.state_topics(prefix), change_topic(prefix, catalogue.unmapped), *beside]
        written += catalogue.topics(prefix) if into_changes else []
        return self.publisher(STATE, written, converters[0].oversized, still_ours), converters

    def snapshots(self, client: Upstream, *, once: bool) -> Snapshots:
        kinds = None if self.settings.permit.groups is None else list(self.catalogue.groups)
        upstream = self.settings.upstream
        return Snapshots(client, upstream, kinds=kinds, patience=upstream.patience if once else None)


async def parts(settings: Settings, *, check: bool = True) -> Parts:
    """check: the topics first. Raises TopicsDiffer, KafkaGone, RegistryFault."""
    pulse.feed.set(settings.feed.name)
    catalogue = Catalogue.load().within(settings.permit.groups)
    if check:
        async with administration(settings.kafka) as admin:
            await topics.refuse_differences(admin, topics.planned(settings, catalogue))
    instance = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    return Parts(settings, catalogue, await framing(settings, catalogue), pseudonyms(settings.privacy), instance)


async def framing(settings: Settings, catalogue: Catalogue) -> Framing:
    """With a registry its ids, asked for here and never again: one that goes down later stops nobody."""
    if settings.registry.url is None:
        return SingleObject()
    from producer.registry import subjects  # with Avro's checker: only who has a registry pays for it

    return await subjects.framing(settings, catalogue)


@contextmanager
def resumable(busy: Busy) -> Iterator[None]:
    """What a command does that may be run again and goes on where it was. busy: when another has taken over."""
    try:
        yield
    except Doubt as doubt:
        raise KafkaGone(str(doubt), hint="Run it again: it goes on behind its last commit.") from None
    except StepDown:
        raise busy from None


class Decoding:
    """Reads what this program has written. A registry is asked only for what an older release wrote."""

    def __init__(self, parts: Parts) -> None:
        self._settings = parts.settings
        self._decoder = Decoder(parts.catalogue)
        groups = parts.catalogue.groups
        for schema in [parts.catalogue.identity, *(groups[name].schema for name in READ if name in groups)]:
            if (number := schema_id(parts.framing.prefix(schema))) is not None:
                self._decoder.learn(number, schema)

    def encode(self, event: dict[str, Any], like: bytes) -> bytes:
        """An event by the schema and in the framing of the value that it was read from."""
        return self._decoder.encode(event, like)

    async def __call__(self, value: bytes) -> dict[str, Any]:
        """Raises CursorUnreadable."""
        settings, decoder = self._settings, self._decoder
        number = decoder.unknown(value)
        if number is not None and settings.registry.url is not None:
            from producer.registry.client import Registry

            async with Registry(settings.registry) as registry:
                decoder.learn(number, await registry.schema(number))
        try:
            return decoder.decode(value)
        except LookupError as error:
            raise CursorUnreadable(
                f"A record that was written earlier cannot be read: {error}.",
                hint="Run the release that wrote it, or name the registry that has its schema.",
            ) from None


async def _there(_: bytes) -> bool:
    return True


async def wait_until_free(parts: Parts) -> None:
    """`run --once` joins no group that has members: the rebalance would take the work from a running instance."""
    kafka, group = parts.settings.kafka, parts.names(STATE).group
    patience = kafka.session_timeout + GRACE  # as long as a crashed one still counts as a member
    until = time.monotonic() + patience
    while True:
        try:
            if not await ownership.owners(kafka, parts.instance, group):
                return
            reason: Stop = service.busy(patience)
        except Doubt as doubt:  # on a new cluster the coordinator's own topic has yet to be made
            reason = KafkaGone(str(doubt), hint="Nothing was moved; run it again when Kafka answers.")
        if time.monotonic() > until:
            raise reason
        await asyncio.sleep(0.5)
