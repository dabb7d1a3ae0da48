"""An honest line in a few words: what stands in Kafka when nothing went wrong, for tests to damage."""

import hashlib
import io
import json
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from fastavro import schemaless_writer

from tests.oracle import Change, Stored
from tests.oracle.schemas import Schemas

PREFIX = "honest"
KEY = b"vtj/0"
START = 1000
ANNA, PEKKA, ANNA_NEW = "010190-900P", "020280-901L", "010190-902S"
COMMON = {"tietoryhma", "muutosattribuutti", "voimassaolevatTiedot", "turvakiellonAlaisetKentat"}
SCHEMAS = Schemas.load()


def kotikunta(kunta: str, word: str = "LISATTY") -> dict[str, Any]:
    day = {"arvo": "2026-11-01", "tarkkuus": "PAIVA"}
    return {
        "tietoryhma": "KOTIKUNTA",
        "muutosattribuutti": word,
        "kuntakoodi": kunta,
        "kuntaanMuuttopv": day,
    }


def change(code: Any, *groups: Any) -> dict[str, Any]:
    return {"henkilotunnus": code, "tietoryhmat": list(groups), "muutospv": "2026-11-20T04:38:04.394Z"}


EMAIL = {"tietoryhma": "SAHKOPOSTIOSOITE", "muutosattribuutti": "LISATTY", "sahkopostiosoite": "a@example.fi"}
WITHHELD = {
    "tietoryhma": "KOTIKUNTA",
    "muutosattribuutti": "MUUTETTU",
    "turvakiellonAlaisetKentat": ["kuntakoodi"],
}
CANCELLED = kotikunta("091", "POISTETTU") | {"voimassaolevatTiedot": [{"kuntakoodi": "049"}]}
NOVEL = {"tietoryhma": "AIVAN_UUSI", "muutosattribuutti": "LISATTY", "luku": 2.5, "lista": [1, None, {"a.b": True}]}
CORRECTION = {
    "tietoryhma": "HENKILOTUNNUS_KORJAUS",
    "muutosattribuutti": "LISATTY",
    "aktiivinenHenkilotunnus": ANNA_NEW,
    "muutettuHenkilotunnus": ANNA_NEW,
}

# Pages as upstream would cut them, and the commits in which they go.
LOG = [
    Change(START + 10 * at, record)
    for at, record in enumerate(
        [
            change(ANNA, kotikunta("091"), EMAIL),
            change(PEKKA, kotikunta("049")),
            change(ANNA, kotikunta("091"), WITHHELD),  # the same content once more
            change(ANNA, CORRECTION, kotikunta("853")),
            change(PEKKA, NOVEL, CANCELLED, "no group"),
            "no record",
            change(ANNA_NEW, kotikunta("837")) | {"uusi": {"jäsen": 1}},
            change(PEKKA, kotikunta("005")),
            change(None, kotikunta("006")),
        ],
        start=1,
    )
]
COMMITS = (((0, 2), (2, 4)), ((4, 7),), ((7, 9),))


