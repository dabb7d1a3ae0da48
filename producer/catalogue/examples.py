"""Real events for the pages: the records of schemas/examples, through the converter, read back by fastavro."""

from pathlib import Path
from typing import Any, Final

import orjson

from producer.events.convert import Converter
from producer.events.decode import Decoder
from producer.events.examples import record
from producer.events.files import stop
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
        changed = self._record(suffix)
        changed[GROUPS] = [{TIETORYHMA: changed[GROUPS][0][TIETORYHMA], CHANGE_TYPE: "MUUTETTU", WITHHELD: names}]
        return self._event(changed)

    def unmapped(self, suffix: str) -> Line:
        """A group without a schema, made of another's example."""
        changed = self._record(suffix)
        changed[GROUPS][0][TIETORYHMA] = "UUSI_TIETORYHMA"
        return self._event(changed)

    def dead_letter(self, suffix: str) -> Line:
        """A record that no event can be made of: it names no person."""
        changed = self._record(suffix)
        del changed[PERSON]
        return self._event(changed)

    def _record(self, suffix: str) -> dict[str, Any]:
        read = record(self._folder / f"{suffix}.json", stop)
        assert read is not None, "stop raises"
        return read

    def _event(self, one: dict[str, Any]) -> Line:
        page = Page("CHANGE", "0", CURSOR - 1, CURSOR, True, FETCHED_AT, [one])
        line = self._decoder.line(self._converter.convert(page).events[0])
        # Dates, times and ids as text.
        shown: Line = orjson.loads(orjson.dumps(line, option=orjson.OPT_UTC_Z))
        return shown
