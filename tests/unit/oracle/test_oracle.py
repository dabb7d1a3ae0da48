"""The oracle finds every kind of damage: one that cannot fail would be worth nothing."""

import ast
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import tests.oracle
from tests.oracle import Stored, Verdict, judge
from tests.oracle.content import Unreadable, content_found
from tests.oracle.events import Commit
from tests.oracle.followed import Spell, spells
from tests.unit.oracle.honest import ANNA, LOG, PEKKA, PREFIX, SCHEMAS, START, Line, altered, encode, retold

Damage = Callable[[list[Stored]], list[Stored]]


def verdict(damage: Damage = list) -> Verdict:
    stored = damage(Line().stored)
    return judge(LOG, sorted(stored, key=lambda one: (*one.slot, one.offset)), PREFIX)


def figures(found: Verdict) -> dict[str, int]:
    names = ("lost", "doubled", "out_of_order", "ahead", "orphans", "wrong", "ledger")
    return {name: getattr(found, name) for name in names if getattr(found, name)}


def pick(stored: list[Stored], topic: str, key: str | None = None, nth: int = 0) -> Stored:
    wanted = None if key is None else key.encode()
    return [one for one in stored if one.topic == topic and (key is None or one.key == wanted)][nth]


def change_one(stored: list[Stored], old: Stored, new: Stored) -> list[Stored]:
    return [new if one is old else one for one in stored]


def test_an_honest_line_is_sound() -> None:
    found = verdict()
    assert figures(found) == {}
    assert found.sound
    assert (found.changes, found.commits, found.cursor) == (len(LOG), 4, LOG[-1].kirjausavain)
    assert found.events == 18


def test_what_the_permit_does_not_cover_belongs_to_the_unmapped() -> None:
    stored = sorted(Line().stored, key=lambda one: (*one.slot, one.offset))
    assert judge(LOG, stored, PREFIX, permit=SCHEMAS.groups).sound
    found = judge(LOG, stored, PREFIX, permit=SCHEMAS.groups - {"KOTIKUNTA"})
    told = sum(one.topic == "change.kotikunta" for one in stored)
    assert (found.lost, found.orphans) == (told, told)


def test_an_empty_kafka_is_sound_and_says_that_nothing_was_passed() -> None:
    found = judge(LOG, [], PREFIX)
    assert found.sound
    assert (found.changes, found.cursor) == (0, None)


def lost(stored: list[Stored]) -> list[Stored]:
    gone = pick(stored, "change.kotikunta", PEKKA, 1)
    return [one for one in stored if one is not gone]


def lost_identity(stored: list[Stored]) -> list[Stored]:
    gone = pick(stored, "identity")
    return [one for one in stored if one is not gone]


def wrong_identity(stored: list[Stored]) -> list[Stored]:
    one = pick(stored, "identity")
    return change_one(stored, one, altered(one, active=ANNA, codes=[ANNA]))


def lost_letter(stored: list[Stored]) -> list[Stored]:
    gone = pick(stored, "dead-letter", None, 1)
    return [one for one in stored if one is not gone]


def lost_page(stored: list[Stored]) -> list[Stored]:
    """All of the first page, which shares its commit with the next."""
    return [one for one in stored if one.topic in ("cursor", "ledger") or cursor_of(one) != LOG[1].kirjausavain]


def cursor_of(one: Stored) -> int:
    return int(SCHEMAS.decode(one.topic, one.value or b"")["cursor"])


def lost_one_of_two_alike(stored: list[Stored]) -> list[Stored]:
    gone = pick(stored, "change.kotikunta", ANNA, 1)
    return [one for one in stored if one is not gone]


def doubled(stored: list[Stored]) -> list[Stored]:
    one = pick(stored, "change.sahkopostiosoite")
    return [*stored, replace(one, offset=one.offset + 100)]


def doubled_under_another_cursor(stored: list[Stored]) -> list[Stored]:
    """As when a page was fetched and committed again from a stale cursor."""
    one = pick(stored, "change.sahkopostiosoite")
    return [*stored, altered(replace(one, offset=one.offset + 100), cursor=LOG[6].kirjausavain, position=9)]


