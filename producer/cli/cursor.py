"""`vtj-producer cursor show`: where each bucket stands, since when, by whom."""

import argparse
import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from producer.config import Settings


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("cursor", help="show where each bucket stands upstream")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    show = actions.add_parser("show", help="the position of each bucket, since when, by whom")
    show.add_argument("--json", action="store_true", help="one JSON line per bucket")
    show.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from producer.config import load

    return asyncio.run(_show(load(args.config).settings, as_json=args.json))


async def _show(settings: "Settings", *, as_json: bool) -> int:
    from rich.console import Console
    from rich.table import Table

    from producer.kafka import topics
    from producer.kafka.connection import administration, reached
    from producer.kafka.cursor import positions
    from producer.kafka.names import SHARDS

    topic = f"{settings.topics.prefix}.cursor"
    async with administration(settings.kafka) as admin:
        await topics.limits(admin, [topic])  # is it there at all?
    async with reached(settings.kafka, "reading the cursor topic"):
        found = await positions(settings.kafka, "vtj-producer", topic, list(range(SHARDS)))
    if as_json:
        for position in found.values():
            print(position.encode().decode())
        return 0
    table = Table()
    for name in ("feed", "bucket", "cursor", "before", "up to date", "committed", "by"):
        table.add_column(name, overflow="fold")  # nothing is cut off
    for position in sorted(found.values(), key=lambda position: (position.feed, position.bucket)):
        table.add_row(
            position.feed,
            position.bucket,
            str(position.cursor),
            "begin" if position.previousCursor is None else str(position.previousCursor),
            "yes" if position.upToDate else "no",
            datetime.fromtimestamp(position.committedAt / 1000, UTC).isoformat(timespec="seconds"),
            position.instance,
        )
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    console.print(table if found else f"No bucket has a position in {topic} yet.")
    return 0
