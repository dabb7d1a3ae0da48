"""The demo's picture fits whatever terminal it is given."""

import logging
from io import StringIO

import pytest
from aiokafka.structs import ConsumerRecord
from rich.console import Console

from producer.demo.news import News
from producer.demo.screen import line, picture
from producer.events.convert import Converter
from producer.events.decode import Decoder
from producer.events.framing import SingleObject
from producer.events.groups import Catalogue
from producer.kafka.cursor import Position
from producer.model import Page
from producer.sandbox import Sandbox

CATALOGUE = Catalogue.load()
POSITION = Position("demo", "0", 5_446_003_000, 0, upToDate=True, fetchedAt=0, committedAt=0, instance="i")
WHERE, NOTE = "topics demo-000000.* on 127.0.0.1:45589", "Embedded broker: never for production."


@pytest.fixture(scope="module")
def news() -> News:
    """As after three hundred changes."""
    told = News("d", Decoder(CATALOGUE), "d")
    records = [record for _, record in Sandbox(history=300).log()]
    converter = Converter(CATALOGUE, SingleObject(), prefix="d", feed="demo")
    encoded = converter.convert(Page("CHANGE", "0", 0, POSITION.cursor, True, 0, records))
    for event in encoded.events:
        told.see(ConsumerRecord(event.topic, 0, 0, 0, 0, event.key, event.value, 0, 0, 0, ()))
    told.see(ConsumerRecord("d.ledger", 0, 0, 0, 0, b"", b'{"records":300}', 0, 0, 0, ()))
    told.see(ConsumerRecord("d.cursor", 0, 0, 0, 0, b"", POSITION.encode(), 0, 0, 0, ()))
    return told


def drawn(news: News, width: int, height: int) -> list[str]:
    console = Console(file=StringIO(), width=width, height=height)
    console.print(picture(news, WHERE, NOTE, width, height))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (60, 16), (200, 100), (60, 12)])
def test_a_frame_fills_the_terminal_and_no_more(news: News, width: int, height: int) -> None:
    rows = drawn(news, width, height)
    assert len(rows) == height
    assert max(map(len, rows)) <= width
    assert rows[0].startswith("vtj-producer demo")
    assert rows[-1].endswith("Ctrl-C: end and check")


def test_eighty_by_twenty_four_holds_the_fullest_topics_and_says_so(news: News) -> None:
    text = "\n".join(drawn(news, 80, 24))
    assert len(news.topics) > 18
    for topic, count in news.topics.most_common(18):
        assert topic[:28] in text
        assert f"{count:,}" in text
    assert f"; the fullest 18 of {len(news.topics)}" in text
    assert "300 " in text
    assert "5446003000, up to date at" in text


def test_every_topic_has_its_place_where_there_is_room(news: News) -> None:
    text = "\n".join(drawn(news, 100, 50))
    assert all(topic[:38] in text for topic in news.topics)
    assert "the fullest" not in text


def test_a_narrow_terminal_keeps_the_fullest_topics(news: News) -> None:
    text = "\n".join(drawn(news, 80, 17))
    (fullest, _), *_, (emptiest, _) = news.topics.most_common()
    assert f"\n{fullest} " in text or f" {fullest} " in text
    assert f"{emptiest} " not in text.partition("latest events")[0]


def test_before_the_first_commit_nothing_is_claimed() -> None:
    news = News("d", Decoder(CATALOGUE), "d")
    rows = drawn(news, 80, 24)
    assert len(rows) == 24
    assert "none yet" in rows[3]
    assert line(news) == "0 change records → 0 events on 0 topics, cursor none yet"


def test_a_warning_is_shown_until_the_next_commit() -> None:
    news = News("d", Decoder(CATALOGUE), "d")
    news.handle(logging.makeLogRecord({"msg": "beginning again", "levelno": logging.WARNING}))
    assert "! beginning again" in drawn(news, 80, 24)
    news.see(ConsumerRecord("d.cursor", 0, 0, 0, 0, b"", POSITION.encode(), 0, 0, 0, ()))
    assert "beginning again" not in "\n".join(drawn(news, 80, 24))