def reordered(stored: list[Stored]) -> list[Stored]:
    first, second = (pick(stored, "change.kotikunta", PEKKA, nth) for nth in (0, 2))
    swapped = {first: replace(first, offset=second.offset), second: replace(second, offset=first.offset)}
    return [swapped.get(one, one) for one in stored]


def orphan_of_nobody(stored: list[Stored]) -> list[Stored]:
    one = pick(stored, "change.kotikunta", PEKKA)
    data = {"kuntakoodi": "999", "kuntaanMuuttopv": None, "kuntaanMuuttoPv": None}
    return [*stored, altered(replace(one, offset=100), cursor=LOG[-1].kirjausavain, position=50, data=data)]


def orphans_of_an_aborted_page(stored: list[Stored]) -> list[Stored]:
    """The events of the last commit without its cursor and ledger entry: they should not be visible."""
    return [one for one in stored if not (one.topic in ("cursor", "ledger") and one.offset == 6)]


def cursor_ahead(stored: list[Stored]) -> list[Stored]:
    """The cursor and the ledger entry of the last commit without its events."""
    last = LOG[-1].kirjausavain
    return [one for one in stored if one.topic in ("cursor", "ledger") or cursor_of(one) != last]


def cursor_before_events(stored: list[Stored]) -> list[Stored]:
    """The events are there, but behind the offsets of the commit that moved the cursor over them."""
    return [
        replace(one, offset=one.offset + 50)
        if one.topic.startswith("change.") and cursor_of(one) == LOG[-1].kirjausavain
        else one
        for one in stored
    ]


def cursor_without_ledger(stored: list[Stored]) -> list[Stored]:
    last = pick(stored, "cursor", None, -1)
    return [one for one in stored if not (one.topic == "ledger" and one.offset == last.offset)]


def cursor_from_nowhere(stored: list[Stored]) -> list[Stored]:
    last, previous = pick(stored, "cursor", None, -1), LOG[-1].kirjausavain
    return [*stored, retold(replace(last, offset=20), cursor=previous + 5, previousCursor=previous)]


def wrong_content(stored: list[Stored]) -> list[Stored]:
    one = pick(stored, "change.kotikunta", PEKKA, 2)
    data = {"kuntakoodi": "006", "kuntaanMuuttopv": None, "kuntaanMuuttoPv": None}
    return change_one(stored, one, altered(one, data=data))


def wrong_field_dropped(stored: list[Stored]) -> list[Stored]:
    one = pick(stored, "change.unmapped")
    return change_one(stored, one, altered(one, unmapped={"luku": "2.5"}))


def wrong_position(stored: list[Stored]) -> list[Stored]:
    one = pick(stored, "change.kotikunta", PEKKA, 2)
    return change_one(stored, one, altered(one, position=40))


def wrong_page(stored: list[Stored]) -> list[Stored]:
    one = pick(stored, "change.kotikunta", PEKKA, 0)
    return change_one(stored, one, altered(one, cursor=LOG[3].kirjausavain, position=2))


def wrong_record_id(stored: list[Stored]) -> list[Stored]:
    one = pick(stored, "change.sahkopostiosoite")
    return change_one(stored, one, altered(one, recordId="00000000-0000-8000-8000-000000000000"))


def wrong_header(stored: list[Stored]) -> list[Stored]:
    one = pick(stored, "change.unmapped")
    return change_one(stored, one, replace(one, headers=[*one.headers, ("ce_subject", PEKKA.encode())]))


def wrong_schema(stored: list[Stored]) -> list[Stored]:
    one = pick(stored, "change.unmapped")
    return change_one(stored, one, replace(one, value=b"\xc3\x01" + bytes(8) + (one.value or b"")[10:]))


def wrong_partition(stored: list[Stored]) -> list[Stored]:
    one = pick(stored, "change.unmapped")
    return change_one(stored, one, replace(one, partition=one.partition + 5))


def wrong_partition_of_state(stored: list[Stored]) -> list[Stored]:
    one = pick(stored, "change.kotikunta")
    return [*stored, replace(one, topic="state.kotikunta", partition=one.partition + 1)]


