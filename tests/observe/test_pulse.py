"""What is told, and what is made of it: the state in a word, readiness, metrics."""

import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from producer.events.convert import Converter
from producer.events.framing import SingleObject
from producer.events.groups import Catalogue
from producer.model import EncodedEvent, EncodedPage, Page
from producer.observe import metrics, status
from producer.observe.pulse import DAY, Pulse
from tests.integration.deployment import change

METRICS_MD = Path(__file__).parents[2] / "docs" / "metrics.md"


def now() -> int:
    return time.time_ns() // 1_000_000


def page(cursor: int, *, up_to_date: bool = True, ago: int = 0, **more: Any) -> EncodedPage:
    event = EncodedEvent("vtj.change.kotikunta", b"key", b"value", [], now(), 0)
    changed = (now() - ago, now() - ago)
    return EncodedPage("0", cursor - 1, cursor, up_to_date, now(), 1, [event], changed=changed, **more)


def answer(cursor: int, *, up_to_date: bool = True) -> Page:
    return Page("CHANGE", "0", cursor, cursor, up_to_date, now(), ())


@pytest.fixture
def pulse() -> Pulse:
    one = Pulse("vtj")
    one.has({0})
    one.opened("0", 5, now())
    return one


def word(pulse: Pulse) -> str:
    return status.state(pulse)[0]


def test_the_life_of_a_feed_in_words() -> None:
    one = Pulse("vtj")
    assert word(one) == "starting"
    one.has(())
    assert word(one) == "waiting"
    one.has({0, 3})
    one.opened("0", None, None)
    assert word(one) == "catching-up"
    one.committed("0", [page(6, up_to_date=False)], 0.1)
    assert word(one) == "catching-up"
    one.committed("0", [page(7)], 0.1)
    assert word(one) == "flowing"
    one.retrying("upstream", "Upstream answered 503.", "HTTP 503")
    assert status.state(one)[::2] == ("upstream", "Upstream answered 503.")
    one.well("upstream")
    one.left("another instance took over", fenced=True)
    assert status.state(one)[::2] == ("kafka", "another instance took over")
    one.has({0})
    one.opened("0", 7, now())
    one.answered(answer(7))
    assert word(one) == "flowing"
    one.has(())
    assert word(one) == "waiting"


def test_an_answer_without_news_is_up_to_date_only_at_the_cursor(pulse: Pulse) -> None:
    pulse.answered(answer(9))  # not committed yet
    assert word(pulse) == "catching-up"
    pulse.answered(answer(5, up_to_date=False))
    assert word(pulse) == "catching-up"
    pulse.answered(answer(5))
    assert word(pulse) == "flowing"


def test_what_is_late_is_stalled(pulse: Pulse) -> None:
    pulse.answered(answer(5))
    pulse.next = now() - status.STALLED * 1000 + 5000
    assert word(pulse) == "flowing"
    pulse.next -= 10_000
    assert word(pulse) == "stalled"
    pulse.buckets["0"].up_to_date = False
    assert word(pulse) == "catching-up"
    pulse.buckets["0"].answered = pulse.buckets["0"].committed = now() - status.STALLED * 1000 - 1
    assert word(pulse) == "stalled"


def test_ready_is_who_works_and_who_waits_for_its_turn(pulse: Pulse) -> None:
    assert status.failing(Pulse("vtj")) == {"group": "not a member of the consumer group yet"}
    assert status.failing(pulse) == {}
    pulse.failing("state", "perustiedot refuses")
    pulse.buckets["0"].answered = now() - (DAY + 7200) * 1000
    assert status.failing(pulse) == {"state": "perustiedot refuses", "age": "upstream last answered 26 h ago"}
    pulse.has(())
    assert status.failing(pulse) == {"state": "perustiedot refuses"}


def test_a_trouble_keeps_its_beginning(pulse: Pulse) -> None:
    pulse.retrying("upstream", "first", "HTTP 503")
    since = pulse.troubles["upstream"].since
    pulse.retrying("upstream", "second", "connection")
    trouble = pulse.troubles["upstream"]
    assert (trouble.why, trouble.since, trouble.tries) == ("second", since, 2)
    assert pulse.retries == {"HTTP 503": 1, "connection": 1}


def test_the_next_poll_is_the_earliest_of_all_buckets(pulse: Pulse) -> None:
    pulse.polls(100)
    pulse.polls(50)
    pulse.polls(70)
    assert pulse.next == pytest.approx(now() + 50_000, abs=2000)
    pulse.next = now() - 1
    pulse.polls(70)
    assert pulse.next == pytest.approx(now() + 70_000, abs=2000)


def test_behind_is_how_old_the_newest_committed_change_is(pulse: Pulse) -> None:
    pulse.committed("0", [page(6, ago=90_000), page(7, up_to_date=False, ago=60_000)], 0.1)
    pulse.committed("1", [page(7, up_to_date=False, ago=30_000)], 0.1)
    assert pulse.lag == pytest.approx(60, abs=2)
    pulse.committed("0", [page(8)], 0.1)
    assert pulse.lag == pytest.approx(30, abs=2)
    pulse.committed("1", [page(8)], 0.1)
    assert pulse.lag == 0


