"""Who is followed: add, remove, sync, list. Codes come from files or standard input, and are never shown."""

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from producer.cli.console import console
from producer.cli.feed import feed_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from producer.config import Settings
    from producer.kafka.watchlist import Entry
    from producer.persons.change import Now


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "persons",
        help="say who is followed",
        description="Changes the watchlist, the topic that says who is followed. A running instance follows at once: "
        "whoever is added is asked for from the bucket's cursor on, and read from perustiedot after that.",
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, text in (
        ("add", "follow the persons of a file"),
        ("remove", "follow them no more, and take back their state"),
        ("sync", "make the watchlist that of a file"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("file", metavar="FILE", help="identity codes, one a line; -: standard input")
        if name != "remove":
            action.add_argument("--reason", help="kept beside each new code: why it is followed")
        if name == "sync":
            action.add_argument("--yes", action="store_true", help="even if more than a tenth of the list goes")
        action.set_defaults(run=run, action=name)
    action = actions.add_parser("rebalance", help="split buckets that are too large, put small ones together")
    action.set_defaults(run=run, action="rebalance")
    shown = actions.add_parser("list", help="how many are in each bucket, and where it stands")
    shown.add_argument("--json", action="store_true", help="one JSON line per bucket")
    shown.add_argument("--codes", type=Path, metavar="FILE", help="write the codes to this file, one a line")
    shown.set_defaults(run=run, action="list")
    for action in actions.choices.values():
        feed_option(action)


def run(args: argparse.Namespace) -> int:
    from producer.config import load
    from producer.operate import logs

    loaded = load(args.config, feed=args.feed)
    loaded.require("kafka.bootstrap_servers")
    logs.set_up("warning", loaded.settings.log.format)
    if args.action == "rebalance":
        return asyncio.run(_rebalance(loaded.settings))
    if args.action == "list":
        return asyncio.run(_list(loaded.settings, args))
    return asyncio.run(_change(loaded.settings, args))


async def _change(settings: "Settings", args: argparse.Namespace) -> int:
    from producer.app import persons
    from producer.app.parts import parts
    from producer.upstream.persons import read_persons

    codes = read_persons(Path("/dev/stdin" if args.file == "-" else args.file))
    made = await parts(settings)
    if args.action == "add":
        now, changes = await persons.add(made, codes, args.reason)
    elif args.action == "remove":
        now, changes = await persons.remove(made, codes)
    else:
        now, changes = await persons.sync(made, codes, args.reason, shrink=args.yes)
    print(_told(now, changes))
    return 0


async def _rebalance(settings: "Settings") -> int:
    from producer.app.parts import parts
    from producer.app.persons import rebalance

    split, merged = await rebalance(await parts(settings))
    print(f"split off: {split}; put together: {merged} (those whose cursors are equal now)")
    return 0


def _told(now: "Now", changes: "Mapping[str, Entry | None]") -> str:
    joined = [entry for entry in changes.values() if entry is not None]
    buckets = {entry.bucket for entry in joined} - {entry.bucket for entry in now.entries.values()}
    left = len(changes) - len(joined)
    size = len(now.entries) + len(joined) - left
    new = f", {len(buckets)} new bucket(s)" if buckets else ""
    return f"added: {len(joined)}; removed: {left}; followed now: {size}{new}"


async def _list(settings: "Settings", args: argparse.Namespace) -> int:
    import json
    from collections import Counter

    from rich.table import Table

    from producer.app.parts import parts
    from producer.app.persons import look

    made = await parts(settings)
    now = await look(made)
    counts = Counter(entry.bucket for entry in now.entries.values())
    rows = [
        {
            "bucket": bucket,
            "persons": counts[bucket],
            "shard": made.names(bucket).shard,
            "cursor": now.cursors.get(bucket),
        }
        for bucket in sorted(counts, key=lambda name: (len(name), name))
    ]
    if args.codes:
        args.codes.touch(mode=0o600)
        args.codes.write_text("".join(f"{code}\n" for code in now.entries), encoding="utf-8")
    if args.json:
        for row in rows:
            print(json.dumps(row))
        return 0
    table = Table()
    for name in ("bucket", "persons", "shard", "cursor"):
        table.add_column(name, justify="left" if name == "bucket" else "right", overflow="fold")
    for row in rows:
        table.add_row(*("not begun" if value is None else str(value) for value in row.values()))
    screen = console()
    screen.print(table if rows else "Nobody is followed.")
    screen.print(f"followed: {len(now.entries)}")
    return 0
