"""`vtj-producer erase`: takes back what can be taken back of a person."""

import argparse
import sys
from typing import TYPE_CHECKING

from producer.cli.common import begun, for_feed, with_parts

if TYPE_CHECKING:
    from producer.app.erase import Erased


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "erase",
        help="take a person back, wherever that can be done, and list what stays",
        description="Reads one identity code from standard input. The person is followed no more, gets tombstones in "
        "the state topics and under identity, and an entry among the erased. What the topics of changes still hold "
        "goes with their retention; it is listed with its date. Where the permit selects the persons, the state comes "
        "back with the person's next change.",
    )
    parser.add_argument("--reason", help="kept in the entry, and nowhere else")
    for_feed(parser, run)


def run(args: argparse.Namespace) -> int:
    from producer.app.erase import erase
    from producer.errors import SettingsError
    from producer.upstream.persons import checked

    settings = begun(args, "kafka.bootstrap_servers")
    hint = "Give one identity code on standard input, in capitals."
    codes = checked(sys.stdin.buffer.read().decode("utf-8-sig", "replace"), "The input", hint)
    if len(codes) != 1:
        raise SettingsError("There is not exactly one identity code.", hint=hint)
    print(_told(with_parts(settings, lambda made: erase(made, codes[0], args.reason))))
    return 0


def _told(erased: "Erased") -> str:
    lines = [
        f"erased under {erased.codes} code(s); {erased.listed} of them followed until now; "
        f"tombstones in {erased.topics} topics",
        "history that goes with the retention:"
        if erased.history
        else "no topic of changes holds anything of the person",
    ]
    for one in erased.history:
        until = "for ever: the topic has no retention" if one.until is None else f"until {one.until:%Y-%m-%d %H:%M} UTC"
        lines.append(f"  {one.topic}: {one.records} record(s), {until}")
    return "\n".join(lines)
