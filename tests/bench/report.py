"""The figures as a page of the documentation: ratios first, then how they came about."""

import os
import platform
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench.encoder import Encoding
from tests.bench.meter import Reading
from tests.bench.pages import MIXES
from tests.bench.runs import Watched
from tests.bench.several import BUCKETS, Calls, Scaling
from tests.bench.translating import Translating
from tests.bench.upstream import CALM_RECORDS

VIEWERS: Final = 100
PICTURES: Final = "pictures"  # folder of the plots, beside the page
NAMES: Final = {
    "baseline": "the straightforward script, one page a transaction",
    "page by page": "vtj-producer, one page a transaction",
    "product": "vtj-producer as it comes: pages share transactions",
    "limit": "limit: `send_batch` of ready bytes, four pages a transaction",
    "baseline, all groups": "the straightforward script, every group of a person",
    "product, all groups": "vtj-producer as it comes, every group of a person",
}


@dataclass(frozen=True, slots=True)
class Figures:
    """rounds: each has a reading of every name in NAMES. starts: (s to the first request, idle MB).

    hand_overs: signal → s until another instance works. scaling: one instance and two, in each round.
    calm: pages of 100 records, one after the other. watched: without and with VIEWERS, in each round.
    """

    command: str
    broker: str
    pages: int
    bytes_per_group: float
    rounds: Sequence[dict[str, Reading]]
    loads: Sequence[Reading]
    long_load: Reading
    following: tuple[int, float, float, int]  # listed persons; s of CPU for a poll, MB, buckets
    long_run: Reading
    idle_after: float
    verifying: Reading
    translating: Translating
    starts: Sequence[tuple[float, float]]
    encoding: Encoding
    hand_overs: Sequence[Mapping[signal.Signals, float]]
    scaling: Sequence[tuple[Scaling, Scaling]]
    calls: Calls
    calm: Reading
    watched: Sequence[tuple[Watched, Watched]]


def rate(reading: Reading | Scaling) -> float:
    return reading["events"] / reading["seconds"]


def cpu(reading: Reading) -> float:
    return reading["cpu"] / reading["events"] * 1e6


def marginal(reading: Reading) -> list[tuple[int, float]]:
    """What an event costs as the run goes on: (10^4, 10^5, … events, µs of CPU of those since the one before)."""
    found, before, size = list[tuple[int, float]](), (0, 0.0), 10_000
    for events, seconds in reading["course"]:
        if events >= size:
            found.append((size, (seconds - before[1]) / (events - before[0]) * 1e6))
            before, size = (events, seconds), size * 10
    return found


