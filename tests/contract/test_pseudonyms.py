"""With pseudonyms no identity code is in any byte of what a page becomes, wherever it stood; and nothing is lost."""

import json
from functools import cache
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from producer.cli.convert import lines, summary
from producer.events.convert import Converter
from producer.events.decode import Decoder
from producer.events.framing import SingleObject
from producer.events.groups import Catalogue
from producer.events.identities import Identities
from producer.events.pseudonyms import Pseudonyms
from producer.model import EncodedEvent, EncodedPage, Page
from producer.redaction import IDENTITY_CODE
from producer.upstream.answer import parse_page
from tests.contract.converting import changes
from tests.contract.rebuild import rebuild, same
from tests.contract.test_mutations import CODE, CODEPOINTS, NAMES, PAGES, THOROUGH, containers

HIDDEN = Pseudonyms(b"0123456789abcdef0123456789abcdef", 1)
PLANTED = ["010180-9945", "140385-917Y", "301183-952B", "010594Y9032", "020504A902E", "010100+901F"]
CORRECTION = {
    "tietoryhma": "HENKILOTUNNUS_KORJAUS",
    "aktiivinenHenkilotunnus": PLANTED[0],
    "muutettuHenkilotunnus": PLANTED[1],
    "edellisetHenkilotunnukset": [PLANTED[2], "tunnus 7"],
}
CODED = sorted(Catalogue.load().code_fields)


@cache
def machinery(*, keyed: bool) -> tuple[Converter, Decoder]:
    catalogue, framing = Catalogue.load(), SingleObject()
    identities = Identities(catalogue, framing, prefix="vtj", feed="vtj")
    hidden = HIDDEN if keyed else None
    converter = Converter(catalogue, framing, prefix="vtj", feed="vtj", hidden=hidden, identities=identities)
    return converter, Decoder(catalogue)


@st.composite
def planted(draw: st.DrawFn) -> dict[str, Any]:
    """An answer, odd in every way, with codes as values, parts of text, names, items, and deeper."""
    answer: dict[str, Any] = json.loads(json.dumps(draw(PAGES)))
    margin = st.text(CODEPOINTS, max_size=3)
    for _ in range(draw(st.integers(1, 5))):
        code = draw(st.sampled_from(PLANTED))
        text = code if draw(st.booleans()) else draw(margin) + code + draw(margin)
        value = draw(st.sampled_from([text, [text], {"uusi": text}, {text: text}, [[{text: [text]}]], {"arvo": text}]))
        place = draw(st.sampled_from(containers([value for value in answer.values() if value] or [answer])))
        if isinstance(place, list):
            place.insert(draw(st.integers(0, len(place))), value)
        else:
            known = st.sampled_from(sorted(place)) if place else NAMES
            name = draw(st.just(text) | st.sampled_from(CODED) | known | NAMES)
            place[name] = value
    answer[draw(st.sampled_from(["uusi", *PLANTED]))] = draw(st.sampled_from(PLANTED))
    return answer


def page_of(answer: Any) -> Page:
    return parse_page(json.dumps(answer).encode(), bucket="0", previous=1, fetched_at=0)


def codes(value: Any) -> set[str]:
    """Whatever is shaped like one in what JSON can hold."""
    texts = [text for one in containers([value]) for text in one if isinstance(text, str)]
    texts += [text for one in containers([value]) if isinstance(one, dict) for text in one.values()]
    return {code for text in texts if isinstance(text, str) for code in IDENTITY_CODE.findall(text)}


def raw_bytes(events: list[EncodedEvent]) -> bytes:
    pieces = [
        piece
        for event in events
        for piece in (event.topic.encode(), event.key or b"", event.value, *(text for _, text in event.headers))
    ]
    return b"\n".join(pieces)


def converted(answer: Any, *, keyed: bool = True) -> tuple[Page, EncodedPage]:
    page, (converter, _) = page_of(answer), machinery(keyed=keyed)
    assert converter._identities is not None
    converter._identities.begin()
    return page, converter.convert(page)


@THOROUGH
@given(planted())
@example(changes([{"henkilotunnus": PLANTED[0], "tietoryhmat": [PLANTED[1], {"tietoryhma": PLANTED[2]}]}]))
@example(changes([{"henkilotunnus": [PLANTED[0]], PLANTED[1]: 1}, PLANTED[2], [PLANTED[3]]]))
@example(changes([{"henkilotunnus": CODE, "tietoryhmat": [CORRECTION]}]))
@example(changes([{"henkilotunnus": f"{CODE}\ud800", "tietoryhmat": [{}]}, {"henkilotunnus": PLANTED[0] * 6}]))
def test_no_code_is_in_any_byte(answer: dict[str, Any]) -> None:
    page, encoded = converted(answer)
    converter, _ = machinery(keyed=True)
    cut = [converter.oversized(encoded, event, len(event.value) // 2) for event in encoded.events]
    written = raw_bytes([*encoded.events, *cut]) + summary(page, encoded).encode()
    for code in codes([page.records, dict(page.extra)]):
        assert code.encode() not in written


@THOROUGH
@given(planted())
def test_what_a_page_becomes_is_the_same_but_for_codes(answer: dict[str, Any]) -> None:
    _, encoded = converted(answer)
    _, plain = converted(answer, keyed=False)
    assert [event.topic for event in encoded.events] == [event.topic for event in plain.events]
    assert [event.position for event in encoded.events] == [event.position for event in plain.events]
    assert encoded.dead == plain.dead
    assert sum(encoded.unmapped.values()) == sum(plain.unmapped.values())
    for event, other in zip(encoded.events, plain.events, strict=True):
        names = {name for name, _ in event.headers} - {"ce_keyversion"}
        assert names == {name for name, _ in other.headers}
        key = other.key and other.key.decode()
        building = key and len(key) == 10 and key[:9].isdecimal() and event.key == other.key
        assert event.key == (key and HIDDEN.of(key).encode()) or building


@THOROUGH
@given(planted())
def test_a_page_can_be_rebuilt_from_its_events_but_for_codes(answer: dict[str, Any]) -> None:
    page, encoded = converted(answer)
    out = [json.loads(line) for line in lines(encoded, machinery(keyed=True)[1])]
    records, _ = rebuild([line for line in out if line["topic"] != "vtj.identity"])
    hidden = HIDDEN.hide(list(page.records), CODED)
    assert len(records) == len(hidden)
    for original, rebuilt in zip(hidden, records, strict=True):
        assert same(original, rebuilt)
