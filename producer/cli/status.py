"""`vtj-producer status`: instances and their shards, buckets and how far they are."""

import argparse
import asyncio
from typing import TYPE_CHECKING

from producer.cli.common import console, for_feed, table

if TYPE_CHECKING:
    from producer.app.status import Status


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "status",
        help="who works on which shards, and how far each bucket is",
        description="All of it is read from Kafka: it needs no instance that answers, and works from any machine.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON line per bucket")
    for_feed(parser, run)


def run(args: argparse.Namespace) -> int:
    from producer.app.status import status
    from producer.config import load

    loaded = load(args.config, feed=args.feed)
    loaded.require("kafka.bootstrap_servers")
    told = asyncio.run(status(loaded.settings))
    if args.json:
        import json
        from dataclasses import asdict

        for bucket in told.buckets:
            print(json.dumps(asdict(bucket)))
    else:
        _show(told)
    return 0


def _show(told: "Status") -> None:
    from producer.operate.age import LIMITS, passed, spoken

    screen = console()
    for instance, shards in sorted(told.instances.items()):
        screen.print(f"{instance}: shards {', '.join(map(str, shards)) or 'none'}")
    if not told.instances:
        screen.print("No instance is running.")
    events = "events in the last hour"
    names = ("bucket", "shard", "owner", "cursor", "up to date", "last commit", "upstream answered", events)
    shown = table(names, right=("shard", "cursor", events))
    for one in told.buckets:
        shown.add_row(
            one.name, str(one.shard), one.owner or "nobody", str(one.cursor), "yes" if one.up_to_date else "no",
            f"{spoken(one.age)} ago", "" if one.answered is None else f"{spoken(one.answered)} ago", f"{one.events:,}",
        )  # fmt: skip
    screen.print(shown if told.buckets else "No bucket has a position yet.")
    oldest = max((one.answered or 0.0 for one in told.buckets), default=0.0)
    if beyond := passed(oldest):
        screen.print(f"Upstream last answered {spoken(oldest)} ago. {LIMITS[beyond - 1][2]}")