def wrong_feed(stored: list[Stored]) -> list[Stored]:
    one = pick(stored, "change.unmapped")
    return change_one(stored, one, altered(one, feed="other"))


def ledger_gap(stored: list[Stored]) -> list[Stored]:
    gone = pick(stored, "ledger", None, 2)
    return [one for one in stored if one is not gone]


def ledger_offsets(stored: list[Stored]) -> list[Stored]:
    one = pick(stored, "ledger", None, 2)
    return change_one(stored, one, retold(one, offsets={f"{PREFIX}.change.kotikunta": {"0": [0, 99, 3, ""]}}))


def ledger_counts(stored: list[Stored]) -> list[Stored]:
    one = pick(stored, "ledger", None, 1)
    return change_one(stored, one, retold(one, records=5))


def ledger_digest(stored: list[Stored]) -> list[Stored]:
    one = pick(stored, "ledger", None, 1)
    offsets = json.loads(one.value or b"")["offsets"]
    next(iter(offsets[f"{PREFIX}.change.kotikunta"].values()))[3] = "0" * 64
    return change_one(stored, one, retold(one, offsets=offsets))


def ledger_edited(stored: list[Stored]) -> list[Stored]:
    one = pick(stored, "ledger", None, 1)
    return change_one(stored, one, retold(one, fetchedAt=1))


