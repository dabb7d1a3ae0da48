"""`vtj-producer config`: every setting with value, origin and meaning."""

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from producer.cli.common import for_feed

if TYPE_CHECKING:
    from producer.config import Loaded


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "config",
        help="show every setting, where its value comes from, and what it means",
        description="Shows every setting: its value, where that comes from, and what it means. Secrets are masked.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object, by the settings' dotted names")
    for_feed(parser, run)


def run(args: argparse.Namespace) -> int:
    from producer.config import load_feeds

    feeds = load_feeds(args.config, feed=args.feed)
    if args.json:
        import json

        print(
            json.dumps({name: told for loaded in feeds for name, told in _json(loaded)}, indent=2, ensure_ascii=False)
        )
        return 0
    for loaded in feeds:
        if sys.stdout.isatty():
            _print_table(loaded)
        else:
            _print_lines(loaded)
    return 0


def _print_lines(loaded: "Loaded") -> None:
    from producer.config.reference import shown

    for name, setting in loaded.known.items():
        value = shown(loaded.value(name))
        unit = f" {setting.unit}" if setting.unit and value is not None else ""
        print(f"{setting.env} = {'(unset)' if value is None else value}{unit}  [{loaded.origins[name]}]")
        print(f"    {setting.meaning}")


def _json(loaded: "Loaded") -> Iterator[tuple[str, dict[str, Any]]]:
    from producer.config.reference import plain

    for name, setting in loaded.known.items():
        yield (
            setting.name,
            {
                "environment": setting.env,
                "value": plain(loaded.value(name)),
                "unit": setting.unit or None,
                "origin": loaded.origins[name],
                "meaning": setting.meaning,
            },
        )


def _print_table(loaded: "Loaded") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from producer.config.reference import shown

    table = Table(expand=True)
    table.add_column("Setting", no_wrap=True)
    table.add_column("Value", overflow="fold", ratio=2)
    table.add_column("From", overflow="fold", ratio=2)
    table.add_column("Meaning", ratio=4)
    before = ""
    for name, setting in loaded.known.items():
        section = setting.name.rpartition(".")[0]
        if before not in ("", section):
            table.add_section()
        before = section
        value, origin = shown(loaded.value(name)), loaded.origins[name]
        cell = Text("unset", "dim") if value is None else Text(f"{value} {setting.unit}".rstrip())
        quiet = "dim" if origin == "default" else ""
        table.add_row(Text(setting.env), cell, Text(origin.partition(" VTJ_")[0], quiet), Text(setting.meaning))
    Console().print(table)
