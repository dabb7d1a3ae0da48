"""`vtj-producer check`: walks the chain from the settings to Kafka and names the first link that is broken."""

import argparse
import asyncio
from collections.abc import Sequence
from textwrap import indent
from typing import TYPE_CHECKING

from producer.cli.common import console, for_feed, table

if TYPE_CHECKING:
    from producer.check.chain import Found

MARKS = {"ok": ("✓", "green"), "broken": ("✗", "bold red"), "skipped": ("skipped", "dim")}


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "check",
        help="walk the chain from X-Road to Kafka, and name the first broken link and its cure",
        description="Proves each link in the order of docs/onboarding.md, and says of each broken one its cure and "
        "what to write to whom. Leaves nothing at Kafka and disturbs no instance. Exits as the first broken link says.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON line per link")
    for_feed(parser, run)


def run(args: argparse.Namespace) -> int:
    from producer.check.chain import walk
    from producer.check.links import LINKS
    from producer.check.site import Site
    from producer.config import load
    from producer.operate import logs

    logs.set_up("error", "console")

    async def check() -> "list[Found]":
        async with Site(lambda: load(args.config, feed=args.feed)) as site:
            return await walk(LINKS, site, site.words)

    found = asyncio.run(check())
    if args.json:
        import json
        from dataclasses import asdict

        for one in found:
            print(json.dumps(asdict(one), ensure_ascii=False))
    else:
        _show(found)
    return next((one.exit_code for one in found if one.state == "broken"), 0)


def _show(found: "Sequence[Found]") -> None:
    from rich.text import Text

    screen, shown = console(160), table(("", "link", "what", "whose"))
    for one in found:
        shown.add_row(Text(*MARKS[one.state]), one.link, Text(one.told), one.owner)
    screen.print(shown)
    broken = [one for one in found if one.state == "broken"]
    for place, one in enumerate(broken):
        first = "First broken link" if not place else "Also broken"
        screen.print(Text(f"\n{first}: {one.link}. {one.told}\n  → {one.cure}"))
        if one.letter and one.owner != "you":
            screen.print(Text(f"  To the {one.owner}:\n{indent(one.letter, '    ')}"))
    if not broken:
        screen.print("The chain holds.")
