"""Real events for the pages: the records of schemas/examples, through the converter, read back by fastavro."""

import json
from pathlib import Path
from typing import Any, Final

import orjson

from producer.errors import SettingsError
from producer.events.convert import Converter
from producer.events.decode import Decoder
from producer.events.fit import CHANGE_TYPE, TIETORYHMA, WITHHELD
from producer.events.framing import SingleObject
from producer.events.groups import Catalogue
from producer.events.page import GROUPS, PERSON
from producer.model import Page

CURSOR: Final = 5446623423
FETCHED_AT: Final = 1_793_606_400_000  # 2026-11-02T08:00:00Z, after the examples' muutospv

Line = dict[str, Any]  # one Kafka record: topic, key, headers, value


class Examples:
    def __init__(self, catalogue: Catalogue, folder: Path, prefix: str, feed: str) -> None:
        framing = SingleObject()
        self._converter = Converter(catalogue, framing, prefix=prefix, feed=feed)
        self._decoder = Decoder(catalogue)
        self._folder = folder

    def change(self, suffix: str) -> Line:
        """The event of a group's example."""
        return self._event(self._record(suffix))

    def withheld(self, suffix: str, names: list[str]) -> Line:
        """The same under turvakielto: upstream then sends the names of the withheld fields, and nothing else."""
        record = self._record(suffix)
        record[GROUPS] = [
            {TIETORYHMA: record[GROUPS][0][TIETORYHMA], CHANGE_TYPE: "MUUTETTU", WITHHELD: names},
        ]
        return self._event(record)

    def unmapped(self, suffix: str) -> Line:
        """A group without a schema, made of another's example."""
        record = self._record(suffix)
        record[GROUPS][0][TIETORYHMA] = "UUSI_TIETORYHMA"
        return self._event(record)

    def dead_letter(self, suffix: str) -> Line:
        """A record that no event can be made of: it names no person."""
        record = self._record(suffix)
        del record[PERSON]
        return self._event(record)

    def _record(self, suffix: str) -> dict[str, Any]:
        path = self._folder / f"{suffix}.json"
        try:
            record: dict[str, Any] = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"example {path}: {error}", hint="write a change record; schemas/README.md says what it must hold"
            ) from None
        return record

    def _event(self, record: dict[str, Any]) -> Line:
        page = Page("CHANGE", "0", CURSOR - 1, CURSOR, True, FETCHED_AT, [record])
        event = self._converter.convert(page).events[0]
        line = {
            "topic": event.topic,
            "key": event.key and event.key.decode(),
            "headers": {name: value.decode() for name, value in event.headers},
            "value": self._decoder.decode(event.value),
        }
        # Dates, times and ids as text.
        shown: Line = orjson.loads(orjson.dumps(line, option=orjson.OPT_UTC_Z))
        return shown
