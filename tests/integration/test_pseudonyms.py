"""Pseudonyms end to end: no identity code reaches Kafka, persons can be joined, and other keys are refused."""

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from producer.redaction import IDENTITY_CODE
from producer.sandbox import Sandbox
from tests.broker import Broker
from tests.integration.deployment import SOON, Deployment, change, kotikunta
from tests.integration.quoting import ONE, OTHER
from tests.integration.test_demo import AGREED
from tests.integration.test_identities import corrected
from tests.integration.test_privacy import RECORDS
from tests.oracle import Stored
from tests.oracle.schemas import Schemas

pytestmark = pytest.mark.kafka


def keyed(deployment: Deployment, folder: Path, *, version: int = 1, secret: str = "a") -> Deployment:
    path = folder / f"secret-{secret}"
    path.write_text(secret * 64)
    return deployment.but(
        VTJ_PRIVACY__KEYS="hmac-sha256",
        VTJ_PRIVACY__SECRET_FILE=str(path),
        VTJ_PRIVACY__KEY_VERSION=str(version),
        VTJ_STATE__ENABLED="false",
    )


def codes(value: Any) -> set[str]:
    return set(IDENTITY_CODE.findall(json.dumps(value, ensure_ascii=False)))


def decoded(stored: Iterable[Stored]) -> list[dict[str, Any]]:
    return [Schemas.load().decode(one.topic.removeprefix("k1."), one.value or b"") for one in stored]


async def fingerprints(deployment: Deployment, persons: Iterable[str]) -> dict[str, str]:
    """Code → pseudonym."""
    persons = list(persons)
    told = await deployment.run("fingerprint", given="\n".join(persons).encode())
    assert told.code == 0, told.err
    return dict(zip(persons, told.out.split(), strict=True))


async def test_end_to_end(broker: Broker, prefix: str, tmp_path: Path) -> None:
    async with Sandbox(persons=100, history=200) as sandbox:
        sandbox.append(RECORDS)
        at_work = await keyed(Deployment(broker.bootstrap, prefix, sandbox.url), tmp_path).apply_topics()
        once = await at_work.run("run", "--once")
        assert once.code == 0, once.err
        log = [record for _, record in sandbox.log()]
        stored = await at_work.stored()

    # No byte of any record, of cursor and ledger too, holds a code.
    everything = b"\n".join(
        piece
        for one in stored
        for piece in (one.key or b"", one.value or b"", *(value for _, value in one.headers), one.topic.encode())
    )
    planted = codes(log) | {ONE, OTHER}
    assert len(planted) > 100
    assert [code for code in planted if code.encode() in everything] == []
    assert b"Salakammari" in everything  # names stay

    data = [one for one in stored if one.topic not in ("cursor", "ledger")]
    assert {one.topic.split(".")[0] for one in data} == {"k1"}
    assert all(dict(one.headers)["ce_keyversion"] == b"1" for one in data)
    assert (await at_work.entries("cursor"))[-1]["keys"].startswith("k1:")

    # Persons are joined across topics: one key each, in one partition, which is what fingerprint says of the code.
    pseudonyms = await fingerprints(at_work, sorted(planted))
    places: dict[str, set[int]] = defaultdict(set)
    topics: dict[str, set[str]] = defaultdict(set)
    for one in data:
        if one.topic.startswith("k1.change."):
            places[(one.key or b"").decode()].add(one.partition)
            topics[(one.key or b"").decode()].add(one.topic)
    assert set(places) <= set(pseudonyms.values())
    assert all(len(partitions) == 1 for partitions in places.values())
    assert max(map(len, topics.values())) > 3
    events = decoded(one for one in data if one.topic == "k1.change.huoltaja")
    relatives = {event["data"]["huoltaja"]["henkilotunnus"] for event in events if event["data"]["huoltaja"]}
    assert pseudonyms[OTHER] in relatives
    assert relatives <= set(pseudonyms.values()) | {None}
    assert relatives & set(places)  # who are persons with events of their own

    # Commands speak of the same topics.
    planned = await at_work.run("topics", "plan")
    assert (planned.code, ", 0 difference(s)" in planned.out) == (0, True), planned.out
    tail = await at_work.run("tail", "--once", "--from-beginning", "--person-file", "-", given=ONE.encode())
    assert tail.code == 0, tail.err
    shown = [json.loads(line) for line in tail.out.splitlines()]
    assert shown
    assert {line["key"] for line in shown} == {pseudonyms[ONE]}
    assert not codes(tail.out)


