"""A page in, Kafka records out: one event per data group, in upstream's order."""

import copy
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from itertools import islice
from typing import Any, Self

from producer.events.deadletter import DeadLetters
from producer.events.envelope import Envelope, Topic
from producer.events.framing import Framing
from producer.events.groups import RESTRICTED, Catalogue, change_topic
from producer.events.identities import Codes, Identities
from producer.events.identity import usable_code
from producer.events.page import CORRECTED, GROUPS, PERSON, PageEncoding, Withheld
from producer.events.protection import Protection
from producer.events.pseudonyms import Pseudonyms
from producer.model import EncodedEvent, EncodedPage, Page

Joining = Callable[[Codes, Page], Iterable[EncodedEvent]]


class Converter:
    """Turns the pages of one feed into Kafka records. Keeps nothing between pages, but what
    `identities` learns of corrections, for the topic of that name, and `protection` of turvakielto. topic: (prefix,
    group) → its name. protection: None where nothing is restricted. withheld: for state topics with restricted ones.

    Never fails because of a page: what no event can be made of becomes a dead letter. Raises SettingsError when made,
    if event.avsc asks for a field that nothing fills. hidden: where no identity code may stand as it is.
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
        hidden: Pseudonyms | None = None,
        protection: Protection | None = None,
        withheld: Withheld | None = None,
    ) -> None:
        self._feed = feed
        self._identities, self._protection, self._withheld = identities, protection, withheld
        self._plain: Identities | None = None
        self._joining: Joining = lambda *_: ()
        self._hasher, self._headers = (hidden.hasher, hidden.headers) if hidden else (sha256, [])
        fields = {PERSON, *CORRECTED, *catalogue.code_fields}
        self._hide = partial(hidden.hide, fields=fields) if hidden else None
        self._envelope = Envelope(catalogue, framing, prefix, topic)
        self._dead_letters = DeadLetters(catalogue, framing, prefix=prefix, feed=feed, hasher=self._hasher)

    def following(
        self, identities: Identities, plain: Identities, joining: Joining, protection: Protection | None = None
    ) -> Self:
        """The same for a bucket. plain: learns corrections with the codes still in them; the same as identities, unless
        codes are hidden. joining: codes of a person, as plain has learnt them, and the page → records to go with it.
        """
        other = copy.copy(self)
        other._identities, other._plain, other._joining = identities, plain, joining
        other._protection = protection
        return other

    def convert(self, page: Page) -> EncodedPage:
        slices = self.slices(page)
        while True:
            try:
                next(slices)
            except StopIteration as end:
                encoded: EncodedPage = end.value
                return encoded

    def slices(self, page: Page, records: int = 100) -> Generator[None, None, EncodedPage]:
        """Convert a page; yields after every `records` change records, for the event loop's sake."""
        if page.kind == "FOLLOWED":
            return (yield from self._followed(page, records))
        content: Iterable[Any] = page.records
        corrected: list[Codes] = []
        if self._hide:  # before anything is made of a record: nothing behind this line has seen a code
            page = replace(page, extra=self._hide({**page.extra}))
            content = (self._hidden(record, page.bucket, corrected) for record in content)
        encoding = self.encoding(page)
        add = encoding.add_or_bury if page.poison else encoding.add
        for at, record in enumerate(content, 1):
            add(record)
            if at % records == 0:
                yield
        for codes in corrected or encoding.corrected:
            encoding.extend(self._joining(codes, page))
        return encoding.done()

    def _followed(self, page: Page, records: int) -> Generator[None, None, EncodedPage]:
        encoding = self.encoding(replace(page, kind="CHANGE", records=()))
        if self._protection is not None:
            self._protection.joined(key for key, begins in page.records if begins)
        identities = self._identities.followed(page, encoding.headers) if self._identities else iter(())
        while some := list(islice(identities, records)):
            encoding.extend(some)
            yield
        return encoding.done()

    def encoding(self, page: Page, first: int = 0) -> PageEncoding:
        """Of records that it gets one by one, codes hidden already if they are to be. first: position of the first."""
        return PageEncoding(
            page,
            self._feed,
            self._envelope,
            self._dead_letters,
            self._identities,
            self._hasher,
            self._headers,
            self._protection,
            self._withheld,
            first,
        )

    def _hidden(self, record: Any, bucket: str, corrected: list[Codes]) -> Any:
        """Without codes; those of a correction are learnt before."""
        assert self._hide
        if self._plain is not None and type(record) is dict:
            code, groups = record.get(PERSON), record.get(GROUPS)
            if usable_code(code) and type(groups) is list and (codes := self._plain.learn(code, groups, bucket)):
                corrected.append(codes)
        return self._hide(record)

    def oversized(self, page: EncodedPage, event: EncodedEvent, limit: int) -> EncodedEvent:
        """The dead letter in place of a Kafka record whose value is larger than `limit` bytes; see DeadLetters."""
        protected = self._protection is not None and (event.key or b"").decode() in self._protection
        restricted = protected or event.topic.endswith(RESTRICTED)
        return self._dead_letters.oversized(page, event, limit, restricted=restricted)
