"""`vtj-producer config`: every setting with value, origin and meaning."""

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from producer.config import Loaded


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "config",
        help="show every setting, where its value comes from, and what it means",
        description="Shows every setting: its value, where that comes from, and what it means. Secrets are masked.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object, by the settings' dotted names")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from producer.config import load

    loaded = load(args.config)
    if args.json:
        _print_json(loaded)
    elif sys.stdout.isatty():
        _print_table(loaded)
    else:
        _print_lines(loaded)
    return 0


def _print_lines(loaded: "Loaded") -> None:
    from producer.config.reference import settings, shown

    for setting in settings():
        value = shown(loaded.value(setting.name))
        unit = f" {setting.unit}" if setting.unit and value is not None else ""
        print(f"{setting.env} = {'(unset)' if value is None else value}{unit}  [{loaded.origins[setting.name]}]")
        print(f"    {setting.meaning}")


def _print_json(loaded: "Loaded") -> None:
    import json

    from producer.config.reference import plain, settings

    tree = {
        setting.name: {
            "environment": setting.env,
            "value": plain(loaded.value(setting.name)),
            "unit": setting.unit or None,
            "origin": loaded.origins[setting.name],
            "meaning": setting.meaning,
        }
        for setting in settings()
    }
    print(json.dumps(tree, indent=2, ensure_ascii=False))


def _print_table(loaded: "Loaded") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from producer.config.reference import settings, shown

    table = Table(expand=True)
    table.add_column("Setting", no_wrap=True)
    table.add_column("Value", overflow="fold", ratio=2)
    table.add_column("From", overflow="fold", ratio=2)
    table.add_column("Meaning", ratio=4)
    before = ""
    for setting in settings():
        section = setting.name.rpartition(".")[0]
        if before not in ("", section):
            table.add_section()
        before = section
        value, origin = shown(loaded.value(setting.name)), loaded.origins[setting.name]
        cell = Text("unset", "dim") if value is None else Text(f"{value} {setting.unit}".rstrip())
        quiet = "dim" if origin == "default" else ""
        table.add_row(Text(setting.env), cell, Text(origin.partition(" VTJ_")[0], quiet), Text(setting.meaning))
    Console().print(table)
