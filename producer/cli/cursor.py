"""Where each bucket stands, since when, by whom; and moving one."""

import argparse
import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from producer.cli.common import begun, console, for_feed, table, with_parts

if TYPE_CHECKING:
    from producer.config import Settings


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("cursor", help="show where each bucket stands upstream, or move it")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    show = actions.add_parser("show", help="the position of each bucket, since when, by whom")
    show.add_argument("--json", action="store_true", help="one JSON line per bucket")
    for_feed(show, run)
    move = actions.add_parser(
        "set",
        help="move the position of a bucket",
        description="Moves the position of a bucket, while no instance runs. Back: events come again. Ahead: changes "
        "are left out. The ledger says that it was done.",
    )
    move.add_argument("cursor", metavar="CURSOR", help="a kirjausavain: what comes after it is told next")
    move.add_argument("--bucket", help="which one, where the feed has several (`cursor show`)")
    move.add_argument("--yes", action="store_true", help="do it; without, only what it would mean is said")
    for_feed(move, run_set)


def run(args: argparse.Namespace) -> int:
    from producer.config import load

    return asyncio.run(_show(load(args.config, feed=args.feed).settings, as_json=args.json))


def run_set(args: argparse.Namespace) -> int:
    from producer.app.cursor import set_cursor

    settings, cursor = begun(args, "kafka.bootstrap_servers"), as_cursor(args.cursor)
    bucket, stood = with_parts(settings, lambda made: set_cursor(made, args.bucket, cursor, yes=args.yes))
    print(f"bucket {bucket}: {f'from {stood} to {cursor}' if stood != cursor else f'stands at {cursor}'}")
    return 0


def as_cursor(text: str) -> int:
    """Raises SettingsError."""
    from producer.errors import SettingsError
    from producer.model import CURSOR_MAX

    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= CURSOR_MAX):
        raise SettingsError(
            "That is no cursor.", hint="A cursor (kirjausavain) is a whole number from 0 to 2^63-1, such as 5446623423."
        )
    return int(text)


async def _show(settings: "Settings", *, as_json: bool) -> int:
    from producer.kafka import topics
    from producer.kafka.clients import administration
    from producer.kafka.cursor import positions
    from producer.kafka.deadlines import settled
    from producer.kafka.names import BESIDE, SHARDS
    from producer.operate.age import spoken

    topic = f"{settings.topics.prefix}.cursor"
    async with administration(settings.kafka) as admin:
        await topics.limits(admin, [topic])  # is it there at all?
    async with settled(settings.kafka, "reading the cursor topic"):
        found = await positions(settings.kafka, "vtj-producer", topic, list(range(SHARDS)))
    if as_json:
        for position in found.values():
            print(position.encode().decode())
        return 0
    shown = table(("feed", "bucket", "cursor", "before", "up to date", "committed", "upstream answered", "by"))
    for position in sorted(found.values(), key=lambda position: (position.feed, position.bucket)):
        shown.add_row(
            position.feed,
            position.bucket,
            str(position.cursor),
            "begin" if position.previousCursor is None else str(position.previousCursor),
            "yes" if position.upToDate else "no",
            datetime.fromtimestamp(position.committedAt / 1000, UTC).isoformat(timespec="seconds"),
            "" if position.bucket in BESIDE else f"{spoken(max(0.0, time.time() - position.fetchedAt / 1000))} ago",
            position.instance,
        )
    console().print(shown if found else f"No bucket has a position in {topic} yet.")
    return 0
