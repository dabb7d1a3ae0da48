"""`dead-letters`: what could not be placed, looked at, told again or given up."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from producer.cli.common import begun, console, for_feed, table, with_parts

if TYPE_CHECKING:
    from producer.app.dealing import Dealt
    from producer.app.letters import Letter, Place
    from producer.app.parts import Parts

ROWS: Final = 100  # of a table; all are counted


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "dead-letters",
        help="look at what could not be placed, tell it again, or give it up",
        description="Dead letters, and events of groups that have no topic of their own. Nothing of their content is "
        "shown unless --reveal asks for it. Works beside a running service.",
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="what there is, by reason, group, cursor and time")
    listing.add_argument("--all", action="store_true", help="what has been dealt with, too")
    listing.add_argument("--json", action="store_true", help="one JSON line each")
    show = actions.add_parser("show", help="one in detail, as JSON")
    show.add_argument("place", metavar="PLACE", help="as in the list, such as dead-letter:0:17")
    show.add_argument("--reveal", action="store_true", help="its content too: personal data; the audit log hears of it")
    retry = actions.add_parser(
        "retry",
        help="tell again what can be told by now",
        description="Runs them through today's schemas and commits the events, as kind REPLAY, with a marker that they "
        "are dealt with. What fails again stays. Killed at any point, run it again.",
    )
    retry.add_argument("places", metavar="PLACE", nargs="*", help="these alone; -: from standard input")
    discard = actions.add_parser("discard", help="give up what will never be told")
    discard.add_argument("places", metavar="PLACE", nargs="+", help="these; -: from standard input")
    discard.add_argument("--reason", required=True, help="kept in the marker and in the audit log: no personal data")
    discard.add_argument("--yes", action="store_true", help="do it; without, they are only shown")
    for name, action in actions.choices.items():
        for_feed(action, run, action=name)


def run(args: argparse.Namespace) -> int:
    from producer.errors import SettingsError

    settings = begun(args, "kafka.bootstrap_servers")
    if args.action == "discard" and not args.reason.strip():
        raise SettingsError("--reason is empty.", hint="Say why they are given up; it stays in the marker.")
    work = {"list": _list, "show": _show, "retry": _retry, "discard": _discard}[args.action]
    changes = args.action in ("retry", "discard")
    if changes:
        args.places = _places(args.places)
    with_parts(settings, lambda made: work(made, args), check=changes)
    return 0


async def _list(made: "Parts", args: argparse.Namespace) -> None:
    from producer.app.letters import letters

    rows = Rows()
    async with letters(made) as there:
        async for letter in there.all():
            if args.all or letter.handled is None:
                if args.json:
                    print(_json(letter.told()))
                else:
                    rows.add(letter)
    if not args.json:
        rows.show()


async def _show(made: "Parts", args: argparse.Namespace) -> None:
    from producer.app.letters import Place, look

    letter = await look(made, Place.read(args.place), reveal=args.reveal)
    print(_json(letter.told()))
    if args.reveal:
        print("(its content is not here)" if letter.content is None else letter.content)


async def _retry(made: "Parts", args: argparse.Namespace) -> None:
    from producer.app.dealing import retry

    print(_told(await retry(made, args.places)))


async def _discard(made: "Parts", args: argparse.Namespace) -> None:
    from producer.app.dealing import discard
    from producer.app.letters import letters

    if args.yes:
        print(_told(await discard(made, args.places, args.reason)))
        return
    rows = Rows()
    async with letters(made) as there:
        async for letter in there.all(args.places):
            rows.add(letter)
    rows.show()
    print("Nothing was discarded. --yes does it, for ever.")


def _places(texts: Sequence[str]) -> "list[Place]":
    """Each once. -: those on standard input, between white space."""
    from producer.app.letters import Place
    from producer.errors import SettingsError

    given = [one for text in texts for one in (sys.stdin.read().split() if text == "-" else [text])]
    if texts and not given:
        raise SettingsError("Standard input has no place.", hint="Give places as `dead-letters list` shows them.")
    return list(dict.fromkeys(map(Place.read, given)))


def _told(done: "Dealt") -> str:
    from producer.app.dealing import DEALT
    from producer.app.letters import WORDS

    dealt = "; ".join(f"{what}: {done.letters[what]}" for what in DEALT if what in done.letters)
    events = f"; {done.events} events" if done.events else ""
    stay = [(what, count) for what, count in sorted(done.letters.items()) if what not in DEALT]
    lines = [f"  {count} stay: {what}: {WORDS.get(what, 'of another release')}" for what, count in stay]
    return "\n".join([f"{dealt or 'nothing was dealt with'}{events}", *lines])


def _json(told: Mapping[str, Any]) -> str:
    import orjson

    return orjson.dumps(told, option=orjson.OPT_UTC_Z).decode()


class Rows:
    """A table of the first, and how many of each kind there are."""

    def __init__(self) -> None:
        from collections import Counter

        self._first: list[Mapping[str, Any]] = []
        self._counts = Counter[tuple[str, str]]()

    def add(self, letter: "Letter") -> None:
        told = letter.told()
        self._counts[told["reason"], told.get("group", "")] += 1
        if len(self._first) < ROWS:
            self._first.append(told)

    def show(self) -> None:
        screen, shown = console(), table(("place", "reason", "group", "cursor", "fetched", "dealt with"), ("cursor",))
        for told in self._first:
            time, handled = told.get("fetchedAt"), told.get("handled")
            fetched = f"{time:%Y-%m-%d %H:%M:%S} UTC" if time else ""
            how = ": ".join(one for one in (handled["how"], handled["reason"]) if one) if handled else ""
            cursor = str(told.get("cursor", ""))
            shown.add_row(told["place"], told["reason"], told.get("group", ""), cursor, fetched, how)
        if not self._counts:
            screen.print("There is none.")
            return
        screen.print(shown)
        if (total := self._counts.total()) > ROWS:
            screen.print(f"… and {total - ROWS} more: --json lists all", highlight=False)
        for (reason, group), count in sorted(self._counts.items()):
            screen.print(f"{reason}{f' {group}' if group else ''}: {count}", highlight=False, markup=False)
