"""`vtj-producer topics plan|apply`: the topics as they should be, and as they are."""

import argparse
import asyncio
from typing import TYPE_CHECKING

from producer.cli.common import for_feed

if TYPE_CHECKING:
    from producer.config import Settings
    from producer.events.groups import Catalogue


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("topics", help="compare the topics with the plan, or create them")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser(
        "plan",
        help="say what differs from the plan; exit 1 when something does",
        description="Says what differs from the plan; exit 1 when something does. With VTJ_PERMIT__GROUPS it also says "
        "in which topics of the permit no event is kept: was the group ever sent?",
    )
    actions.add_parser("apply", help="create what is missing and set what differs")
    for name, action in actions.choices.items():
        for_feed(action, run, apply=name == "apply")


def run(args: argparse.Namespace) -> int:
    from producer.config import load

    return asyncio.run(_run(load(args.config, feed=args.feed).settings, apply=args.apply))


async def _run(settings: "Settings", *, apply: bool) -> int:
    from producer.events.groups import Catalogue
    from producer.kafka import topics
    from producer.kafka.clients import administration
    from producer.observe.audit import audit
    from producer.operate import logs

    permit = settings.permit.groups
    catalogue = Catalogue.load().within(permit)
    plans = topics.planned(settings, catalogue)
    async with administration(settings.kafka) as admin:
        if apply:
            found = await topics.apply(admin, plans, settings.topics.replication)
            if found:
                logs.set_up("warning", settings.log.format)  # not before: what goes wrong at Kafka is told once, by us
                audit("topics: %(mended)d difference(s) mended", {"mended": len(found)})
        else:
            found = await topics.differences(admin, plans)
    for difference in found:
        print(difference if not apply else f"{difference}: {'created' if difference.setting == 'topic' else 'set'}")
    print(f"{len(plans)} topics planned, {len(found)} difference(s){' mended' if apply else ''}.")
    if permit and not apply:
        await _print_silent(settings, catalogue, {one.topic for one in found if one.setting == "topic"})
    return 0 if apply or not found else 1


async def _print_silent(settings: "Settings", catalogue: "Catalogue", missing: set[str]) -> None:
    """The groups of the permit that have not come: declared in vain, or simply rare."""
    from producer.events.groups import change_topic, restricted_topic
    from producer.events.protection import restricted_topics
    from producer.kafka.reader import without_records

    declared = {change_topic(settings.data_prefix, one): name for name, one in catalogue.groups.items()}
    beside = restricted_topics(settings, catalogue, declared)
    without_any = await without_records(settings.kafka, [one for one in (*declared, *beside) if one not in missing])
    silent = [
        topic
        for topic in declared
        if topic in without_any and (restricted_topic(topic) not in beside or restricted_topic(topic) in without_any)
    ]
    for topic in silent:
        print(f"{topic}: no event of {declared[topic]} is kept there")
    without = len(silent) + len(missing & declared.keys())
    print(f"{len(declared)} groups in the permit, {without} without an event.")
