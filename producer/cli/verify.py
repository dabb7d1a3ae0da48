"""`vtj-producer verify`: reads the topics again and compares them with the ledger."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from producer.cli.common import begun, console, for_feed, table, with_parts

if TYPE_CHECKING:
    from producer.app.verify import Progress
    from producer.proof.report import Report


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "verify",
        help="read the topics again and compare them with the ledger",
        description="Compares what stands in the topics with what the ledger says was committed: gaps, and missing, "
        "repeated, orphaned, reordered or other events. Exit code 1 when anything is found. What the retention has "
        "taken is told apart.",
    )
    parser.add_argument("--since", metavar="TIME", help="commits from then on: 2026-11-01 (a Finnish day), or ISO 8601")
    parser.add_argument("--until", metavar="TIME", help="commits before then, or to the end of that day")
    parser.add_argument("--upstream", action="store_true", help="ask upstream again, and compare the ids too")
    parser.add_argument("--json", action="store_true", help="one JSON line for each finding, and one with the figures")
    for_feed(parser, run)


def run(args: argparse.Namespace) -> int:
    from producer.app.verify import Range, verify
    from producer.errors import SettingsError

    settings = begun(args, "kafka.bootstrap_servers", *(["upstream.url"] if args.upstream else []))
    wanted = Range(time_of(args.since, "--since"), time_of(args.until, "--until", end=True), args.feed)
    if wanted.since is not None and wanted.until is not None and wanted.since >= wanted.until:
        raise SettingsError("--until is not after --since.", hint="Name a later --until, or leave one of them out.")
    with bar("verifying") as progress:
        # What differs must not keep anybody from looking.
        report = with_parts(settings, lambda made: verify(made, wanted, progress, upstream=args.upstream), check=False)
    if args.json:
        import json

        for line in report.json():
            print(json.dumps(line))
    else:
        _show(report)
    return 0 if report.sound else 1


def time_of(text: str | None, option: str, *, end: bool = False) -> int | None:
    """Milliseconds. end: of a day its end, else its beginning. Raises SettingsError."""
    from producer.errors import SettingsError
    from producer.events.instant import HELSINKI

    if text is None:
        return None
    try:
        try:
            time = datetime.combine(date.fromisoformat(text) + timedelta(days=end), datetime.min.time())
        except ValueError:
            time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            time = time.replace(tzinfo=HELSINKI)
        return int(time.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise SettingsError(
            f"{option} is no time that can be read.", hint="Give a day (2026-11-01) or a time (2026-11-01T12:30+02:00)."
        ) from None


@contextmanager
def bar(what: str) -> "Iterator[Progress]":
    """Of a terminal; elsewhere nothing is shown."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn

    with Progress(what, BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _show(report: "Report") -> None:
    from producer.proof.report import FAULTS

    screen, numbers = console(), ("commits", "from cursor", "to cursor", "moved")
    chains = table(("feed/bucket", *numbers), right=numbers)
    for _, one in sorted(report.chains.items()):
        begin = f"begin, {one.first}" if one.began else str(one.first)
        moved = ", ".join(f"{at} → {to}" for at, to in one.moved[-3:])
        chains.add_row(f"{one.feed}/{one.bucket}", str(one.entries), begin, str(one.last), moved)
    screen.print(chains if report.chains else "The ledger is empty: nothing has been committed yet.")
    if report.findings:
        found = table(("finding", "topic", "partition", "offsets", "count", "what"))
        for fault in report.findings:
            offsets = str(fault.first) if fault.first == fault.last else f"{fault.first} – {fault.last}"
            where = (str(fault.partition), offsets) if fault.partition >= 0 else ("", "")
            found.add_row(fault.kind, fault.topic, *where, str(fault.count), fault.what)
        screen.print(found)
    for kind, count in report.faults.items():
        screen.print(f"{kind}: {count} ({FAULTS[kind]})", highlight=False)
    if report.uncompared:
        screen.print(f"not compared, because compacted: {len(report.uncompared)} topics", highlight=False)
    rate = report.events / max(report.seconds, 1e-3)
    screen.print(
        f"{'sound' if report.sound else 'NOT SOUND'}: {report.entries} commits, {report.events} events compared, "
        f"{report.aged} beyond retention, {report.seconds:.1f} s ({rate:,.0f} events/s)",
        highlight=False,
    )