def test_latency_and_backlog_are_from_muutospv(pulse: Pulse) -> None:
    """Kafka's time of the events is when the page was read, however old the changes on it are."""

    def told(*seconds: float | None) -> EncodedPage:
        records = [
            change("010203-9012") | {"muutospv": when}
            for ago in seconds
            for when in [ago and time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago))]
        ]
        converter = Converter(Catalogue.load(), SingleObject(), prefix="vtj", feed="vtj")
        return converter.convert(Page("CHANGE", "0", 1, 2, False, now(), records))

    pulse.committed("0", [told(7200, None, 3600)], 0.1)
    assert pulse.from_change.sum == pytest.approx(7200, abs=5)
    assert pulse.lag == pytest.approx(3600, abs=5)
    pulse.committed("0", [told(7200, None), told()], 0.1)  # nobody knows
    assert sum(pulse.from_change.counts) == 1


def test_labels_are_bounded_and_no_codes(pulse: Pulse) -> None:
    unmapped = {"010594Y9032": 2, "KOTIKUNTA.uusi.010594Y9032": 3, "../uusi": 4, "NIMI (outside-permit)": 5}
    pulse.committed("0", [page(7, unmapped=unmapped, dead={"no-person": 4, "x" * 300: 1})], 0.1)
    assert pulse.unmapped == {"unknown": 2, "KOTIKUNTA": 3, "record": 4, "NIMI": 5}
    assert pulse.letters == {"no-person": 4, "other": 1}
    for at in range(1000):
        pulse.retrying("upstream", "", f"cause {at}")
    assert len(pulse.retries) <= 201


def told(pulse: Pulse) -> str:
    made = metrics.registry({"vtj": pulse}, status.History().delay)
    return generate_latest(made).decode()  # type: ignore[no-untyped-call,no-any-return]


def parsed(text: str) -> list[Any]:
    return [*text_string_to_metric_families(text)]  # type: ignore[no-untyped-call]


async def test_metrics_say_what_was_told(pulse: Pulse) -> None:
    pulse.committed("0", [page(6, ago=5000, dead={"no-person": 1}), page(7)], 0.02)
    pulse.wrote({("vtj.change.kotikunta", 0): 2, ("vtj.change.kotikunta", 1): 1})
    pulse.retrying("upstream", "Upstream answered 503.", "HTTP 503")
    text = told(pulse)
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in parsed(text)
        for sample in family.samples
    }
    feed = ("feed", "vtj")
    assert found["vtj_topic_records_total", feed, ("topic", "vtj.change.kotikunta")] == 3
    assert found["vtj_pages_total", feed] == found["vtj_records_total", feed] == 2
    assert found["vtj_dead_letters_total", feed, ("reason", "no-person")] == 1
    assert found["vtj_retries_total", ("cause", "HTTP 503"), feed] == 1
    assert found["vtj_events_total", feed] == 2
    assert found["vtj_upstream_failing", ("cause", "HTTP 503"), feed] == 1
    assert found["vtj_kafka_answering", feed] == 1
    assert found["vtj_standing_still", feed, ("line", "state")] == 0
    assert found["vtj_change_to_commit_seconds_bucket", feed, ("le", "1.0")] == 1
    assert found["vtj_change_to_commit_seconds_bucket", feed, ("le", "10.0")] == 2
    assert found["vtj_change_to_commit_seconds_count", feed] == found["vtj_page_to_commit_seconds_count", feed] == 2
    assert found["vtj_transaction_events_sum", feed] == 2
    assert found["vtj_answered_timestamp_seconds", ("bucket", "0"), feed] == pytest.approx(time.time(), abs=10)
    assert ("vtj_quota_left", feed) not in found
    assert found["process_resident_memory_bytes",] > 1e6
    documented = {one.name for one in metrics.METRICS} | {metrics.LOOP_DELAY[0], metrics.TASKS[0], "vtj_build"}
    families = {family.name for family in parsed(text)}
    assert {name for name in families if name.startswith("vtj")} == documented


def test_the_document_has_every_metric() -> None:
    assert metrics.table() in METRICS_MD.read_text(), (
        "python -c 'from producer.observe import metrics; print(metrics.table())'"
    )


def test_plots_are_bounded_and_rates_are_of_the_time_between(pulse: Pulse, monkeypatch: pytest.MonkeyPatch) -> None:
    history, clock = status.History(), [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    for at in range(status.POINTS + 40):
        pulse.events["vtj.change.kotikunta"] = at * 50
        history.take({"vtj": pulse})
        clock[0] += 20
    rates = history.of("vtj")["rate"]
    assert len(rates) == status.POINTS
    assert {*rates} == {2.5}
