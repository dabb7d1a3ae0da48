"""`fetch`: one page of upstream, as it came, into a file."""

import argparse
import asyncio
from pathlib import Path

from producer.cli.common import begun, for_feed
from producer.cli.cursor import as_cursor


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "fetch",
        help="write one page of upstream to a file, as it came",
        description="Asks upstream for the page after a cursor and writes the answer to a new file that only its owner "
        "can read. Nothing at Kafka changes. The file holds persons: delete it after use.",
    )
    parser.add_argument("--cursor", required=True, metavar="CURSOR", help="a kirjausavain, as `cursor show` tells")
    parser.add_argument("--bucket", help="whose persons to ask for, where a watchlist says who is followed")
    parser.add_argument("--output", required=True, type=Path, metavar="FILE", help="is made, and must not be there")
    for_feed(parser, run)


def run(args: argparse.Namespace) -> int:
    from producer.app.fetch import fetch

    settings, cursor = begun(args, "upstream.url"), as_cursor(args.cursor)
    size, fault = asyncio.run(fetch(settings, cursor, args.bucket, args.output))
    print(f"{size} bytes in {args.output}, with persons in them: delete it after use")
    print(fault or "It follows the rules of the interface: `vtj-producer convert` shows what it becomes.")
    return 0
