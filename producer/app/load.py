"""`vtj-producer load`: the initial load."""

from collections.abc import Callable

from aiokafka import TopicPartition

from producer.app.cursor import own
from producer.app.parts import Parts, wait_until_free
from producer.app.persons import look
from producer.errors import SettingsError
from producer.events.identities import identity_topic
from producer.kafka.names import STATE
from producer.kafka.reader import ends
from producer.observe.audit import audit
from producer.operate.memory import steady_memory
from producer.state import load as state_load
from producer.state.load import Introducing, Progress, Wanted
from producer.upstream.client import Upstream


async def load(
    made: Parts, wanted: Wanted, report: Callable[[Progress, int], None], *, into_changes: bool, again: bool
) -> Progress:
    """report: how far, and requests so far. again: also when the feed has begun.

    Raises SettingsError, Busy, and what the line does.
    """
    settings, names = made.settings, made.names(STATE)
    kafka = settings.kafka
    await wait_until_free(made)
    topic = identity_topic(settings.data_prefix)
    publisher, converters = made.states(lambda: True, into_changes=into_changes, beside=[topic])

    async def offsets() -> dict[str, list[int]]:
        """Whom the load has introduced need not be read again."""
        here = [TopicPartition(topic, at) for at in range(settings.topics.partitions)]
        found = await ends(kafka, made.instance, here)
        return {topic: [found[one] for one in here]}

    # The shard first: opening it ends the transaction of a load that was killed, which all that reads would wait for.
    async with Upstream(settings.upstream) as client, publisher.open() as shard:
        begun = bool(await own(made))
        if begun and not again:
            raise SettingsError(
                f"Feed {names.feed} follows changes already.",
                hint="--again loads the state topics anew, and the feed goes on where it is; no change is lost "
                "either way.",
            )
        listing = settings.upstream.listing and wanted.codes
        introducing = await _introducing(made, wanted) if listing and not begun else None

        def told(progress: Progress) -> None:
            report(progress, client.requests)

        audit(
            "initial load of %(size)d %(what)s",
            {"size": wanted.size, "what": "person(s)" if wanted.codes else "municipalities"},
        )
        steady_memory()
        asking, most = made.snapshots(client, once=True), kafka.transaction_events
        return await state_load.load(
            shard,
            wanted,
            asking,
            converters,
            told,
            most,
            introducing,
            offsets if introducing else None,
            restricted=settings.privacy.restricted_topics,
        )


async def _introducing(made: Parts, wanted: Wanted) -> Introducing:
    """Raises SettingsError when somebody is to be loaded who is not followed."""
    now = await look(made)
    if strangers := sum(code not in now.entries for code in wanted.codes):
        raise SettingsError(
            f"{strangers} of {wanted.size} persons are not followed.",
            hint="Add them first: `vtj-producer persons add FILE`. Then load, with or without the file.",
        )
    converter = made.converter(identities=made.identities())
    buckets = {code: now.entries[code].bucket for code in wanted.codes}
    return Introducing(converter, buckets, made.hidden.of if made.hidden else str)
