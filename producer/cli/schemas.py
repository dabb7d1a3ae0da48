"""`vtj-producer schemas list|check|register|diff`, and `show GROUP`: the published schemas, here and in a registry."""

import argparse
import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from producer.cli.common import console, for_feed, table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from producer.config import Settings
    from producer.events.groups import Catalogue
    from producer.registry.client import Registry
    from producer.registry.subjects import Finding


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("schemas", help="list, show and check the schemas, or register them")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    add = actions.add_parser("list", help="every data group with its topic and fingerprint")
    add.add_argument("--json", action="store_true", help="one JSON line per group")
    for_feed(add, _list)
    add = actions.add_parser("show", help="a published schema as JSON")
    add.add_argument("group", metavar="GROUP", help="a tietoryhmä or the last part of its topic, also dead-letter")
    add.set_defaults(run=_show)
    add = actions.add_parser(
        "check",
        help="say all that is wrong with the schema files; exit 1 when something is",
        description="Checks every schema file, its names, docs, code sets and example, and that no release's readers "
        "or values are left behind (FULL_TRANSITIVE). Says all faults at once: file, field, cure. No network.",
    )
    add.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="instead of the program's own schemas")
    add.set_defaults(run=_check)
    add = actions.add_parser("register", help="register what the registry does not have; may be repeated")
    for_feed(add, lambda args: _at_registry(args, _register))
    add = actions.add_parser("diff", help="say what register would change; exit 1 when anything differs")
    for_feed(add, lambda args: _at_registry(args, _diff))


def _list(args: argparse.Namespace) -> int:
    from producer.config import load
    from producer.events.framing import SingleObject
    from producer.events.groups import Catalogue, change_topic

    catalogue, prefix = Catalogue.load(), load(args.config, feed=args.feed).settings.data_prefix
    rows = []
    for group in (*catalogue.groups.values(), catalogue.unmapped):
        own = group.own
        rows.append(
            {
                "group": group.tietoryhma or None,
                "topic": change_topic(prefix, group),
                "theme": own.get("theme"),
                "confidence": own.get("confidence"),
                "fields": len(own["fields"]),
                # As it stands in the values: eight bytes behind C3 01.
                "fingerprint": SingleObject().prefix(group.schema)[2:].hex(),
            }
        )
    if args.json:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))
        return 0
    shown = table(rows[0], right=("fields",))
    for row in rows:
        shown.add_row(*("" if cell is None else str(cell) for cell in row.values()))
    console().print(shown)
    return 0


def _show(args: argparse.Namespace) -> int:
    from producer.events.groups import Catalogue

    print(json.dumps(_published(Catalogue.load(), args.group), indent=2, ensure_ascii=False))
    return 0


def _published(catalogue: "Catalogue", name: str) -> dict[str, Any]:
    from producer.errors import SettingsError

    wanted = name.lower().replace("_", "-")
    if wanted == "dead-letter":
        return catalogue.dead_letter
    for group in (*catalogue.groups.values(), catalogue.unmapped):
        if wanted in (group.suffix, group.tietoryhma.lower().replace("_", "-")):
            return group.schema
    raise SettingsError(f"No data group with a schema is called {name}.", hint="`vtj-producer schemas list` knows all.")


def _check(args: argparse.Namespace) -> int:
    from producer.registry.check import check

    checked = check(args.folder)
    for fault in checked.faults:
        print(f"{fault.path}{f' {fault.field}' if fault.field else ''}: {fault.what}\n  → {fault.cure}")
    print(f"{checked.groups} data groups, {checked.releases} release(s) before: {len(checked.faults)} fault(s).")
    return 1 if checked.faults else 0


def _at_registry(args: argparse.Namespace, action: "Callable[[Registry, list[Finding]], Awaitable[int]]") -> int:
    from producer.config import load
    from producer.operate import logs

    loaded = load(args.config, feed=args.feed)
    loaded.require("registry.url")
    logs.set_up("warning", loaded.settings.log.format)
    return asyncio.run(_with_findings(loaded.settings, action))


async def _with_findings(settings: "Settings", action: "Callable[[Registry, list[Finding]], Awaitable[int]]") -> int:
    from producer.events.groups import Catalogue
    from producer.registry.client import Registry
    from producer.registry.subjects import compare, subjects

    catalogue = Catalogue.load().within(settings.permit.groups)
    async with Registry(settings.registry) as registry:
        return await action(registry, await compare(registry, subjects(catalogue, settings)))


async def _register(registry: "Registry", findings: "list[Finding]") -> int:
    from producer.registry.subjects import register as register_all

    for finding in await register_all(registry, findings):
        said = "was there already" if finding.state == "same" else "registered"
        print(f"{finding.subject.name}: {said}, id {finding.number}")
    there = sum(finding.state == "same" for finding in findings)
    print(f"{len(findings)} subjects: {len(findings) - there} registered, {there} there already.")
    await _warn_of_level(registry)
    return 0


async def _diff(registry: "Registry", findings: "list[Finding]") -> int:
    words = {"same": "same", "new": "new", "changed": "changed, compatible", "incompatible": "incompatible"}
    for finding in findings:
        because = f": {finding.reason}" if finding.reason else ""
        print(f"{finding.subject.name}: {words[finding.state]}{because}")
    states = Counter[str](finding.state for finding in findings)
    counted = ", ".join(f"{states[state]} {word}" for state, word in words.items() if states[state])
    print(f"{len(findings)} subjects: {counted}.")
    await _warn_of_level(registry)
    return 0 if states["same"] == len(findings) else 1


async def _warn_of_level(registry: "Registry") -> None:
    """What a registry of that level calls compatible says nothing."""
    if await registry.level() == "NONE":
        print("The registry's compatibility level is NONE, it takes anything. These schemas keep FULL_TRANSITIVE.")
