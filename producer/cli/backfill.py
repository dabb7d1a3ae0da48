"""`vtj-producer backfill`: asks upstream again for what Kafka does not hold any more."""

import argparse
from datetime import date
from typing import TYPE_CHECKING

from producer.cli.common import begun, codes_of, for_feed, with_parts
from producer.cli.cursor import as_cursor

if TYPE_CHECKING:
    from producer.app.backfill import Wanted

BUDGET = 60  # requests a minute: a tenth of the feed's own, by default


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "backfill",
        help="ask upstream again for what Kafka does not hold any more",
        description="Asks upstream again for changes (--since; kind REPLAY), or for what is valid now of persons "
        "(--persons; kind SNAPSHOT), and puts them into the topics of changes or into another. The running feed and "
        "its cursor are left alone. Stopped at any point it goes on where it was, when it is run again as before.",
    )
    parser.add_argument(
        "--since", metavar="PLACE", help="changes behind a cursor, or from a day on (2026-11-01); DVV keeps two weeks"
    )
    parser.add_argument(
        "--until", metavar="PLACE", help="up to the page with that cursor, or to the end of a day (default: the feed's)"
    )
    parser.add_argument("--persons", metavar="FILE", help="identity codes, one a line; -: standard input")
    parser.add_argument("--to-topic", metavar="TOPIC", help="everything goes there, but for dead letters")
    parser.add_argument(
        "--budget", type=int, default=BUDGET, metavar="N", help=f"requests a minute, beside the feed's ({BUDGET})"
    )
    parser.add_argument("--again", action="store_true", help="begin anew, whatever was begun or done before")
    for_feed(parser, run)


def run(args: argparse.Namespace) -> int:
    from producer.app.backfill import backfill
    from producer.errors import SettingsError
    from producer.operate.stopping import until_stopped

    settings = begun(args, "upstream.url", "kafka.bootstrap_servers", quiet=False)
    if args.budget < 1:
        raise SettingsError("--budget is less than one request a minute.", hint="Give at least 1.")
    wanted = _wanted(args)
    done = with_parts(
        settings, lambda made: until_stopped(backfill(made, wanted, budget=args.budget, again=args.again))
    )
    if done is None:  # by a signal
        return 130
    if wanted.codes:
        print(f"done: {len(wanted.codes)} persons; left out by upstream: {done.missing}")
    else:
        print(f"done: cursor {done.since} to {done.until}")
    return 0


def _wanted(args: argparse.Namespace) -> "Wanted":
    from producer.app.backfill import Wanted
    from producer.errors import SettingsError

    if bool(args.since) == bool(args.persons) or (args.persons and args.until):
        raise SettingsError(
            "Either changes or persons are told again.",
            hint="Name --since (and --until) with a cursor or a day, or --persons with a file of identity codes.",
        )
    if args.persons:
        return Wanted(codes=codes_of(args.persons), topic=args.to_topic)
    return Wanted(_place(args.since, "--since"), args.until and _place(args.until, "--until"), topic=args.to_topic)


def _place(text: str, option: str) -> int | date:
    from producer.errors import SettingsError
    from producer.events.instant import today

    if text.isdecimal():
        return as_cursor(text)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise SettingsError(
            f"{option} is neither a cursor nor a day.", hint="Give a kirjausavain (5446623423) or a day (2026-11-01)."
        ) from None
    if day > today():
        raise SettingsError(f"{option} lies in the future.", hint="Give a day that has begun.")
    return day