async def test_other_keys_are_refused_and_move_nothing(broker: Broker, prefix: str, tmp_path: Path) -> None:
    async with Sandbox(persons=5, history=0) as sandbox:
        plain = Deployment(broker.bootstrap, prefix, sandbox.url).small
        begun = await keyed(plain, tmp_path).apply_topics()
        (first,) = sandbox.append([change(ONE, kotikunta())])
        assert (await begun.run("run", "--once")).code == 0
        before = await begun.committed()

        (second,) = sandbox.append([change(ONE, kotikunta())])
        for other, says in [
            (plain, "has pseudonyms of key version 1, and the settings ask for plain codes;"),
            (keyed(plain, tmp_path, version=2), "the settings ask for pseudonyms of key version 2;"),
            (keyed(plain, tmp_path, secret="b"), "has pseudonyms of key version 1 of another secret"),
            (keyed(plain, tmp_path, secret="b").but(VTJ_FEED__NAME="other"), "Feed vtj has pseudonyms of key version"),
        ]:
            await other.apply_topics()
            refused = await other.run("run", "--once")
            assert (refused.code, refused.out) == (2, ""), refused.err
            assert says in refused.err
            assert "\n  → Set VTJ_PRIVACY__KEYS" in refused.err
            assert "Traceback" not in refused.err
            assert not codes(refused.err)
        assert await begun.committed() == before
        assert await begun.cursor() == first

        again = await begun.run("run", "--once")
        assert again.code == 0, again.err
        assert await begun.cursor() == second
        events = await begun.stored("k1.change.kotikunta")
        assert len(events) == 2
        assert len({one.key for one in events}) == 1

        # A new version is a feed of its own, in topics of its own.
        renewed = keyed(plain, tmp_path, version=2, secret="b").but(VTJ_FEED__NAME="second", VTJ_UPSTREAM__START="0")
        assert (await renewed.run("run", "--once")).code == 0
        fresh = await renewed.stored("k2.change.kotikunta")
        assert len(fresh) == 2
        assert {one.key for one in fresh}.isdisjoint(one.key for one in events)


async def test_a_corrected_code_is_followed_after_a_restart_too(broker: Broker, prefix: str, tmp_path: Path) -> None:
    async with Sandbox(persons=50, page_size=10) as sandbox:
        first, second, stranger = sandbox.codes()[:3]
        (tmp_path / "persons").write_text(first)
        at_work = keyed(Deployment(broker.bootstrap, prefix, sandbox.url).small, tmp_path).but(
            VTJ_UPSTREAM__PERSONS_FILE=str(tmp_path / "persons")
        )
        await at_work.apply_topics()
        sandbox.append([corrected(first, second), *[change(first)] * 9, change(second), change(stranger)])
        once = await at_work.run("run", "--once")
        assert once.code == 0, once.err
        of = await fingerprints(at_work, [first, second, stranger])
        keys = [one.key for one in await at_work.stored("k1.change.kotikunta")]
        assert (keys.count(of[first].encode()), keys.count(of[second].encode())) == (9, 1)
        assert of[stranger].encode() not in keys
        told = decoded(await at_work.stored("k1.identity"))
        assert [one["codes"] for one in told] == [[of[first]], *[[of[first], of[second]]] * 2]

        sandbox.append([change(second), change(stranger)])
        again = await at_work.run("run", "--once")
        assert again.code == 0, again.err
        keys = [one.key for one in await at_work.stored("k1.change.kotikunta")]
        assert keys.count(of[second].encode()) == 2
        assert of[stranger].encode() not in keys
        listed = {one.key for one in await at_work.stored("watchlist")}
        assert listed == {first.encode(), second.encode()}, "the watchlist alone has plain codes"


