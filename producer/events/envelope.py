"""The envelope, ready to be filled: it is encoded in chunks, each as often as it changes.

What each chunk holds, and in what order, is the schema's word (`scope` in event.avsc).
"""

from collections.abc import Callable
from typing import Final

from producer.errors import SettingsError
from producer.events.compiler import Compiler, Encoder
from producer.events.framing import Framing
from producer.events.groups import Catalogue, Group, change_topic, restricted_topic
from producer.events.shapes import Choice, Field, Record
from producer.model import Header

# What the converter gives to each chunk; event.avsc must ask for exactly this.
CHUNKS: Final = {
    "page": ("feed", "bucket", "cursor", "fetchedAt", "kind"),
    "record": ("recordId", "recordSize", "personId", "changedAt"),
    "event": ("eventId", "position", "group", "changeType", "data", "inForce", "withheldFields", "unmapped"),
}


Topic = Callable[[str, Group], str]  # prefix, group → its topic


class Plan:
    """What there is to know of a group before its first event.

    restricted: the topic of what must not be in `topic`; None where nothing of the group must be kept out of it.
    """

    __slots__ = ("ce_type", "encode", "prefix", "record", "restricted", "topic")

    def __init__(self, group: Group, framing: Framing, topic: str, encode: Encoder) -> None:
        self.topic = topic
        self.restricted = restricted_topic(topic) if group.residence or not group.tietoryhma else None
        self.prefix = framing.prefix(group.schema).decode("latin-1")
        self.record: Record = group.record
        self.encode = encode
        family = topic.split(".")[-2]
        self.ce_type: Header = ("ce_type", f"fi.vtj.{family}.{group.suffix}".encode())


class Envelope:
    """The compiled encoders of every chunk. Raises SettingsError when event.avsc asks for what nothing gives.

    page, record: `(head, 0, *values)`; a plan's encode: `(head, others, *values)`, values as in CHUNKS.
    """

    def __init__(self, catalogue: Catalogue, framing: Framing, prefix: str, topic: Topic = change_topic) -> None:
        compiler = Compiler()
        common = catalogue.unmapped.envelope

        def plan(group: Group) -> Plan:
            encode = compiler.chunk(_fields(group.envelope, "event"))
            return Plan(group, framing, topic(prefix, group), encode)

        asked = tuple((field.scope, field.name) for field in common.fields.values())
        given = tuple((scope, name) for scope, names in CHUNKS.items() for name in names)
        if asked != given:
            odd = sorted({name for _, name in {*asked} ^ {*given}}) or "the order of scopes"
            raise SettingsError(
                f"schema event.avsc and the converter differ in {odd}",
                hint="a field of the envelope needs its scope there and its value in producer/events",
            )
        self.page = compiler.chunk(_fields(common, "page"))
        self.record = compiler.chunk(_fields(common, "record"))
        self.plans = {tietoryhma: plan(group) for tietoryhma, group in catalogue.groups.items()}
        self.unmapped = plan(catalogue.unmapped)
        self.outside = catalogue.outside
        change_type = common.fields["changeType"].shape
        assert isinstance(change_type, Choice)
        self.change_types = frozenset(change_type.symbols)


def _fields(envelope: Record, scope: str) -> list[Field]:
    return [field for field in envelope.fields.values() if field.scope == scope]
