"""A page that fails again and again although nobody is away: a few tries, and then a stop that says where."""

import logging
import traceback
from pathlib import Path
from typing import Final

from producer.errors import Doubt, MalformedPage, PoisonPage, ProducerError, Rejected, Stop
from producer.operate.logs import trace

log = logging.getLogger("vtj.line")

TRIES: Final = 3


class Poison:
    """Says of what ended the line of a bucket where that was, and counts what is the page's own fault."""

    def __init__(self, feed: str) -> None:
        self._feed = feed
        self._failed: dict[str, tuple[int, int]] = {}  # bucket → cursor, and how often the page after it has failed

    def of(self, error: Exception, bucket: str, cursor: int | None) -> Exception:
        """What to raise in its place. cursor: where the bucket stands; None: nowhere yet.

        A fault of our own, and records that Kafka rejects, are doubts at first: the page is fetched and encoded anew.
        """
        if cursor is None:
            return error
        where = f"feed {self._feed}, bucket {bucket}, after cursor {cursor}"
        look = f"`vtj-producer fetch --cursor {cursor} --bucket {bucket} --output FILE` writes the page to your file."
        skip = f"`vtj-producer run --skip-poison {cursor}` goes on behind it, and puts into the dead letters"
        if isinstance(error, MalformedPage):
            skip += " what breaks the rules, if the next cursor can be read."
            return MalformedPage(f"{error} ({where})", hint=f"{error.hint} {look} {skip}")
        if isinstance(error, Stop):
            return type(error)(f"{error} ({where})", hint=error.hint)
        if isinstance(error, ProducerError) and not isinstance(error, Rejected):
            return error
        failed_at, tries = self._failed.get(bucket, (cursor, 0))
        tries = tries + 1 if failed_at == cursor else 1
        self._failed[bucket] = cursor, tries
        if isinstance(error, Rejected):
            what, hint = str(error), f"What do the limits of topics and brokers say? {look}"
        else:
            # Never its text, which may quote a person.
            what = f"{type(error).__name__} at {_place(error)}"
            hint = (
                f"That is a fault of this program: report it, without the page. {look} {skip} what cannot be encoded."
            )
            log.error("a fault of our own (%s):\n%s", where, trace(error))
        if tries < TRIES:
            return Doubt(f"{what} ({where}, try {tries} of {TRIES})")
        return PoisonPage(f"The same page has failed {tries} times: {what} ({where}).", hint=hint)


def _place(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"
