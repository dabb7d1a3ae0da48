"""A page in, Kafka records out: one event per data group, in upstream's order."""

from collections.abc import Generator

from producer.events.deadletter import DeadLetters
from producer.events.envelope import Envelope, Topic
from producer.events.framing import Framing
from producer.events.groups import Catalogue, change_topic
from producer.events.identities import Identities
from producer.events.page import PageEncoding
from producer.model import EncodedEvent, EncodedPage, Page


class Converter:
    """Turns the pages of one feed into Kafka records. Keeps nothing between pages, but what
    `identities` learns of corrections, for the topic of that name. topic: (prefix, group) → its name.

    Never fails because of a page: what no event can be made of becomes a dead letter. Raises SettingsError when made,
    if event.avsc asks for a field that nothing fills.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        framing: Framing,
        *,
        prefix: str,
        feed: str,
        topic: Topic = change_topic,
        identities: Identities | None = None,
    ) -> None:
        self._feed = feed
        self._identities = identities
        self._envelope = Envelope(catalogue, framing, prefix, topic)
        self._dead_letters = DeadLetters(catalogue, framing, prefix=prefix, feed=feed)

    def convert(self, page: Page) -> EncodedPage:
        slices = self.slices(page)
        while True:
            try:
                next(slices)
            except StopIteration as end:
                encoded: EncodedPage = end.value
                return encoded

    def slices(self, page: Page, records: int = 50) -> Generator[None, None, EncodedPage]:
        """Convert a page; yields after every `records` change records, for the event loop's sake."""
        encoding = PageEncoding(page, self._feed, self._envelope, self._dead_letters, self._identities)
        for at, record in enumerate(page.records, 1):
            encoding.add(record)
            if at % records == 0:
                yield
        return encoding.done()

    def oversized(self, page: EncodedPage, event: EncodedEvent, limit: int) -> EncodedEvent:
        """The dead letter in place of a Kafka record whose value is larger than `limit` bytes; see DeadLetters."""
        return self._dead_letters.oversized(page, event, limit)
