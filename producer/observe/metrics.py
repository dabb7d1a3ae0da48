"""Every metric, once: name, type, labels, meaning. docs/metrics.md is made from here.

Names are without `_total` and the units' rules are Prometheus's. All but those of the process have the label `feed`.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final, Literal

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from producer import __version__
from producer.observe.pulse import Histogram, Pulse


@dataclass(frozen=True, slots=True)
class Declared:
    """of: a pulse → the value, or values by label, or None: not known."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    of: Callable[[Pulse], Any]
    label: str | None = None


METRICS: Final = (
    Declared("vtj_events", "counter", "Events and dead letters of changes committed.", lambda one: one.told_events),
    Declared("vtj_records", "counter", "Change records of committed pages.", lambda one: one.records),
    Declared("vtj_pages", "counter", "Pages committed.", lambda one: one.pages),
    Declared("vtj_commits", "counter", "Transactions of changes committed.", lambda one: one.commits),
    Declared("vtj_topic_records", "counter", "Kafka records committed, state too.", lambda one: one.events, "topic"),
    Declared("vtj_state_persons", "counter", "Persons whose state was read again.", lambda one: one.persons),
    Declared("vtj_aborts", "counter", "Transactions aborted.", lambda one: one.aborts),
    Declared("vtj_fences", "counter", "Times that another instance took over a shard.", lambda one: one.fences),
    Declared(
        "vtj_doubts",
        "counter",
        "Times that the outcome at Kafka was not known: all began anew.",
        lambda one: one.doubts,
    ),
    Declared(
        "vtj_retries",
        "counter",
        "Requests to upstream that failed and go again; cause: the HTTP status, X-Road's fault, connection, malformed.",
        lambda one: one.retries,
        "cause",
    ),
    Declared("vtj_dead_letters", "counter", "Dead letters committed.", lambda one: one.letters, "reason"),
    Declared(
        "vtj_unmapped",
        "counter",
        "Fields and groups that no schema holds; group: of the field; record: beside the groups; unknown: without one.",
        lambda one: one.unmapped,
        "group",
    ),
    Declared(
        "vtj_change_to_commit_seconds",
        "histogram",
        "From muutospv of the first change of each page, the oldest, to its commit.",
        lambda one: one.from_change,
    ),
    Declared(
        "vtj_page_to_commit_seconds",
        "histogram",
        "From the moment that a page was read to its commit.",
        lambda one: one.from_page,
    ),
    Declared("vtj_transaction_events", "histogram", "Events of a transaction of changes.", lambda one: one.transaction),
    Declared(
        "vtj_answered_timestamp_seconds",
        "gauge",
        "When upstream last answered successfully; the age of the cursor is the time since.",
        lambda one: {
            name: bucket.answered / 1000 for name, bucket in one.buckets.items() if bucket.answered is not None
        },
        "bucket",
    ),
    Declared(
        "vtj_backlog_seconds",
        "gauge",
        "Estimate of what upstream still has: how old the newest committed change is while more is to come, else 0.",
        lambda one: one.lag,
    ),
    Declared(
        "vtj_up_to_date",
        "gauge",
        "1 when upstream has said ajanTasalla.",
        lambda one: {name: int(bucket.up_to_date) for name, bucket in one.buckets.items()},
        "bucket",
    ),
    Declared("vtj_buckets", "gauge", "Buckets that this instance works on.", lambda one: len(one.buckets)),
    Declared(
        "vtj_group_joined", "gauge", "1 while this instance is a member of the group.", lambda one: int(one.joined)
    ),
    Declared(
        "vtj_kafka_answering",
        "gauge",
        "1 while the coordinator of the consumer group answers, and no commit is in doubt.",
        lambda one: int(one.answers() and "kafka" not in one.troubles),
    ),
    Declared(
        "vtj_upstream_failing",
        "gauge",
        "Tries of the request that fails just now; absent: none does.",
        lambda one: {trouble.cause: trouble.tries} if (trouble := one.troubles.get("upstream")) else {},
        "cause",
    ),
    Declared(
        "vtj_standing_still",
        "gauge",
        "1 while a line stands still until somebody mends the cause; line: changes, state.",
        lambda one: {"changes": int("feed" in one.troubles), "state": int("state" in one.troubles)},
        "line",
    ),
    Declared(
        "vtj_quota_left",
        "gauge",
        "Requests that VTJ_UPSTREAM__REQUESTS_PER_MINUTE lets go now.",
        lambda one: one.quota.left if one.quota else None,
    ),
    Declared(
        "vtj_quota_wait_seconds", "counter", "Time that requests waited for that budget.", lambda one: one.quota_wait
    ),
)
LOOP_DELAY: Final = ("vtj_event_loop_delay_seconds", "How late the event loop wakes a sleeper.")
TASKS: Final = ("vtj_tasks", "Tasks of the event loop.")


class _Pulses(Collector):
    def __init__(self, pulses: Mapping[str, Pulse], delay: Histogram) -> None:
        self._pulses, self._delay = pulses, delay

    def collect(self) -> Iterator[Metric]:
        for one in METRICS:
            yield _family(one, self._pulses)
        delay = HistogramMetricFamily(*LOOP_DELAY)
        delay.add_metric([], *_buckets(self._delay))
        yield delay
        yield GaugeMetricFamily(*TASKS, value=len(asyncio.all_tasks()))
        yield InfoMetricFamily("vtj_build", "The release.", value={"version": __version__})


def _family(one: Declared, pulses: Mapping[str, Pulse]) -> Metric:
    labels = ["feed", *([one.label] if one.label else [])]
    made: Any = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}
    family = made[one.kind](one.name, one.help, labels=labels)
    for feed, pulse in pulses.items():
        value = one.of(pulse)
        if isinstance(value, Histogram):
            family.add_metric([feed], *_buckets(value))
        elif one.label:
            for name, count in value.items():
                family.add_metric([feed, name], count)
        elif value is not None:
            family.add_metric([feed], value)
    return family  # type: ignore[no-any-return]


def _buckets(told: Histogram) -> tuple[list[tuple[str, float]], float]:
    ends = [*map(str, map(float, told.bounds)), "+Inf"]
    return list(zip(ends, map(float, accumulate(told.counts)), strict=True)), told.sum


def registry(pulses: Mapping[str, Pulse], delay: Histogram) -> CollectorRegistry:
    made = CollectorRegistry()
    made.register(_Pulses(pulses, delay))
    ProcessCollector(registry=made)
    PlatformCollector(registry=made)
    return made


def table() -> str:
    """For docs/metrics.md."""
    rows = ["| metric | type | labels | meaning |", "| --- | --- | --- | --- |"]
    for one in METRICS:
        name = f"{one.name}_total" if one.kind == "counter" else one.name
        labels = "`feed`" + (f", `{one.label}`" if one.label else "")
        rows.append(f"| `{name}` | {one.kind} | {labels} | {one.help} |")
    rows += [f"| `{LOOP_DELAY[0]}` | histogram | | {LOOP_DELAY[1]} |", f"| `{TASKS[0]}` | gauge | | {TASKS[1]} |"]
    rows.append("| `vtj_build_info` | info | `version` | The release. |")
    return "\n".join(rows) + "\n"