class Line:
    """The stored records of `LOG`, sent as `COMMITS` say."""

    def __init__(self) -> None:
        self.stored: list[Stored] = []
        self.entries: list[dict[str, Any]] = []
        self._ends: dict[tuple[str, int], int] = defaultdict(int)
        self._spans: dict[str, dict[str, list[Any]]] = {}
        self._previous: int | None = None
        self._entry: str | None = None
        self._close(START, 0)
        for pages in COMMITS:
            for first, last in pages:
                self._page(LOG[first:last])
            records = sum(last - first for first, last in pages)
            self._close(LOG[pages[-1][1] - 1].kirjausavain, records)

    def _page(self, changes: Sequence[Change]) -> None:
        cursor, position = changes[-1].kirjausavain, 0
        for index, one in enumerate(changes):
            record, record_id = one.record, str(uuid.uuid5(uuid.NAMESPACE_OID, f"{cursor}/{index}"))
            if not isinstance(record, dict) or not record["henkilotunnus"]:
                self._letter(None, record, cursor, position)
                position += 1
                continue
            groups, code = record["tietoryhmat"], record["henkilotunnus"]
            for key in (code, *([ANNA_NEW] if CORRECTION in groups else [])):
                for place, group in enumerate(groups, start=position):
                    if not isinstance(group, dict):
                        self._letter(key, group, cursor, place)
                    else:
                        self._event(key, record, record_id, group, cursor, place)
            if CORRECTION in groups:
                for key in (code, ANNA_NEW):
                    self._identity(key, [code, ANNA_NEW], cursor, position)
            position += len(groups)

    def _identity(self, key: str, codes: list[str], cursor: int, position: int) -> None:
        told = {"feed": "vtj", "bucket": "0", "cursor": cursor, "position": position, "fetchedAt": 0}
        event_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{cursor}/{position}/identity/{key}"))
        self._store("identity", key, told | {"active": codes[-1], "codes": codes}, event_id)

    def _event(
        self, key: str, record: dict[str, Any], record_id: str, group: dict[str, Any], cursor: int, position: int
    ) -> None:
        event_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{cursor}/{position}/{key}"))
        unmapped = {f"../{name}": json.dumps(value) for name, value in record.items() if name == "uusi"}
        own = {name: value for name, value in group.items() if name not in COMMON}
        name, topic = group["tietoryhma"], f"change.{group['tietoryhma'].lower().replace('_', '-')}"
        if name not in SCHEMAS.groups:
            unmapped |= {member: json.dumps(value) for member, value in own.items()}
            own, topic = {}, "change.unmapped"
        withheld = group.get("turvakiellonAlaisetKentat")
        event = {
            "feed": "vtj",
            "bucket": "0",
            "cursor": cursor,
            "fetchedAt": 0,
            "kind": "CHANGE",
            "recordId": record_id,
            "recordSize": len(record["tietoryhmat"]),
            "personId": record["henkilotunnus"],
            "changedAt": 1795149484394,
            "eventId": event_id,
            "position": position,
            "group": name,
            "changeType": group["muutosattribuutti"],
            "data": None if withheld and not own else dated(own),
            "inForce": group.get("voimassaolevatTiedot"),
            "withheldFields": withheld,
            "unmapped": unmapped,
        }
        self._store(topic, key, event, event_id)

    def _letter(self, key: str | None, raw: Any, cursor: int, position: int) -> None:
        letter_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{cursor}/{position}/letter"))
        letter = {
            "feed": "vtj",
            "bucket": "0",
            "cursor": cursor,
            "previousCursor": 0,
            "position": position,
            "fetchedAt": 0,
            "reason": "test",
            "detail": "",
            "raw": json.dumps(raw),
            "rawSize": 0,
            "rawDigest": "",
            "cut": False,
        }
        self._store("dead-letter", key, letter, letter_id)

    def _store(self, topic: str, key: str | None, decoded: dict[str, Any], event_id: str) -> None:
        partition = 0 if topic == "dead-letter" else len(key or "") + ord((key or " ")[1]) % 2
        offset = self._next(topic, partition)
        headers = [("ce_id", event_id.encode()), ("ce_specversion", b"1.0")]
        code = None if key is None else key.encode()
        self.stored.append(Stored(topic, partition, offset, code, encode(topic, decoded), headers))
        span = self._spans.setdefault(f"{PREFIX}.{topic}", {}).setdefault(str(partition), [offset, offset, 0, ""])
        span[1:] = [offset, span[2] + 1, span[3] + event_id]

    def _close(self, cursor: int, records: int) -> None:
        """Ledger entry, cursor, and the commit's markers, which take an offset of each partition."""
        counts = [span[2] for spans in self._spans.values() for span in spans.values()]
        letters = [span[2] for span in self._spans.get(f"{PREFIX}.dead-letter", {}).values()]
        both = {"version": 1, "feed": "vtj", "bucket": "0", "cursor": cursor, "previousCursor": self._previous}
        entry = both | {
            "records": records,
            "events": sum(counts),
            "deadLetters": sum(letters),
            "offsets": {
                topic: {at: [*span[:3], sha256(span[3].encode())] for at, span in spans.items()}
                for topic, spans in self._spans.items()
            },
            "previousEntry": self._entry,
        }
        self._entry = sha256(json.dumps(entry).encode())
        for topic, value in (("ledger", entry), ("cursor", both | {"entry": self._entry})):
            self.stored.append(Stored(topic, 3, self._next(topic, 3), KEY, json.dumps(value).encode()))
        for slot in self._ends:
            self._ends[slot] += 1
        self._previous, self._spans = cursor, {}

    def _next(self, topic: str, partition: int) -> int:
        self._ends[topic, partition] += 1
        return self._ends[topic, partition] - 1


def dated(own: dict[str, Any]) -> dict[str, Any]:
    """A group's own fields as fastavro takes them."""
    return {
        name: value | {"arvo": date.fromisoformat(value["arvo"])} if isinstance(value, dict) else value
        for name, value in own.items()
    }


def encode(topic: str, decoded: dict[str, Any]) -> bytes:
    body = io.BytesIO()
    schemaless_writer(body, SCHEMAS.schema(topic), decoded, strict_allow_default=True)
    return SCHEMAS.encode_prefix(topic) + body.getvalue()


def sha256(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()


def altered(one: Stored, **fields: Any) -> Stored:
    """An event or a letter with other fields in its value."""
    assert one.value is not None
    return replace(one, value=encode(one.topic, SCHEMAS.decode(one.topic, one.value) | fields))


def retold(one: Stored, **fields: Any) -> Stored:
    """A cursor record or a ledger entry with other members."""
    return replace(one, value=json.dumps(json.loads(one.value or b"") | fields).encode())
