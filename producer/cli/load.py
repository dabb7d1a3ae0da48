"""`vtj-producer load`: the initial load of persons or municipalities into the state topics."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from producer.cli.common import begun, codes_of, for_feed, with_parts

if TYPE_CHECKING:
    from producer.app.parts import Parts
    from producer.config import Settings
    from producer.state.load import Progress as State
    from producer.state.load import Wanted

    Report = Callable[[State, int], None]  # how far, requests so far

EVERY = 1.0  # s between two JSON lines


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "load",
        help="load what is valid now into the state topics, before the first run",
        description="Loads what is valid now of persons, or of everybody in municipalities, into the state topics. "
        "Stopped at any point it goes on where it was. The feed then begins where the load says, whatever "
        "VTJ_UPSTREAM__START is.",
    )
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="identity codes, one a line; -: standard input (default: everybody who is followed)",
    )
    parser.add_argument(
        "--municipalities",
        nargs="+",
        default=[],
        metavar="CODE",
        help="three digits each: everybody there, from the weekly snapshot, instead of a file",
    )
    parser.add_argument("--weekly", action="store_true", help="from the weekly snapshot, to spare the quota")
    parser.add_argument("--into-changes", action="store_true", help="to the change topics too, with kind SNAPSHOT")
    parser.add_argument("--again", action="store_true", help="also when the feed follows changes already")
    parser.add_argument(
        "--missing", type=Path, metavar="FILE", help="write the codes that upstream left out to this file, at most 1000"
    )
    for_feed(parser, run)


def run(args: argparse.Namespace) -> int:
    settings = begun(args, "upstream.url", "kafka.bootstrap_servers")
    wanted, file = _wanted(settings, args), settings.upstream.persons_file
    followed = None if file is None else codes_of(str(file))
    wanted, done = with_parts(settings, lambda made: _load(made, args, wanted, followed))
    print(_reconciled(wanted, done))
    if args.missing and wanted.codes:
        args.missing.touch(mode=0o600)
        args.missing.write_text("".join(f"{wanted.codes[at - 1]}\n" for at in done.missing), encoding="utf-8")
    return 0


async def _load(
    made: "Parts", args: argparse.Namespace, wanted: "Wanted | None", followed: list[str] | None
) -> tuple["Wanted", "State"]:
    from producer.app.load import load
    from producer.app.persons import look, sync_file
    from producer.state.load import Codes, Wanted

    if followed is not None:
        await sync_file(made, followed)
    if wanted is None:
        wanted = Wanted(codes=Codes(sorted((await look(made)).entries)), weekly=args.weekly)
    with (_bar if sys.stderr.isatty() else _lines)(wanted) as report:
        done = await load(made, wanted, report, into_changes=args.into_changes, again=args.again)
    return wanted, done


def _wanted(settings: "Settings", args: argparse.Namespace) -> "Wanted | None":
    """None: everybody in the watchlist."""
    import re

    from producer.errors import SettingsError
    from producer.state.load import Codes, Wanted

    if not settings.state.enabled:
        raise SettingsError("VTJ_STATE__ENABLED is false: there are no state topics to load.", hint="Set it to true.")
    if args.municipalities:
        if args.file:
            raise SettingsError("Both a file and --municipalities are given.", hint="Load one of them, then the other.")
        if not all(re.fullmatch("[0-9]{3}", code) for code in args.municipalities):
            raise SettingsError("A municipality code is three digits, such as 091.", hint="Correct --municipalities.")
        return Wanted(municipalities=list(dict.fromkeys(args.municipalities)), weekly=True)
    if not args.file:
        if settings.upstream.listing:
            return None
        raise SettingsError(
            "Nobody is named to be loaded.",
            hint="Name a file of identity codes, - for standard input, or --municipalities.",
        )
    return Wanted(codes=Codes(codes_of(args.file)), weekly=args.weekly)


def _reconciled(wanted: "Wanted", done: "State") -> str:
    """Asked, answered, missing; of persons by their place in the list, never by their code."""
    what = "persons" if wanted.codes else "municipalities"
    newer = f", {done.recoded} codes under a newer one" if done.recoded else ""
    lines = [f"asked: {done.asked} {what}; answered: {done.answered} persons{newer}; cursor of the feed: {done.cursor}"]
    if done.missed:
        shown = ", ".join(map(str, done.missing[:20]))
        more = f" and {done.missed - 20} more" if done.missed > 20 else ""
        lines.append(
            f"silently missing: {done.missed}, place in the list: {shown}{more} (--missing FILE has the codes)"
        )
    if done.recoded:
        lines.append("changes may come under the newer code alone: where a list says who is followed, add it")
    return "\n".join(lines)


@contextmanager
def _bar(wanted: "Wanted") -> "Iterator[Report]":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    more = (
        TextColumn("{task.fields[rate]:.0f}/s"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[requests]} requests"),
    )
    with Progress("loading", BarColumn(), MofNCompleteColumn(), *more, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=wanted.size, rate=0.0, requests=0)

        def report(progress: "State", requests: int) -> None:
            bar.update(task, completed=progress.asked, requests=requests)
            bar.update(task, rate=bar.tasks[0].speed or 0.0)

        yield report


@contextmanager
def _lines(wanted: "Wanted") -> "Iterator[Report]":
    import json

    began, said, first = time.monotonic(), -EVERY, None

    def report(progress: "State", requests: int) -> None:
        nonlocal said, first
        now = time.monotonic()
        first = progress.asked if first is None else first
        if now - said < EVERY and progress.asked < wanted.size:
            return
        said = now
        rate = (progress.asked - first) / max(now - began, 1e-3)
        line: dict[str, Any] = {
            "asked": progress.asked,
            "of": wanted.size,
            "answered": progress.answered,
            "missing": progress.missed,
            "requests": requests,
            "perSecond": round(rate, 1),
            "secondsLeft": round((wanted.size - progress.asked) / rate) if rate else None,
        }
        print(json.dumps(line), file=sys.stderr, flush=True)

    yield report
