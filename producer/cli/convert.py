"""`vtj-producer convert`: what an answer of upstream would become, without Kafka or network."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from producer.cli.common import for_feed, labels_option

if TYPE_CHECKING:
    from producer.events.decode import Decoder
    from producer.events.labels import Labels
    from producer.model import EncodedPage, Page


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "convert",
        help="show the events that an answer would become",
        description="Reads an answer of muutokset or perustiedot and prints one JSON line for each Kafka record, "
        "decoded from the very bytes that would be sent; on standard error what was unmapped or dead-lettered. Nothing "
        "is fetched here, so fetchedAt is 1970-01-01. FILE goes before --labels, or after its language.",
    )
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="the answer; - (default): standard input")
    parser.add_argument("--strict", action="store_true", help="exit 1 when anything was unmapped or dead-lettered")
    labels_option(parser)
    for_feed(parser, run)


def run(args: argparse.Namespace) -> int:
    from producer.config import load
    from producer.errors import MalformedPage
    from producer.events.convert import Converter
    from producer.events.decode import Decoder
    from producer.events.framing import SingleObject
    from producer.events.groups import Catalogue
    from producer.events.identities import Identities
    from producer.events.labels import Labels
    from producer.events.pseudonyms import pseudonyms
    from producer.upstream.answer import parse_page

    settings = load(args.config, feed=args.feed).settings
    try:
        page = parse_page(_read(args.file), bucket="0", previous=-1, fetched_at=0)
    except MalformedPage as error:  # its hint is for `run`: there is no cursor and no upstream here
        raise MalformedPage(
            str(error), hint="Give one answer of muutokset or perustiedot, just as upstream sent it."
        ) from None
    catalogue, framing = Catalogue.load(), SingleObject()
    permitted = catalogue.within(settings.permit.groups)
    prefix, feed = settings.data_prefix, settings.feed.name
    converter = Converter(
        permitted,
        framing,
        prefix=prefix,
        feed=feed,
        identities=Identities(catalogue, framing, prefix=prefix, feed=feed),
        hidden=pseudonyms(settings.privacy),
    )
    encoded = converter.convert(page)
    meanings = Labels.load(catalogue, args.labels) if args.labels else None
    sys.stdout.buffer.writelines(lines(encoded, Decoder(catalogue), meanings))
    sys.stdout.buffer.flush()
    print(summary(page, encoded), file=sys.stderr)
    return 1 if args.strict and (encoded.unmapped or encoded.dead) else 0


def lines(encoded: "EncodedPage", decoder: "Decoder", meanings: "Labels | None" = None) -> Iterator[bytes]:
    """Each Kafka record as a JSON line; times are ISO 8601. meanings: adds the member `labels`, path → label."""
    import orjson

    for event in encoded.events:
        line = decoder.line(event)
        if meanings:
            line["labels"] = meanings.of(line["value"])
        yield orjson.dumps(line, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)


def summary(page: "Page", encoded: "EncodedPage") -> str:
    """For people: counts and names, never values."""
    what = "perustiedot" if page.kind == "SNAPSHOT" else f"muutokset, cursor {page.cursor}"
    identities = sum(event.topic.endswith(".identity") for event in encoded.events)
    records, events = len(page.records), len(encoded.events) - sum(encoded.dead.values()) - identities
    lines = [f"{what}, ajanTasalla {str(page.up_to_date).lower()}: {records} records, {events} events"]
    lines += _counts("unmapped", encoded.unmapped)
    lines += _counts("dead letters", encoded.dead)
    return "\n".join(lines)


def _counts(title: str, counts: Mapping[str, int]) -> list[str]:
    if not counts:
        return []
    width = len(str(max(counts.values())))
    return [f"{title}:", *(f"  {count:{width}} × {name}" for name, count in sorted(counts.items()))]


def _read(name: str) -> bytes:
    from producer.errors import SettingsError

    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise SettingsError(
            f"{name} cannot be read: {error.strerror}.",
            hint="Name a file that holds one answer, or - for standard input.",
        ) from None
