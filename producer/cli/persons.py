"""Who is followed: add, remove, sync, list. Codes come from files or standard input, and are never shown."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from producer.cli.common import begun, codes_of, console, for_feed, table, with_parts

if TYPE_CHECKING:
    from producer.app.parts import Parts
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
    actions.add_parser("rebalance", help="split buckets that are too large, put small ones together")
    action = actions.add_parser("list", help="how many are in each bucket, and where it stands")
    action.add_argument("--json", action="store_true", help="one JSON line per bucket")
    action.add_argument("--codes", type=Path, metavar="FILE", help="write the codes to this file, one a line")
    for name, action in actions.choices.items():
        for_feed(action, run, action=name)


def run(args: argparse.Namespace) -> int:
    settings = begun(args, "kafka.bootstrap_servers")
    codes = codes_of(args.file) if "file" in args else ()
    work = _list if args.action == "list" else _rebalance if args.action == "rebalance" else _change
    with_parts(settings, lambda made: work(made, args, codes))
    return 0


async def _change(made: "Parts", args: argparse.Namespace, codes: Sequence[str]) -> None:
    from producer.app import persons

    if args.action == "add":
        now, changes = await persons.add(made, codes, args.reason)
    elif args.action == "remove":
        now, changes = await persons.remove(made, codes)
    else:
        now, changes = await persons.sync(made, codes, args.reason, shrink=args.yes)
    print(_told(now, changes))


async def _rebalance(made: "Parts", args: argparse.Namespace, codes: Sequence[str]) -> None:
    from producer.app.persons import rebalance

    split, merged = await rebalance(made)
    print(f"split off: {split}; put together: {merged} (those whose cursors are equal now)")


def _told(now: "Now", changes: Mapping[str, "Entry | None"]) -> str:
    joined = [entry for entry in changes.values() if entry is not None]
    buckets = {entry.bucket for entry in joined} - {entry.bucket for entry in now.entries.values()}
    left = len(changes) - len(joined)
    size = len(now.entries) + len(joined) - left
    new = f", {len(buckets)} new bucket(s)" if buckets else ""
    return f"added: {len(joined)}; removed: {left}; followed now: {size}{new}"


async def _list(made: "Parts", args: argparse.Namespace, codes: Sequence[str]) -> None:
    import json
    from collections import Counter

    from producer.app.persons import look

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
        return
    shown = table(("bucket", "persons", "shard", "cursor"), right=("persons", "shard", "cursor"))
    for row in rows:
        shown.add_row(*("not begun" if value is None else str(value) for value in row.values()))
    screen = console()
    screen.print(shown if rows else "Nobody is followed.")
    screen.print(f"followed: {len(now.entries)}")