def page(figures: Figures) -> str:
    """Markdown."""
    rounds, long_run, encoding = figures.rounds, figures.long_run, figures.encoding
    faster = [rate(one["product"]) / rate(one["baseline"]) for one in rounds]
    alike = [rate(one["page by page"]) / rate(one["baseline"]) for one in rounds]
    all_groups = [rate(one["product, all groups"]) / rate(one["baseline, all groups"]) for one in rounds]
    leaner = [cpu(one["baseline"]) / cpu(one["product"]) for one in rounds]
    rss, course, long_load = long_run["rss"], marginal(long_run), figures.long_load
    loaded = long_load["rss"]
    listed, poll, following, buckets = figures.following
    verifying, read = figures.verifying, figures.verifying["rss"]
    translating, calm = figures.translating, sorted(figures.calm["latencies"])
    peaks = [long_run["peak"], *(one[who]["peak"] for one in rounds for who in one if who.startswith("product"))]
    return f"""\
# Benchmarks

Made by `{figures.command}` on {datetime.now(UTC):%Y-%m-%d}. From local HTTP to committed on a real Kafka,
one process each, pages of 1,000 change records of two or three data groups. Figures are median (lowest – highest).

![Events a second of the script, of vtj-producer and of ready bytes]({PICTURES}/bench-rate.svg)

| against the straightforward script | goal | measured |
| --- | --- | --- |
| events/s | ≥ 4.5× | **{_spread(faster, "{:.1f}×")}** |
| events/s, both with one page a transaction | | {_spread(alike, "{:.1f}×")} |
| events/s, every group of a person in the mix | | {_spread(all_groups, "{:.1f}×")} |
| CPU an event: the script's by ours | | {_spread(leaner, "{:.1f}×")} |
| encoder alone against fastavro's `schemaless_writer`, median of {encoding["groups"]} groups | ≥ 4× | \
**{encoding["faster"]:.1f}×** (on average {encoding["ours"]:.1f} against {encoding["fastavro"]:.1f} µs) |
| the same for the group that gains least, {encoding["slowest"][0]} | ≥ 2× | **{encoding["slowest"][1]:.1f}×** |

| by itself | goal | measured |
| --- | --- | --- |
| CPU an event | ≤ 25 µs | {_spread([cpu(one["product"]) for one in rounds], "{:.1f}")} µs |
| CPU an event, every group of a person in the mix | ≤ 18 µs | \
{_spread([cpu(one["product, all groups"]) for one in rounds], "{:.1f}")} µs |
| resident, idle | ≤ 80 MB | {_spread([idle for _, idle in figures.starts], "{:.0f}")} MB |
| resident, highest under load | ≤ 150 MB | {max(peaks):.0f} MB |
| resident over {long_run["events"]:,} events: at 10 %, 50 %, 100 % | flat | \
{rss[len(rss) // 10]:.0f}, {rss[len(rss) // 2]:.0f}, {rss[-1]:.0f} MB |
| CPU an event of the same run, up to {", ".join(f"{size:,}" for size, _ in course)} events, each from the one before \
| flat | {", ".join(f"{cost:.1f}" for _, cost in course)} µs |
| resident, idle again after {rounds[0]["product"]["events"]:,} events | | {figures.idle_after:.0f} MB |
| start to first request, without the broker's rebalance delay | ≤ 1.5 s | \
{_spread([start for start, _ in figures.starts], "{:.2f}")} s |
| a page of {CALM_RECORDS} records, from its last byte to its commit, nothing else to do | ≤ 100 ms | \
half of {len(calm)} within {calm[len(calm) // 2]:.0f} ms, 99 % within **{calm[len(calm) * 99 // 100]:.0f} ms** |
| events/s while {VIEWERS} look at the status page, by those while nobody does | ≥ 0.95× | \
**{_spread([watched.rate / alone.rate for alone, watched in figures.watched], "{:.2f}×")}** |
| CPU an event, likewise | | {_spread([watched.cpu / alone.cpu for alone, watched in figures.watched], "{:.2f}×")} |

![CPU of an event and resident memory over a long run]({PICTURES}/bench-course.svg)

![From a page's last byte to its commit]({PICTURES}/bench-latency.svg)

| initial load, twenty groups of a person | goal | measured |
| --- | --- | --- |
| state records/s | ≥ 20,000 | **{_spread([rate(one) for one in figures.loads], "{:,.0f}")}** |
| CPU a state record | ≤ 40 µs | {_spread([cpu(one) for one in figures.loads], "{:.1f}")} µs |
| the same over {long_load["events"]:,} records, and CPU of each; Finland's 112 million at that rate | | \
{rate(long_load):,.0f}; {cpu(long_load):.1f} µs; {112e6 / rate(long_load) / 60:.0f} min |
| resident over {long_load["events"] // 20:,} persons: at 10 %, 50 %, 100 % | flat, ≤ 200 MB | \
{loaded[len(loaded) // 10]:.0f}, {loaded[len(loaded) // 2]:.0f}, {loaded[-1]:.0f} MB |

| {verifying["events"]:,} events in {verifying["commits"]:,} commits, `verify` | goal | measured |
| --- | --- | --- |
| events/s, on one core | ≥ 200,000 | **{rate(verifying):,.0f}** ({cpu(verifying):.1f} µs of CPU an event) |
| resident: at 10 %, 50 %, 100 % | flat | \
{read[len(read) // 10]:.0f}, {read[len(read) // 2]:.0f}, {read[-1]:.0f} MB |

| `replay`: offsets by a ledger of {translating.entries:,} entries, at five places in it | goal | measured |
| --- | --- | --- |
| since a date | ≤ 2 s | **{_spread(translating.dates, "{:.2f}")} s** |
| since a cursor | | {_spread(translating.cursors, "{:.2f}")} s |

| {listed:,} listed persons in {buckets} buckets, nothing has changed | goal | measured |
| --- | --- | --- |
| CPU of a poll of all buckets, the dearest of four | ≤ 1 s | **{poll:.2f} s** |
| resident | | {following:.0f} MB |

{_several(figures)}
## The runs

{len(rounds)} rounds of {figures.pages} pages ({rounds[0]["product"]["events"]:,} events), all six in each round;
eight common kinds of groups, {figures.bytes_per_group:.0f} bytes of JSON each, or all {len(MIXES["all"])} of a person,
each as often as the others.

| who | events/s | client CPU, µs an event | highest resident, MB |
| --- | --- | --- | --- |
{_rows(rounds)}

CPU is user and system time of the process between its first request and its last commit. The events of every run were
counted by a `read_committed` consumer. Rates depend on what else the machine does, and broker and upstream share its
cores: compare within one table only.

## The machine

{_machine()}.
{figures.broker}.

## What is compared

The script (`tests/bench/baseline.py`) is what a good engineer writes in an afternoon: aiohttp, orjson, fastavro with
parsed schemas, UUIDv5, aiokafka's `send()` with 256 KiB batches and zstd, one transaction a page with the cursor in it.
It writes the same events to the same topics, and does nothing about failures, a second instance, or odd input. The
limit sends bytes that were encoded before, the same four pages over and over. Upstream serves ready pages from memory,
uncompressed, from a process of its own. The request budget is lifted: its default of 600 a minute allows ten pages a
second.
"""


