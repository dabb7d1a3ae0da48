"""What no event can be made of: kept whole, with the reason and the place where upstream has it."""

from hashlib import sha256
from io import BytesIO
from typing import Any, Final

from fastavro import schemaless_reader

from producer.events.compiler import Compiler
from producer.events.framing import Framing
from producer.events.groups import Catalogue
from producer.events.spell import raw
from producer.model import EncodedEvent, EncodedPage, Header, Page

REASONS: Final = {
    "record-not-object": "the change record is no JSON object",
    "no-identity-code": "henkilotunnus is missing or cannot be a key, and no rakennustunnus stands instead",
    "no-groups": "tietoryhmat is no list, or holds no JSON object",
    "group-not-object": "an element of tietoryhmat is no JSON object",
    "oversized": "the Kafka record is larger than the topic takes",
}


def dead_letter_topic(prefix: str) -> str:
    return f"{prefix}.dead-letter"


class DeadLetters:
    """Makes dead letters of one feed. Their headers are an event's, the id too, but for the type."""

    ce_type: Final[Header] = ("ce_type", b"fi.vtj.dead-letter")

    def __init__(self, catalogue: Catalogue, framing: Framing, *, prefix: str, feed: str) -> None:
        self.topic = dead_letter_topic(prefix)
        self._feed = feed
        self._schema = catalogue.dead_letter
        self._prefix = framing.prefix(catalogue.dead_letter)
        self._encode = Compiler().record(catalogue.dead_letter_shape)

    def letter(
        self, page: Page, position: int, reason: str, content: Any, key: bytes | None, headers: list[Header]
    ) -> EncodedEvent:
        """content: the raw record, or the raw element of tietoryhmat."""
        text = raw(content)
        whole = text.encode()
        return self._make(
            page, position, reason, key, headers, raw=text, size=len(whole), digest=sha256(whole).hexdigest(), cut=False
        )

    def oversized(self, page: EncodedPage, event: EncodedEvent, limit: int) -> EncodedEvent:
        """The letter that stands in for a Kafka record whose value is larger than `limit` bytes.

        An event's content is left out: it is upstream's, and the letter says where. Of a dead letter the beginning is
        kept. Key, id and position stay, so the page's digest does.
        """
        headers = [self.ce_type if name == "ce_type" else (name, value) for name, value in event.headers]
        raw, reason = None, "oversized"
        size, digest = len(event.value), sha256(event.value).hexdigest()
        if event.topic == self.topic:
            letter: Any = schemaless_reader(BytesIO(event.value[len(self._prefix) :]), self._schema, None)
            reason, size, digest = letter["reason"], letter["rawSize"], letter["rawDigest"]
            whole = (letter["raw"] or "").encode()
            room = max(0, limit - (len(event.value) - len(whole)))
            raw = whole[:room].decode(errors="ignore")
        return self._make(page, event.position, reason, event.key, headers, raw=raw, size=size, digest=digest, cut=True)

    def _make(
        self,
        page: Page | EncodedPage,
        position: int,
        reason: str,
        key: bytes | None,
        headers: list[Header],
        *,
        raw: str | None,
        size: int,
        digest: str,
        cut: bool,
    ) -> EncodedEvent:
        fields = {
            "feed": self._feed,
            "bucket": page.bucket,
            "cursor": page.cursor,
            "previousCursor": page.previous,
            "position": position,
            "fetchedAt": page.fetched_at,
            "reason": reason,
            "detail": REASONS[reason],
            "rawSize": size,
            "rawDigest": digest,
            "cut": cut,
        }
        if raw is not None:
            fields["raw"] = raw
        value = self._prefix + self._encode(fields).encode("latin-1")
        return EncodedEvent(self.topic, key, value, headers, page.fetched_at, position)
