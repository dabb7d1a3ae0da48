"""What holds persons does not show them: not by `repr`, `str` or `format`, and not from within a container."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import orjson

from producer.config import Kafka
from producer.config import Upstream as Settings
from producer.events.convert import Converter
from producer.events.envelope import Envelope
from producer.events.fit import fit_group
from producer.events.framing import SingleObject
from producer.events.groups import Catalogue
from producer.events.page import PageEncoding
from producer.kafka.batches import Batches
from producer.model import EncodedEvent, EncodedPage, Page
from producer.operate.commits import LoggedShard
from producer.sandbox import Sandbox
from producer.sandbox.dice import Dice
from producer.sandbox.faults import Step
from producer.sandbox.hetu import personal_code
from producer.sandbox.register import Register, home
from producer.sandbox.service import Muutokset, Perustiedot, PerustiedotVko
from producer.upstream.answer import parse_page
from producer.upstream.client import Upstream
from producer.upstream.retrying import Retrying
from tests import privacy

CODE = personal_code(date(2001, 2, 3), 912, "C")
ADDRESS = {"tietoryhma": "VAKINAINEN_KOTIMAINEN_OSOITE", "katunimi": {"fi": "Kätkölänkuja"}, "uusi": "Salakammari"}
RECORD = {
    "henkilotunnus": CODE,
    "tietoryhmat": [ADDRESS, {"tietoryhma": CODE, CODE: CODE}, {"tietoryhma": f"x{CODE}"}, CODE],
    "muutospv": CODE,
    CODE: "Salakammari",
}
ANSWER = orjson.dumps(
    {"viimeisinKirjausavain": 9, "muutokset": [RECORD, CODE, {"henkilotunnus": CODE}], "ajanTasalla": True, CODE: CODE}
)


class Opened:
    cursor = 1
    answered = None

    async def begin(self, cursor: int) -> None: ...

    async def commit(self, pages: Sequence[EncodedPage]) -> None: ...


def holders() -> Iterator[Any]:
    """Everything on a page's way through the program that holds a person, and what it is asked for with."""
    page = parse_page(ANSWER, bucket="0", previous=1, fetched_at=0)
    assert isinstance(page, Page)
    yield page
    catalogue, framing = Catalogue.load(), SingleObject()
    converter = Converter(catalogue, framing, prefix="vtj", feed="vtj")
    encoded = converter.convert(page)
    assert isinstance(encoded, EncodedPage)
    assert len(encoded.events) == 6
    assert encoded.dead == {"group-not-object": 1, "record-not-object": 1, "no-groups": 1}
    yield encoded
    yield from encoded.events
    yield converter.oversized(encoded, encoded.events[0], 100)
    yield EncodedEvent("vtj.change.kotikunta", CODE.encode(), CODE.encode(), [("ce_id", CODE.encode())], 0, 0)
    yield converter
    envelope = Envelope(catalogue, framing, "vtj")
    yield envelope
    yield PageEncoding(page, "vtj", envelope, converter._dead_letters)
    yield fit_group(catalogue.groups["VAKINAINEN_KOTIMAINEN_OSOITE"].record, ADDRESS, frozenset())

    settings = Settings.model_validate({"url": "https://vtj.example.fi"})
    upstream = Upstream(settings)
    yield upstream
    retrying = Retrying(upstream, settings, patience=None)
    yield from (settings, retrying, retrying.changes_since)
    batches: Any = Batches(None, {"vtj.change.kotikunta": 1}, {"vtj.change.kotikunta": 1 << 20}, 1)
    yield from (batches, Kafka(), LoggedShard(Opened(), "0"))

    sandbox = Sandbox(persons=3, history=5)
    sandbox.append([RECORD])
    yield from (sandbox, sandbox._source, sandbox._service, sandbox._control, sandbox._script)
    register = Register(1, 3, censored=False)
    yield from (register, register[0], home(Dice(1), "091", date(2025, 1, 1)))
    yield Step.model_validate({"fault": "record", "records": [RECORD]})
    yield Muutokset.model_validate({"viimeisinKirjausavain": 1, "hetulista": [CODE]})
    yield Perustiedot.model_validate({"hetulista": [CODE]})
    yield PerustiedotVko.model_validate({"hetulista": [CODE]})


def test_nothing_that_holds_a_person_shows_it() -> None:
    shown = {
        f"{type(one).__name__}: {text}"
        for one in holders()
        for text in (repr(one), str(one), format(one), "%s" % (one,), repr([one]), repr({"one": (one,)}))  # noqa: UP031
        if privacy.shown(text) or CODE[:6] in text
    }
    assert not shown
