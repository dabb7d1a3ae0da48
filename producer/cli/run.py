"""`vtj-producer run`: the service."""

import argparse
import gc

from producer.cli.common import for_feed
from producer.cli.cursor import as_cursor


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "run",
        help="move changes from upstream into Kafka",
        description="Moves changes from upstream into Kafka until SIGTERM, of the feed or of all that the file has. "
        "Several may run: one works, others wait.",
    )
    parser.add_argument("--once", action="store_true", help="end with exit code 0 when upstream says ajanTasalla")
    parser.add_argument(
        "--skip-poison",
        metavar="CURSOR",
        help="of the page after this cursor, on which `run` has stopped, put what cannot be told into the "
        "dead letters, and go on; no other page is touched",
    )
    for_feed(parser, run)


def run(args: argparse.Namespace) -> int:
    gc.set_threshold(100_000)  # what is imported stays, and would be looked through again and again

    from producer.app.feeds import run as serve
    from producer.config import load_feeds
    from producer.errors import Stop
    from producer.operate import logs

    skip = None if args.skip_poison is None else as_cursor(args.skip_poison)
    loaded = load_feeds(args.config, feed=args.feed)
    for one in loaded:
        one.require("upstream.url", "kafka.bootstrap_servers")
    feeds = [one.settings for one in loaded]
    told = feeds[0].log  # the process's, and so every feed's
    logs.set_up(told.level, told.format)
    try:
        serve(feeds, once=args.once, skip=skip)
    except Stop as stop:
        if told.format == "console":
            raise
        ended = {"exitCode": stop.exit_code, "error": str(stop), "hint": stop.hint}
        logs.log.error("ended with exit code %(exitCode)d: %(error)s", ended)
        return stop.exit_code
    return 0
