"""What becomes of the faults of a page, and of those that are none of its own."""

import logging

import pytest

from producer.errors import Doubt, MalformedPage, PoisonPage, Rejected, StepDown, TopicsDiffer
from producer.operate.poison import TRIES, Poison

CODE = "010594Y9032"
WHERE = "(feed vtj, bucket 7, after cursor 5"


def fault() -> Exception:
    try:
        raise KeyError(CODE)
    except KeyError as error:
        return error


@pytest.mark.parametrize("error", [fault(), Rejected("delivery of the events: MessageSizeTooLargeError")], ids=repr)
def test_a_few_tries_then_a_stop_that_says_where(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    poison = Poison("vtj")
    for number in range(1, TRIES):
        doubt = poison.of(error, "7", 5)
        assert type(doubt) is Doubt
        assert f"{WHERE}, try {number} of {TRIES})" in str(doubt)
    stop = poison.of(error, "7", 5)
    assert isinstance(stop, PoisonPage)
    assert f"{WHERE})." in str(stop)
    assert "fetch --cursor 5 --bucket 7 --output FILE" in stop.hint
    assert ("--skip-poison 5" in stop.hint) == isinstance(error, KeyError)
    assert CODE not in f"{stop}{stop.hint}"


def test_tries_count_for_one_page_of_one_bucket(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    poison = Poison("vtj")
    for bucket, cursor in [("7", 5), ("8", 5), ("7", 5), ("7", 6), ("8", 5), ("7", 6), ("7", 7)]:
        assert type(poison.of(fault(), bucket, cursor)) is Doubt
    assert isinstance(poison.of(fault(), "8", 5), PoisonPage)


def test_a_stop_says_where_and_stays_what_it_is() -> None:
    poison = Poison("vtj")
    malformed = poison.of(MalformedPage("It is not JSON.", hint="Show DVV."), "7", 5)
    assert (type(malformed), str(malformed)) == (MalformedPage, f"It is not JSON. {WHERE})")
    assert isinstance(malformed, MalformedPage)
    assert malformed.hint.startswith("Show DVV. `vtj-producer fetch --cursor 5 --bucket 7")
    differ = poison.of(TopicsDiffer("Two.", hint="Apply."), "7", 5)
    assert isinstance(differ, TopicsDiffer)
    assert (str(differ), differ.hint) == (f"Two. {WHERE})", "Apply.")


@pytest.mark.parametrize("error", [Doubt("the commit"), StepDown("another")], ids=repr)
def test_who_is_away_is_no_fault_of_the_page(error: Exception) -> None:
    poison = Poison("vtj")
    assert all(poison.of(error, "7", 5) is error for _ in range(TRIES * 3))


def test_before_the_first_page_there_is_no_place() -> None:
    error = MalformedPage("No kirjausavain.", hint="")
    assert Poison("vtj").of(error, "7", None) is error
