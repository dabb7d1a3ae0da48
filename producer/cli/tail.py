"""`vtj-producer tail`: decoded events as they are committed."""

import argparse
import asyncio
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiokafka.structs import ConsumerRecord

    from producer.config import Settings
    from producer.events.decode import Decoder
    from producer.events.groups import Catalogue


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "tail",
        help="show decoded events",
        description="Shows committed events as JSON lines, or as a table on a terminal.",
    )
    parser.add_argument("--group", metavar="G", help="only this data group, e.g. KOTIKUNTA")
    parser.add_argument(
        "--person-file",
        metavar="FILE",
        help="only the person whose identity code FILE holds (- reads it from standard input)",
    )
    parser.add_argument("--from-beginning", action="store_true", help="begin with the oldest event that is kept")
    parser.add_argument("--once", action="store_true", help="end at what is there now, instead of waiting for more")
    parser.add_argument("--table", action="store_true", help="a table instead of JSON lines (default on a terminal)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from producer.config import load

    person = _person(args.person_file) if args.person_file else None
    asyncio.run(_tail(load(args.config).settings, args, person))
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
    from producer.kafka import topics
    from producer.kafka.connection import administration
    from producer.kafka.reader import committed

    catalogue = Catalogue.load()
    # All topics are those of the permit: others may not exist. What is in them may be older than the permit.
    shown = catalogue.within(settings.permit.groups) if args.group is None else catalogue
    names = _topics(shown, settings.topics.prefix, args.group)
    async with administration(settings.kafka) as admin:
        await topics.limits(admin, names)  # are they there at all?
    decoder = Decoder(catalogue)
    show = _row if args.table or sys.stdout.isatty() else _json
    async with contextlib.AsyncExitStack() as stack:
        registry = None
        if settings.registry.url:
            from producer.registry.client import Registry

            registry = await stack.enter_async_context(Registry(settings.registry))
        async for record in committed(settings.kafka, names, from_beginning=args.from_beginning, once=args.once):
            if person is None or record.key == person:
                number = decoder.unknown(record.value)
                if registry and number is not None:  # whatever wrote it: this version, an older one, a stranger
                    decoder.learn(number, await registry.schema(number))
                print(show(record, _decoded(decoder, record.value)), flush=True)


def _decoded(decoder: "Decoder", value: bytes) -> dict[str, Any]:
    """What cannot be read is shown as that: those behind it can be."""
    try:
        return decoder.decode(value)
    except LookupError as reason:
        return {"undecoded": str(reason)}


def _topics(catalogue: "Catalogue", prefix: str, group: str | None) -> list[str]:
    from producer.errors import SettingsError
    from producer.events.groups import change_topic

    if group is None:
        return [*catalogue.topics(prefix), f"{prefix}.dead-letter"]
    known = catalogue.groups.get(group.upper().replace("-", "_"))
    if known is None:
        raise SettingsError(
            f"No data group with a schema is called {group}.", hint="`vtj-producer topics plan` knows their topics."
        )
    return [change_topic(prefix, known)]


def _json(record: "ConsumerRecord[bytes | None, bytes]", value: dict[str, Any]) -> str:
    import orjson

    line = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "key": record.key and record.key.decode(),
        "headers": {name: text.decode() for name, text in record.headers},
        "value": value,
    }
    return orjson.dumps(line, option=orjson.OPT_UTC_Z).decode()


def _row(record: "ConsumerRecord[bytes | None, bytes]", value: dict[str, Any]) -> str:
    """One line for the eye: where it came from, whose, what, and the content in short."""
    what = value.get("group") or value.get("reason", "")
    content = value.get("data") if "group" in value else value.get("detail", value.get("undecoded"))
    if isinstance(content, dict):
        content = ", ".join(f"{name}={_short(one)}" for name, one in content.items() if one is not None)
    key = record.key.decode() if record.key else "-"
    where = f"{value.get('cursor', '-'):>10} {value.get('position', '-'):>5}"
    return f"{where}  {key:<11}  {what:<40} {value.get('changeType') or '':<11} {content or ''}"


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "/".join(_short(one) for one in value.values() if one is not None)
    return str(value)
