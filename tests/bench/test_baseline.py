"""The comparison is honest only if both write the same: topics, keys, headers, schemas, values."""

import orjson

from producer.events.convert import Converter
from producer.events.decode import Decoder
from producer.events.framing import SingleObject
from producer.events.groups import Catalogue
from producer.upstream.answer import parse_page
from tests.bench.baseline import Conversion
from tests.bench.pages import RECORDS, answer, as_json, pages

WHEN = 1_793_517_304_394
IDS = ("recordId", "eventId")


def test_the_script_writes_the_products_events() -> None:
    catalogue, framing = Catalogue.load(), SingleObject()
    body = b"".join(answer(as_json(next(pages(1))), 1, up_to_date=True))
    page = parse_page(body, bucket="0", previous=0, fetched_at=WHEN)
    ours = Converter(catalogue, framing, prefix="vtj", feed="bench").convert(page)
    assert (ours.records, ours.unmapped, ours.dead) == (RECORDS, {}, {})
    theirs = list(Conversion("vtj", "bench").records(orjson.loads(body), WHEN))
    assert len(ours.events) == len(theirs)

    decode = Decoder(catalogue).decode
    same_ids = set()
    for event, (topic, key, value, headers) in zip(ours.events, theirs, strict=True):
        one, other = decode(event.value), decode(value)
        same_ids.add((one["recordId"], other["recordId"]))
        assert event.value[:10] == value[:10]  # the schema's fingerprint
        assert (event.topic, event.key) == (topic, key)
        assert dict(headers)["ce_id"].decode() == str(other["eventId"])
        assert sorted(event.headers[1:]) == sorted(headers[1:])
        assert {**one, **dict.fromkeys(IDS)} == {**other, **dict.fromkeys(IDS)}
    # Ids differ in kind, but tell the same records apart.
    assert len(same_ids) == len({one for one, _ in same_ids}) == len({other for _, other in same_ids}) == RECORDS
