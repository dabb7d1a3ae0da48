"""`vtj-producer catalogue build`: the documentation of the topics, for people and for data platforms."""

import argparse
from pathlib import Path

from producer.cli.common import for_feed


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("catalogue", help="make the documentation of the topics from the schemas")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    build = actions.add_parser(
        "build",
        help="write the site, asyncapi.json and catalogue.json",
        description="Writes a static site (open index.html), an AsyncAPI 3 document and catalogue.json, made from the "
        "schemas alone: of all data groups, or of those that VTJ_PERMIT__GROUPS names.",
    )
    build.add_argument(
        "--output", type=Path, default=Path("catalogue"), metavar="DIR", help="folder to write (default: %(default)s)"
    )
    for_feed(build, run)


def run(args: argparse.Namespace) -> int:
    from producer.catalogue.build import build, write
    from producer.catalogue.topics import Contents
    from producer.config import load
    from producer.events.codesets import Codesets
    from producer.events.groups import Catalogue

    permit = load(args.config, feed=args.feed).settings.permit.groups
    contents = Contents.read(Catalogue.load().within(permit), Codesets.load())
    files = build(contents)
    write(files, args.output)
    print(f"{len(contents.topics)} topics, {len(contents.codesets)} code sets: {args.output / 'index.html'}")
    return 0
