"""`vtj-producer cursor set CURSOR`: moves the position of a bucket, and has the ledger say so."""

from producer.app.parts import Parts, wait_until_free
from producer.errors import Busy, SettingsError, StepDown
from producer.kafka.cursor import Position, of_feed, positions
from producer.kafka.deadlines import settled
from producer.kafka.names import BESIDE, SHARDS
from producer.kafka.recovery import last_entry
from producer.model import BUCKET
from producer.observe.audit import audit


async def own(made: Parts) -> dict[str, Position]:
    """The buckets of the feed's persons, and where they stand. Raises KafkaGone, CursorUnreadable."""
    names = made.names("")
    async with settled(made.settings.kafka, "reading the cursors"):
        found = await positions(made.settings.kafka, made.instance, names.cursor_topic, list(range(SHARDS)))
    return {one.bucket: one for key, one in found.items() if of_feed(names.feed, key) and one.bucket not in BESIDE}


async def set_cursor(made: Parts, bucket: str | None, cursor: int, *, yes: bool) -> tuple[str, int]:
    """Returns the bucket, and where it stood; nothing is done when that is the cursor.

    bucket: None: the only one. yes: whether that is meant. A bucket whose cursor record is gone stands where its last
    ledger entry says. Raises SettingsError (no such bucket, or not meant), Busy (an instance is at work, which would
    not notice before its next commit), and what opening and committing raise.
    """
    kafka, there = made.settings.kafka, await own(made)
    if bucket is None and len(there) > 1:
        raise SettingsError(
            f"The feed has {len(there)} buckets, each with a cursor of its own.",
            hint=f"Name one with --bucket: {_listed(there)}.",
        )
    bucket = next(iter(there), BUCKET) if bucket is None else bucket
    names, lost = made.names(bucket), bucket not in there
    if not lost:
        stood = there[bucket].cursor
    else:
        async with settled(kafka, "reading the ledger"):
            entry = None if bucket in BESIDE else await last_entry(kafka, made.instance, names)
        if entry is None:
            raise SettingsError(
                f"Feed {names.feed} has no bucket {bucket} with a cursor.",
                hint=f"There is {_listed(there)}." if there else "It has not begun: VTJ_UPSTREAM__START says where.",
            )
        stood = entry[0]
    if stood == cursor and not lost:
        return bucket, stood
    if not yes:
        raise SettingsError(
            f"Bucket {bucket} of feed {names.feed} would go {_meaning(stood, cursor)}.",
            hint=f"Nothing was moved. If that is meant: `vtj-producer cursor set {cursor} --bucket {bucket} --yes`.",
        )
    await wait_until_free(made)
    try:
        async with settled(kafka, "moving the cursor"), made.publisher(bucket, ()).open() as shard:
            await shard.recall()
            stood = shard.cursor if shard.cursor is not None else stood
            await shard.begin(cursor)
            audit(
                "cursor of bucket %(bucket)s set from %(stood)d to %(cursor)d",
                {"bucket": bucket, "stood": stood, "cursor": cursor},
            )
    except StepDown:
        raise Busy("An instance took the shard meanwhile.", hint="Nothing was moved. Stop it, and try again.") from None
    return bucket, stood


def _listed(there: dict[str, Position]) -> str:
    return ", ".join(sorted(there, key=lambda name: (len(name), name)))


def _meaning(stood: int, cursor: int) -> str:
    if cursor == stood:
        return f"on at {cursor}, where the ledger has it, since its own record is gone"
    if cursor < stood:
        return f"back from {stood} to {cursor}: what was told between them comes again, with the same ids"
    return f"ahead from {stood} to {cursor}: the changes between them are left out, and will be missing"
