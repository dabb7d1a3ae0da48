"""What the commands share: options, the settings that they begin with, and how they show a table."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from producer.app.parts import Parts
    from producer.config import Settings

T = TypeVar("T")


def for_feed(parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int], **defaults: object) -> None:
    """A command that works on a feed. `args.feed` is its name, or None, which will do where there is one."""
    parser.add_argument("--feed", metavar="NAME", help="which feed, where the settings file has several")
    parser.set_defaults(run=run, **defaults)


def labels_option(parser: argparse.ArgumentParser) -> None:
    """`args.labels` is a language, or None when no labels are asked for."""
    parser.add_argument(
        "--labels",
        nargs="?",
        choices=("fi", "sv", "en"),
        const="fi",
        help="show beside codes what they mean (default: in Finnish); the events stay as they are",
    )


def begun(args: argparse.Namespace, *required: str, quiet: bool = True) -> "Settings":
    """The settings, of which the named ones (dotted) must be set, with the log set up. Raises SettingsError.

    quiet: no more than warnings, unless VTJ_LOG__LEVEL asks for it: the command says itself what it has done.
    """
    from producer.config import load
    from producer.operate import logs

    loaded = load(args.config, feed=args.feed)
    loaded.require(*required)
    log = loaded.settings.log
    logs.set_up("warning" if quiet and log.level == "info" else log.level, log.format)
    return loaded.settings


def with_parts(settings: "Settings", work: "Callable[[Parts], Awaitable[T]]", *, check: bool = True) -> T:
    """check: as of `parts`."""
    from producer.app.parts import parts

    async def run() -> T:
        return await work(await parts(settings, check=check))

    return asyncio.run(run())


def codes_of(file: str) -> list[str]:
    """The identity codes of a file; -: of standard input. Raises SettingsError."""
    from producer.upstream.persons import read_persons

    return read_persons(Path("/dev/stdin" if file == "-" else file))


def console(width: int = 200) -> "Console":
    """The terminal; where there is none, as wide as given, so that lines are not broken for whoever reads a pipe."""
    from rich.console import Console

    made = Console()
    return made if made.is_terminal else Console(width=width)


def table(names: Iterable[str], right: Iterable[str] = ()) -> "Table":
    """Nothing in it is cut off. right: the columns of numbers."""
    from rich.table import Table

    made = Table()
    for name in names:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return made