def _several(figures: Figures) -> str:
    ones, twos = zip(*figures.scaling, strict=True)
    killed, ended = ([one[number] for one in figures.hand_overs] for number in (signal.SIGKILL, signal.SIGTERM))
    calls, entries = figures.calls, ones[0]["entries"]
    few, many = min(entries), max(entries)

    def cores(runs: Sequence[Scaling]) -> str:
        """CPU s a second, of the instances, of Kafka and of upstream."""
        own = median(sum(one["cpu"]) / one["seconds"] for one in runs)
        upstream = median(one["upstream"] / one["seconds"] for one in runs)
        brokers = [one["broker"] / one["seconds"] for one in runs if one["broker"] is not None]
        broker = f"{median(brokers):.2f}" if brokers else "not known"
        return f"{own:.2f}, {broker}, {upstream:.2f}"

    def a_day(interval: int) -> str:
        """MB of ledger, when every poll of each bucket brings something."""
        commits = 86_400 / interval * BUCKETS
        return f"{commits * entries[few] / 1e6:.2g} – {commits * entries[many] / 1e6:.2g} MB"

    return f"""\
| several instances of one feed | goal | measured |
| --- | --- | --- |
| hand-over after SIGKILL, until the next instance asks upstream | ≤ 15 s | {_spread(killed, "{:.1f}")} s |
| hand-over after SIGTERM | ≤ 3 s | {_spread(ended, "{:.1f}")} s |
| events/s of one, {BUCKETS} buckets in its 12 shards | | {_spread([rate(one) for one in ones], "{:,.0f}")} |
| events/s of two | | {_spread([rate(one) for one in twos], "{:,.0f}")} |
| two by one | ≥ 1.7× where there are cores | \
**{_spread([rate(two) / rate(one) for one, two in figures.scaling], "{:.1f}×")}** |
| cores busy with one: the instance, Kafka, upstream | | {cores(ones)} |
| cores busy with two: the instances, Kafka, upstream | | {cores(twos)} |

The instances share the machine's {os.cpu_count()} cores with Kafka and upstream.

| 12 shards of one instance | measured |
| --- | --- |
| idle, polling each second: calls to the coordinators, and all calls to Kafka | \
{calls["idle"]:.1f} and {calls["idle_all"]:.0f} a second |
| busy: transactions | {_spread([one["commits"] / one["seconds"] for one in ones], "{:.0f}")} a second |
| busy: calls to its coordinator of a transaction | {calls["each"]:.1f} |
| bytes of a ledger entry at Kafka, events in {few} and in {many} partitions | \
{entries[few]:,.0f} and {entries[many]:,.0f} |
| ledger of {BUCKETS} buckets a day, when every poll brings something: `VTJ_SCHEDULE__INTERVAL` 3600, 60 | \
{a_day(3600)}, {a_day(60)} |
"""


def _spread(values: Sequence[float], form: str) -> str:
    middle, low, high = (form.format(value) for value in (median(values), min(values), max(values)))
    return f"{middle} ({low} – {high})"


def _rows(rounds: Sequence[dict[str, Reading]]) -> str:
    def row(name: str) -> Iterable[str]:
        columns: tuple[tuple[Callable[[Reading], float], str], ...] = (
            (rate, "{:,.0f}"),
            (cpu, "{:.1f}"),
            (lambda one: one["peak"], "{:.0f}"),
        )
        yield NAMES[name]
        for column, form in columns:
            yield _spread([column(one[name]) for one in rounds], form)

    return "\n".join(f"| {' | '.join(row(name))} |" for name in NAMES)


def _machine() -> str:
    model, memory = platform.processor() or platform.machine(), ""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
        kilobytes = int(Path("/proc/meminfo").read_text().split()[1])
        memory = f", {kilobytes / 2**20:.0f} GiB of memory"
    except (OSError, StopIteration):
        pass  # no Linux, or a processor without a name
    libraries = [f"{name} {version(name)}" for name in ("aiohttp", "aiokafka", "fastavro", "orjson")]
    software = ", ".join([platform.system(), f"Python {platform.python_version()}", *libraries])
    return f"{os.cpu_count()} cores ({model}){memory}; {software}"
