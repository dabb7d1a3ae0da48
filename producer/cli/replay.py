"""`vtj-producer replay`: what was committed, told again, to a consumer group or to another topic."""

import argparse
from typing import TYPE_CHECKING

from producer.cli.common import begun, codes_of, console, for_feed, table, with_parts

if TYPE_CHECKING:
    from producer.app.history import Since
    from producer.app.replay import Progress
    from producer.app.rewind import Rewind
    from producer.config import Settings


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "replay",
        help="tell again what was committed, to a consumer group or into another topic",
        description="Translates a date or a cursor to offsets, by the ledger. With --group a consumer group is set to "
        "them. With --to-topic the changes since then are copied, as kind REPLAY, without persons who are erased and "
        "without addresses of those who are under turvakielto now; stopped at any point it goes on where it was, when "
        "it is run again as before.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--group", help="set this consumer group, which must be at rest")
    what.add_argument("--to-topic", metavar="TOPIC", help="copy to this topic, which must exist")
    parser.add_argument("--since", metavar="PLACE", help="behind a cursor, or from a day (2026-11-01) or time on")
    parser.add_argument("--topics", nargs="+", default=[], metavar="TOPIC", help="of these topics (--group needs them)")
    parser.add_argument("--yes", action="store_true", help="with --group: set it; else it is only shown")
    parser.add_argument("--persons", metavar="FILE", help="with --to-topic: these alone, one a line; -: standard input")
    parser.add_argument("--again", action="store_true", help="with --to-topic: begin anew, whatever was begun or done")
    for_feed(parser, run)


def run(args: argparse.Namespace) -> int:
    from producer.errors import SettingsError

    group = args.group is not None
    for wrong, what, cure in (
        (not group and not args.to_topic, "To whom is not said.", "Give --group, or --to-topic."),
        (args.since is None, "Since when is not said.", "Give --since a cursor, a day or a time."),
        (group and not args.topics, "--group needs --topics.", "Name the topics in which the group is to be set."),
        (group and (args.persons or args.again), "--persons and --again are for --to-topic.", "Leave them out."),
        (not group and args.yes, "--yes is for --group.", "Leave it out: a copy changes nothing of what is there."),
    ):
        if wrong:
            raise SettingsError(what, hint=cure)
    since = since_of(args.since)
    settings = begun(args, "kafka.bootstrap_servers")
    (_rewind if group else _replay)(settings, args, since)
    return 0


def since_of(text: str) -> "Since":
    from producer.app.history import Since
    from producer.cli.verify import time_of
    from producer.errors import SettingsError
    from producer.model import CURSOR_MAX

    if text.isdecimal():
        if int(text) > CURSOR_MAX:
            raise SettingsError(
                "--since is no cursor: it has too many digits.", hint="`cursor show` tells the cursors."
            )
        return Since(text, cursor=int(text))
    return Since(text, time=time_of(text, "--since"))


def _rewind(settings: "Settings", args: argparse.Namespace, since: "Since") -> None:
    from producer.app.rewind import rewind

    topics = list(dict.fromkeys(args.topics))
    # What differs must not keep anybody from reading.
    told = with_parts(settings, lambda made: rewind(made, args.group, topics, since, sure=args.yes), check=False)
    _show(told, sure=args.yes)


def _replay(settings: "Settings", args: argparse.Namespace, since: "Since") -> None:
    from producer.app.replay import Wanted, replay
    from producer.cli.verify import bar

    wanted = Wanted(since, args.to_topic, args.topics, codes_of(args.persons) if args.persons else [])
    with bar("copying") as progress:
        print(_told(with_parts(settings, lambda made: replay(made, wanted, progress, again=args.again))))


def _told(done: "Progress") -> str:
    copied, erased, protected, gone = (done.counts.get(one, 0) for one in ("copied", "erased", "protected", "gone"))
    text = f"copied: {copied} events; left out: {erased} of the erased, {protected} of those under turvakielto"
    return text + (f"; {gone} are not there any more, by the retention as a rule" if gone else "")


def _show(told: "Rewind", *, sure: bool) -> None:
    numbers = ("partition", "was at", "now at" if sure else "would be at", "no more kept")
    shown = table(("topic", *numbers), right=numbers)
    for one in told.moves:
        before = "nowhere" if one.before is None else str(one.before)
        shown.add_row(one.topic, str(one.partition), before, str(one.offset), str(one.gone) if one.gone else "")
    screen = console()
    screen.print(shown)
    if not sure:
        rest = f"; the group has {told.members} member(s), stop them first" if told.members else ""
        screen.print(f"Nothing was set. --yes sets these offsets{rest}.", highlight=False)
    screen.print(
        "A group reads all that is in its topics: persons who are erased since, and addresses of those who are under "
        "turvakielto since, come again. --to-topic leaves them out.",
        highlight=False,
    )
