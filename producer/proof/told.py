"""What upstream tells of a range of cursors when it is asked again, against what is in the topics: pure judgement."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from producer.model import EncodedEvent
from producer.proof.report import Report


class Told:
    """The ids that upstream tells now.

    steady: of those who were followed all the time, since of others it tells less or more than then, their key → the
    number of the bucket that they are in now: of what was before it began it tells nothing. None: all are.
    """

    def __init__(self, report: Report, steady: Mapping[bytes, int] | None) -> None:
        self._report, self._steady = report, steady
        self._missing: dict[bytes, str] = {}  # id → topic, until it is found
        self._known: set[bytes] = set()

    def tell(self, events: Iterable[EncodedEvent], *, due: bool) -> None:
        """due: they lie within the range; of a page that reaches beyond its end nobody knows which do."""
        for event in events:
            event_id = event.headers[0][1]
            self._known.add(event_id)
            if due and self._compares(event.key):
                self._missing[event_id] = event.topic

    def compare(
        self,
        slot: tuple[str, int],
        bucket: int,
        first: int,
        last: int,
        keys: Iterable[bytes | None],
        ids: Sequence[bytes],
    ) -> None:
        """A batch of the range, and of a bucket."""
        for event_id in ids:
            self._missing.pop(event_id, None)
        strange = sum(
            event_id not in self._known and self._compares(key, bucket) for key, event_id in zip(keys, ids, strict=True)
        )
        if strange:
            self._report.find("upstream", slot, (first, last), strange, "upstream does not tell them any more")

    def end(self) -> None:
        for topic, count in Counter(self._missing.values()).items():
            self._report.find("upstream", (topic, -1), (-1, -1), count, "upstream tells them, and they are not there")

    def _compares(self, key: bytes | None, bucket: int | None = None) -> bool:
        if self._steady is None or key is None:
            return True
        now = self._steady.get(key)
        return now is not None and bucket in (None, now)