DAMAGES: dict[Damage, dict[str, int]] = {
    lost: {"lost": 1, "ahead": 1, "ledger": 3},  # the entry's offsets, counts and digest are not true either
    lost_identity: {"lost": 1, "ahead": 1, "ledger": 3},
    wrong_identity: {"wrong": 1},
    lost_letter: {"lost": 1, "ahead": 1, "ledger": 3},
    # A later event of the same content is taken for a lost one, and is then not where it should be.
    lost_page: {"lost": 3, "wrong": 1, "ahead": 1, "ledger": 3},
    lost_one_of_two_alike: {"lost": 1, "ahead": 1, "ledger": 3},
    doubled: {"doubled": 1},
    doubled_under_another_cursor: {"doubled": 1},
    # Swapped over two commits, so that neither commit's offsets are true.
    reordered: {"out_of_order": 2, "ahead": 1, "ledger": 2},
    orphan_of_nobody: {"orphans": 1},
    orphans_of_an_aborted_page: {"orphans": 2},
    cursor_ahead: {"lost": 2, "ahead": 1, "ledger": 3},
    cursor_before_events: {"ahead": 1, "ledger": 1},
    cursor_without_ledger: {"ahead": 1},
    cursor_from_nowhere: {"ahead": 2},
    wrong_content: {"wrong": 1},
    wrong_field_dropped: {"wrong": 1},
    wrong_position: {"wrong": 1},
    wrong_page: {"wrong": 1},
    wrong_record_id: {"wrong": 1},
    wrong_header: {"wrong": 1},
    wrong_schema: {"wrong": 1, "lost": 1, "ahead": 1, "ledger": 3},
    wrong_partition: {"wrong": 1, "ahead": 1, "ledger": 2},
    wrong_partition_of_state: {"wrong": 1},
    wrong_feed: {"wrong": 1},
    ledger_gap: {"ledger": 3},
    ledger_offsets: {"ledger": 4, "ahead": 1},
    ledger_counts: {"ledger": 3},
    ledger_digest: {"ledger": 3},  # the next entry and the cursor record name another
    ledger_edited: {"ledger": 2},
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_found(damage: Damage) -> None:
    found = verdict(damage)
    assert figures(found) == DAMAGES[damage], found
    assert not found.sound


def test_what_it_says_names_no_person() -> None:
    for damage in (lost, doubled, reordered, orphan_of_nobody, wrong_content, wrong_header, wrong_partition):
        words = str(verdict(damage))
        assert "010190" not in words
        assert "020280" not in words


def test_its_words_are_bounded() -> None:
    found = verdict(lambda stored: [one for one in stored if one.topic in ("cursor", "ledger")] * 30)
    assert found.faults > 50
    assert len(found.details) == 50


def test_a_person_list_leaves_out_the_others() -> None:
    stored = [one for one in Line().stored if one.key != PEKKA.encode()]
    found = judge(LOG, stored, PREFIX, persons=frozenset({ANNA, "010190-902S"}))
    assert found.lost == 0
    assert found.orphans == 0
    assert judge(LOG, stored, PREFIX).lost == 5


def test_unmapped_paths_lead_into_lists_and_quoted_names() -> None:
    event = SCHEMAS.decode("change.unmapped", pick(Line().stored, "change.unmapped").value or b"")
    rebuilt = content_found(
        event
        | {"inForce": [{"kuntakoodi": "091"}]}
        | {"unmapped": {"voimassaolevatTiedot[0].uusi": "[1]", '"a.b"': "true", '../"../x"': "2"}}
    )
    assert '"voimassaolevatTiedot":[{"kuntakoodi":"091","uusi":[1]}]' in rebuilt
    assert '"a.b":true' in rebuilt
    assert '{"../x":2}' in rebuilt
    with pytest.raises(Unreadable):
        content_found(event | {"inForce": [], "unmapped": {"voimassaolevatTiedot[0].uusi": "1"}})


def test_a_cut_dead_letter_stands_for_the_event_at_its_place() -> None:
    def cut(stored: list[Stored]) -> list[Stored]:
        one = pick(stored, "change.kotikunta", PEKKA, 2)
        event = SCHEMAS.decode(one.topic, one.value or b"")
        letter = {name: event[name] for name in ("feed", "bucket", "cursor", "position", "fetchedAt")}
        letter |= {"previousCursor": START, "reason": "oversized", "detail": "", "raw": None}
        letter |= {"rawSize": 1, "rawDigest": "", "cut": True}
        value = encode("dead-letter", letter)
        return change_one(stored, one, Stored("dead-letter", 0, 90, one.key, value, one.headers))

    found = figures(verdict(cut))
    assert "lost" not in found
    assert "orphans" not in found


def test_single_object_encoding_begins_as_avro_says() -> None:
    """The specification's own example: the fingerprint of "int" is 7275d51a3f395c8f, written lowest byte first."""
    from tests.oracle.schemas import _prefix

    assert _prefix("int") == bytes.fromhex("c301" + "8f5c393f1ad57572")


@pytest.mark.parametrize(
    ("records", "begin"),
    [
        ([("3", 9), ("4", 5), ("4", 9)], 5),
        ([("3", 9), ("4", 9)], 0),
        ([("4", 5), ("3", 9)], 5),
    ],
    ids=["before its own bucket", "instead of its own bucket", "after its own bucket"],
)
def test_who_is_named_by_what_another_bucket_is_told_stays_in_the_watchlists(
    records: list[tuple[str, int]], begin: int
) -> None:
    """Two persons of two buckets become one, and the one bucket may be told before the other has begun."""
    stored, commits = [Stored("watchlist", 0, 0, ANNA.encode(), b'{"bucket": "4"}')], []
    for offset, (bucket, cursor) in enumerate(records):
        told = {"feed": "vtj", "bucket": bucket, "cursor": cursor, "position": 0, "fetchedAt": 0}
        value = encode("identity", told | {"active": ANNA, "codes": [ANNA]})
        stored.append(Stored("identity", 0, offset, ANNA.encode(), value))
        previous = cursor if cursor == 5 else 0  # introductions move no cursor
        spans = {("identity", 0): (offset, offset, 1, "")}
        commits.append(Commit("", f"vtj/{bucket}".encode(), previous, cursor, 0, 1, 0, spans, "", None))
    found = Verdict()
    assert spells(stored, commits, found)[ANNA] == [Spell("4", begin)]
    assert found.sound


def test_it_shares_no_code_with_the_product() -> None:
    files = list(Path(tests.oracle.__file__).parent.rglob("*.py"))
    assert len(files) > 5
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""] if node.level < 2 else ["too far up"]
            assert not {name.split(".")[0] for name in names} & {"producer", "tests", "too far up", "importlib"}
