"""`vtj-producer topics plan|apply`: the topics as they should be, and as they are."""

import argparse
import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from producer.config import Settings


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("topics", help="compare the topics with the plan, or create them")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    plan = actions.add_parser("plan", help="say what differs from the plan; exit 1 when something does")
    plan.set_defaults(run=run, apply=False)
    apply = actions.add_parser("apply", help="create what is missing and set what differs")
    apply.set_defaults(run=run, apply=True)


def run(args: argparse.Namespace) -> int:
    from producer.config import load

    return asyncio.run(_run(load(args.config).settings, apply=args.apply))


async def _run(settings: "Settings", *, apply: bool) -> int:
    from producer.events.groups import Catalogue
    from producer.kafka import topics
    from producer.kafka.connection import administration

    plans = topics.plan(settings.topics, Catalogue.load().topics(settings.topics.prefix))
    async with administration(settings.kafka) as admin:
        if apply:
            found = await topics.apply(admin, plans, settings.topics.replication)
        else:
            found = await topics.differences(admin, plans)
    for difference in found:
        print(difference if not apply else f"{difference}: {'created' if difference.setting == 'topic' else 'set'}")
    print(f"{len(plans)} topics planned, {len(found)} difference(s){' mended' if apply else ''}.")
    return 0 if apply or not found else 1
