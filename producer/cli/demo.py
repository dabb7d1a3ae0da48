"""`vtj-producer demo`: see changes arrive in Kafka, without anything to set up."""

import argparse
import re

from producer.cli.common import for_feed


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "demo",
        help="see changes arrive in Kafka: sandbox, embedded broker and the real pipeline",
        description="Starts the sandbox and an embedded broker (noida-db: for this demo alone, never for production), "
        "runs the real pipeline between them and shows it live. At the end the topics are read again and compared "
        "with the sandbox's own log: exit code 0 if they agree, else 1. Persons are synthetic. "
        "VTJ_PRIVACY__KEYS holds here too.",
    )
    parser.add_argument("--once", action="store_true", help="end when upstream says ajanTasalla, not at Ctrl-C")
    parser.add_argument(
        "--bootstrap-servers",
        type=_servers,
        metavar="HOST:PORT",
        help="use this Kafka instead of the embedded broker; topics with a fresh prefix are created there, and stay",
    )
    for_feed(parser, run)


def run(args: argparse.Namespace) -> int:
    import asyncio

    from producer.config import load
    from producer.demo.stage import perform

    privacy = load(args.config, feed=args.feed).settings.privacy  # all else is the demo's own
    return asyncio.run(perform(args.bootstrap_servers, privacy, once=args.once))


def _servers(text: str) -> str:
    if not re.fullmatch(r"([^\s,]+:\d{1,5})(,[^\s,]+:\d{1,5})*", text):
        raise argparse.ArgumentTypeError("must be HOST:PORT, several separated by commas")
    return text
