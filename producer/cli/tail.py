"""`vtj-producer tail`: decoded events as they are committed."""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from producer.cli.common import for_feed, labels_option

if TYPE_CHECKING:
    from aiokafka.structs import ConsumerRecord

    from producer.config import Settings
    from producer.events.decode import Decoder
    from producer.events.groups import Catalogue

_CHANGE_WIDTH: Final = 11
_LABELLED_WIDTH: Final = 44  # MUUTETTU Muutettu: ryhmä muutoksen jälkeen


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "tail",
        help="show decoded events",
        description="Shows committed events as JSON lines, or as a table on a terminal.",
    )
    parser.add_argument(
        "--group",
        metavar="G",
        help="only this data group, e.g. KOTIKUNTA; also unmapped, dead-letter, and each with .restricted behind it, "
        "which is the only way to see what is restricted",
    )
    parser.add_argument(
        "--person-file",
        metavar="FILE",
        help="only the person whose identity code FILE holds (- reads it from standard input)",
    )
    parser.add_argument("--from-beginning", action="store_true", help="begin with the oldest event that is kept")
    parser.add_argument("--once", action="store_true", help="end at what is there now, instead of waiting for more")
    parser.add_argument("--table", action="store_true", help="a table instead of JSON lines (default on a terminal)")
    labels_option(parser)
    for_feed(parser, run)


def run(args: argparse.Namespace) -> int:
    from producer.config import load

    person = _person(args.person_file) if args.person_file else None
    asyncio.run(_tail(load(args.config, feed=args.feed).settings, args, person))
    return 0


def _person(name: str) -> bytes:
    """The code is never an argument: process lists and shell histories would keep it."""
    from producer.errors import SettingsError

    try:
        text = sys.stdin.readline() if name == "-" else Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(
            f"{name} cannot be read as text.", hint="Name a file that holds one identity code."
        ) from None
    if not text.strip() or len(text.split()) != 1:
        raise SettingsError("There is not exactly one identity code.", hint="Give one code, on one line.")
    return text.strip().encode()


async def _tail(settings: "Settings", args: argparse.Namespace, person: bytes | None) -> None:
    from producer.events.decode import Decoder
    from producer.events.groups import Catalogue
    from producer.events.labels import Labels
    from producer.events.pseudonyms import pseudonyms
    from producer.kafka import topics
    from producer.kafka.clients import administration
    from producer.kafka.reader import committed

    if person and (hidden := pseudonyms(settings.privacy)):
        person = hidden.of(person.decode()).encode()
    catalogue = Catalogue.load()
    # All topics are those of the permit: others may not exist. What is in them may be older than the permit.
    shown = catalogue.within(settings.permit.groups) if args.group is None else catalogue
    names = _topics(settings, shown, args.group)
    async with administration(settings.kafka) as admin:
        await topics.limits(admin, names)  # are they there at all?
    decoder = Decoder(catalogue)
    meanings = Labels.load(catalogue, args.labels) if args.labels else None
    show = _row if args.table or sys.stdout.isatty() else _json
    async with contextlib.AsyncExitStack() as stack:
        registry = None
        if settings.registry.url:
            from producer.registry.client import Registry

            registry = await stack.enter_async_context(Registry(settings.registry))
        # Closed here, whoever goes away: else the loop and its end would both do it.
        told = await stack.enter_async_context(
            contextlib.aclosing(committed(settings.kafka, names, from_beginning=args.from_beginning, once=args.once))
        )
        async for record in told:
            if person is None or record.key == person:
                number = decoder.unknown(record.value)
                if registry and number is not None:  # whatever wrote it: this version, an older one, a stranger
                    decoder.learn(number, await registry.schema(number))
                value = _decoded(decoder, record.value)
                print(show(record, value, meanings.of(value) if meanings else None), flush=True)


def _decoded(decoder: "Decoder", value: bytes) -> dict[str, Any]:
    """What cannot be read is shown as that: those behind it can be."""
    try:
        return decoder.decode(value)
    except LookupError as reason:
        return {"undecoded": str(reason)}


def _topics(settings: "Settings", catalogue: "Catalogue", group: str | None) -> list[str]:
    from producer.errors import SettingsError
    from producer.events.deadletter import dead_letter_topic
    from producer.events.protection import restricted_topics

    prefix = settings.data_prefix
    all_topics = [*catalogue.topics(prefix), dead_letter_topic(prefix)]
    if group is None:
        return all_topics
    all_topics += restricted_topics(settings, catalogue, all_topics)
    suffix = group.lower().replace("_", "-")
    found = [topic for topic in all_topics if topic in (f"{prefix}.change.{suffix}", f"{prefix}.{suffix}")]
    if not found:
        raise SettingsError(
            f"No data group with a schema is called {group}.", hint="`vtj-producer schemas list` knows all."
        )
    return found


def _json(
    record: "ConsumerRecord[bytes | None, bytes]", value: dict[str, Any], labels: Mapping[str, str] | None
) -> str:
    import orjson

    line = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "key": record.key and record.key.decode(),
        "headers": {name: text.decode() for name, text in record.headers},
        "value": value,
    }
    if labels is not None:
        line["labels"] = labels
    return orjson.dumps(line, option=orjson.OPT_UTC_Z).decode()


def _row(record: "ConsumerRecord[bytes | None, bytes]", value: dict[str, Any], labels: Mapping[str, str] | None) -> str:
    """One line for the eye: where it came from, whose, what, and the content in short; labels follow their codes."""
    known = labels or {}
    what = value.get("group") or value.get("reason", "")
    content = value.get("data") if "group" in value else value.get("detail", value.get("undecoded"))
    if isinstance(content, dict):
        shown = {name: _short(one, known, f"data.{name}") for name, one in content.items() if one is not None}
        content = ", ".join(f"{name}={text}" for name, text in shown.items())
    key = record.key.decode() if record.key else "-"
    where = f"{value.get('cursor', '-'):>10} {value.get('position', '-'):>5}"
    change = _short(value.get("changeType") or "", known, "changeType")
    width = _CHANGE_WIDTH if labels is None else _LABELLED_WIDTH
    return f"{where}  {key:<11}  {what:<40} {change:<{width}} {content or ''}"


def _short(value: Any, labels: Mapping[str, str], path: str) -> str:
    if isinstance(value, dict):
        return "/".join(_short(one, labels, f"{path}.{name}") for name, one in value.items() if one is not None)
    if isinstance(value, list):
        return f"[{', '.join(_short(one, labels, f'{path}[{at}]') for at, one in enumerate(value))}]"
    return f"{value} {labels[path]}" if path in labels else str(value)
