"""What no event can be made of: kept whole, with the reason and the place where upstream has it."""

from collections.abc import Mapping
from hashlib import sha256
from io import BytesIO
from typing import Any, Final

from fastavro import schemaless_reader

from producer.events.compiler import Compiler
from producer.events.framing import Framing
from producer.events.groups import Catalogue, restricted_topic
from producer.events.identity import Hasher
from producer.events.spell import raw
from producer.model import EncodedEvent, EncodedPage, Header, Page

REASONS: Final = {
    "record-not-object": "the change record is no JSON object",
    "no-identity-code": "henkilotunnus is missing or cannot be a key, and no rakennustunnus stands instead",
    "no-groups": "tietoryhmat is no list, or holds no JSON object",
    "group-not-object": "an element of tietoryhmat is no JSON object",
    "poison": "the change record could not be encoded, for no reason foreseen, and was passed over by hand",
    "oversized": "the Kafka record is larger than the topic takes",
}


def dead_letter_topic(prefix: str) -> str:
    return f"{prefix}.dead-letter"


class DeadLetters:
    """Makes dead letters of one feed. Their headers are an event's, the id too, but for the type.

    hasher: makes the digests.
    """

    ce_type: Final[Header] = ("ce_type", b"fi.vtj.dead-letter")

    def __init__(
        self, catalogue: Catalogue, framing: Framing, *, prefix: str, feed: str, hasher: Hasher = sha256
    ) -> None:
        self.topic = dead_letter_topic(prefix)
        self._restricted = restricted_topic(self.topic)
        self._feed = feed
        self._hasher = hasher
        self._schema = catalogue.dead_letter
        self._prefix = framing.prefix(catalogue.dead_letter)
        self._encode = Compiler().record(catalogue.dead_letter_shape)

    def letter(
        self,
        page: Page,
        position: int,
        reason: str,
        content: Any,
        key: bytes | None,
        headers: list[Header],
        *,
        restricted: bool = False,
    ) -> EncodedEvent:
        """content: the raw record, or the raw element of tietoryhmat. restricted: for the topic of that name."""
        text = raw(content)
        whole = text.encode()
        told = {"raw": text, "rawSize": len(whole), "rawDigest": self._hasher(whole).hexdigest(), "cut": False}
        return self._make(page, position, reason, told, key, headers, restricted=restricted)

    def oversized(
        self, page: EncodedPage, event: EncodedEvent, limit: int, *, restricted: bool = False
    ) -> EncodedEvent:
        """The letter that stands in for a Kafka record whose value is larger than `limit` bytes.

        An event's content is left out: it is upstream's, and the letter says where. Of a dead letter the beginning is
        kept. Key, id and position stay, so the ledger's digests do. restricted: for the topic of that name.
        """
        headers = [self.ce_type if name == "ce_type" else (name, value) for name, value in event.headers]
        reason, size, digest = "oversized", len(event.value), self._hasher(event.value).hexdigest()
        told: dict[str, Any] = {"rawSize": size, "rawDigest": digest, "cut": True}
        if event.topic in (self.topic, self._restricted):
            letter: Any = schemaless_reader(BytesIO(event.value[len(self._prefix) :]), self._schema, None)
            whole = (letter["raw"] or "").encode()
            room = max(0, limit - (len(event.value) - len(whole)))
            reason, told["raw"] = letter["reason"], whole[:room].decode(errors="ignore")
            told |= {name: letter[name] for name in ("rawSize", "rawDigest")}
        return self._make(page, event.position, reason, told, event.key, headers, restricted=restricted)

    def _make(
        self,
        page: Page | EncodedPage,
        position: int,
        reason: str,
        told: Mapping[str, Any],
        key: bytes | None,
        headers: list[Header],
        *,
        restricted: bool,
    ) -> EncodedEvent:
        """told: of the content."""
        fields = {
            "feed": self._feed,
            "bucket": page.bucket,
            "cursor": page.cursor,
            "previousCursor": page.previous,
            "position": position,
            "fetchedAt": page.fetched_at,
            "reason": reason,
            "detail": REASONS[reason],
            **told,
        }
        value = self._prefix + self._encode(fields).encode("latin-1")
        topic = self._restricted if restricted else self.topic
        return EncodedEvent(topic, key, value, headers, page.fetched_at, position)
