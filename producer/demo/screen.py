"""How the demo looks: a calm full screen on a terminal, plain lines elsewhere, and the summary in both."""

import time
from datetime import UTC, datetime

from rich.console import Group
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from producer.demo.check import Verdict
from producer.demo.news import News

COLUMNS = 2  # of topics: their names are long
AROUND = 10  # rows beside topics and events
FEWEST = 5  # events that topics leave room for
FLASH = 0.5  # how long a count that grew stands out (s)


def line(news: News) -> str:
    """Where there is no terminal."""
    return (
        f"{news.records:,} change records → {news.topics.total():,} events on {len(news.topics)} topics, "
        f"cursor {_cursor(news)}"
    )


def picture(news: News, where: str, note: str, width: int, height: int) -> Group:
    """One frame. Topics keep their rows, the latest events take what is left of the height."""
    rows = max(1, min(-(-len(news.topics) // COLUMNS), height - AROUND - FEWEST))
    shown = min(len(news.topics), rows * COLUMNS)
    fullest = f"; the fullest {shown} of {len(news.topics)}" if shown < len(news.topics) else ""
    room = max(0, height - AROUND - rows)
    latest = list(news.latest)[-room:] if room else []
    return Group(
        _ends(Text("vtj-producer demo", "bold"), Text(where, "dim")),
        Rule(style="dim"),
        _figures(news),
        Text(),
        _line(("topics", "bold cyan"), (f"  events on each, read back with read_committed{fullest}", "dim")),
        _topics(news, rows),
        Text(),
        _line(("latest events", "bold cyan"), ("  synthetic persons", "dim")),
        _stories([news.story(record) for record in latest], 39 if width >= 100 else 30),
        *[Text()] * (room - len(latest)),
        _line((f"! {news.trouble}" if news.trouble else "", "yellow")),
        _ends(Text(note, "dim"), Text("Ctrl-C: end and check", "dim")),
    )


def summary(verdict: Verdict) -> Group:
    """The last word: what became what, and whether the topics and the sandbox's log agree."""
    expected, found = verdict.expected, verdict.found
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold")
    table.add_column(justify="right")
    table.add_column(justify="right")
    table.add_row("topic", "expected", "read", style="dim")
    for topic in sorted(expected | found):
        right = expected[topic] == found[topic]
        table.add_row(topic, f"{expected[topic]:,}", f"{found[topic]:,}", style="" if right else "bold red")
    table.add_row("", f"{expected.total():,}", f"{found.total():,}", style="bold")
    return Group(
        f"{verdict.records:,} change records became {found.total():,} events on {len(found)} topics, "
        f"up to cursor {verdict.cursor}.\n",
        table,
        Text("\nThey agree: read again with read_committed, compared with the sandbox's own log.", "green")
        if verdict.agrees
        else Text("\nThey do NOT agree: the sandbox's own log asks for other counts than were read.", "bold red"),
    )


def _cursor(news: News) -> str:
    if (at := news.position) is None:
        return "none yet"
    moment = datetime.fromtimestamp(at.committedAt / 1000, UTC).astimezone()
    return f"{at.cursor}, {'up to date' if at.upToDate else 'catching up'} at {moment:%H:%M:%S}"


def _line(*parts: tuple[str, str]) -> Text:
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _ends(left: Text, right: Text) -> Table:
    """Both ends of a row. Where there is no room for both, the longer one is cut."""
    grid = Table.grid(expand=True, padding=(0, 1))
    shorter = min(len(left), len(right))
    grid.add_column(min_width=shorter, no_wrap=True)
    grid.add_column(min_width=shorter, no_wrap=True, justify="right")
    grid.add_row(left, right)
    return grid


def _figures(news: News) -> Table:
    grid = Table.grid(padding=(0, 4))
    for name in ("change records", "events", "events/s", "cursor"):
        grid.add_column(Text(name, "dim"), style="bold", no_wrap=True)
    grid.show_header = True
    grid.add_row(f"{news.records:,}", f"{news.topics.total():,}", f"{news.rate():,.0f}", _cursor(news))
    return grid


def _topics(news: News, rows: int) -> Table:
    """In columns, read downward by name; the fullest ones where there is no room for all."""
    grid = Table.grid(expand=True, padding=(0, 1))
    for _ in range(COLUMNS):
        grid.add_column(ratio=1, no_wrap=True)
        grid.add_column(justify="right", min_width=7)
        grid.add_column(width=1)
    grid.columns.pop()  # between columns, and not behind the last one
    shown = sorted(name for name, _ in news.topics.most_common(rows * COLUMNS))
    now = time.monotonic()
    for row in range(rows):
        cells: list[Text] = []
        for name in shown[row::rows]:
            style = "bold green" if now - news.grown[name] < FLASH else "bold"
            cells += [Text(name), Text(f"{news.topics[name]:,}", style), Text()]
        grid.add_row(*cells[:-1])
    return grid


def _stories(stories: list[tuple[str, str, str, str]], width: int) -> Table:
    """Columns of fixed widths, or each new event would move them."""
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(width=11, no_wrap=True)
    grid.add_column(width=width, no_wrap=True, style="cyan")
    grid.add_column(width=10, no_wrap=True, style="dim")
    grid.add_column(ratio=1, no_wrap=True)
    for story in stories:
        grid.add_row(*map(Text, story))
    return grid