async def test_the_state_of_followed_persons_stands_under_pseudonyms(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    async with Sandbox(persons=30, history=60) as sandbox:
        first, second = sandbox.codes()[:2]
        (tmp_path / "persons").write_text(f"{first}\n{second}")
        at_work = keyed(Deployment(broker.bootstrap, prefix, sandbox.url), tmp_path).but(
            VTJ_UPSTREAM__PERSONS_FILE=str(tmp_path / "persons"), VTJ_STATE__ENABLED="true"
        )
        await at_work.apply_topics()
        once = await at_work.run("run", "--once")
        assert once.code == 0, once.err
        of = await fingerprints(at_work, [first, second])
        names = await at_work.stored("k1.state.henkilon-nimi")
        assert {one.key for one in names if one.value} == {of[first].encode(), of[second].encode()}
        (tmp_path / "persons").write_text(first)
        removed = await at_work.run("persons", "sync", str(tmp_path / "persons"), "--yes")
        assert removed.code == 0, removed.err
        assert (await at_work.run("run", "--once")).code == 0
        last = {one.key: one.value for one in await at_work.stored("k1.state.henkilon-nimi")}
        assert last[of[second].encode()] is None
        assert last[of[first].encode()] is not None


async def test_a_feed_of_plain_codes_stays_one(broker: Broker, prefix: str, tmp_path: Path) -> None:
    async with Sandbox(persons=5, history=0) as sandbox:
        plain = await Deployment(broker.bootstrap, prefix, sandbox.url).small.apply_topics()
        sandbox.append([change(ONE, kotikunta())])
        assert (await plain.run("run", "--once")).code == 0
        assert "keys" not in (await plain.entries("cursor"))[-1]
        refused = await (await keyed(plain, tmp_path).apply_topics()).run("run", "--once")
        assert refused.code == 2
        assert "has plain codes, and the settings ask for pseudonyms of key version 1;" in refused.err


@pytest.mark.parametrize(
    ("content", "version", "says"),
    [
        (None, "1", "VTJ_PRIVACY__SECRET_FILE (from the environment) names cannot be read"),
        ("", "1", "VTJ_PRIVACY__SECRET_FILE (from the environment) names has an empty first line"),
        ("short", "1", "VTJ_PRIVACY__SECRET_FILE gives a secret of 5 bytes, and it must have at least 32"),
        ("a" * 64, None, "VTJ_PRIVACY__KEY_VERSION is not set"),
        ("a" * 64, "first", "VTJ_PRIVACY__KEY_VERSION (from the environment) must be a valid integer"),
    ],
    ids=["missing", "empty", "short", "no version", "odd version"],
)
async def test_bad_settings_end_a_start_in_a_sentence(
    deployment: Deployment, tmp_path: Path, content: str | None, version: str | None, says: str
) -> None:
    if content is not None:
        (tmp_path / "secret").write_text(content)
    wrong = deployment.but(
        VTJ_PRIVACY__KEYS="hmac-sha256",
        VTJ_PRIVACY__SECRET_FILE=str(tmp_path / "secret"),
        VTJ_PRIVACY__KEY_VERSION=version,
        VTJ_STATE__ENABLED="false",
    )
    ended = await wrong.run("run", "--once", patience=SOON)
    assert ended.code == 2
    assert says in ended.err
    assert "for example" in ended.err
    assert "Traceback" not in ended.err
    assert len(ended.err.splitlines()) == 2  # the sentence and the hint


async def test_the_demo_follows_the_setting(broker: Broker, tmp_path: Path) -> None:
    at_work = keyed(Deployment(broker.bootstrap, "demo"), tmp_path)
    shown = await at_work.run("demo", "--once", "--bootstrap-servers", broker.bootstrap, patience=90)
    assert shown.code == 0, shown.err
    assert AGREED in shown.out
    assert ".k1.change.kotikunta" in shown.out
