"""A corrected code: told under every code, remembered, and followed from then on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from producer.sandbox import Sandbox
from tests.broker import Broker
from tests.integration.deployment import Deployment, change

pytestmark = pytest.mark.kafka
KORJAUS = "HENKILOTUNNUS_KORJAUS"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(persons=50, page_size=10) as running:
        yield running


def corrected(old: str, new: str) -> dict[str, object]:
    codes = {"aktiivinenHenkilotunnus": new, "edellisetHenkilotunnukset": [old]}
    active = {"tietoryhma": KORJAUS, "muutosattribuutti": "LISATTY", "voimassaolo": "AKTIIVI"}
    passive = {"tietoryhma": KORJAUS, "muutosattribuutti": "MUUTETTU", "voimassaolo": "PASSIIVI"}
    return change(
        old, active | {"muutettuHenkilotunnus": new} | codes, passive | {"muutettuHenkilotunnus": old} | codes
    )


async def test_who_follows_a_code_follows_the_person(
    broker: Broker, prefix: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """In the same run, from the very next page, and after a restart; through a chain of two."""
    first, second, third, stranger = sandbox.codes()[:4]
    listed = tmp_path / "persons"
    listed.write_text(first)
    deployment = Deployment(broker.bootstrap, prefix, sandbox.url).small.but(VTJ_UPSTREAM__PERSONS_FILE=str(listed))
    await deployment.apply_topics()
    sandbox.append([change(first), change(second), change(stranger)])  # the second is somebody else so far
    sandbox.append([corrected(first, second), *[change(first)] * 9, change(second), change(stranger)])
    assert (await deployment.run("run", "--once")).code == 0
    sandbox.append([change(second), corrected(second, third), change(stranger)])
    assert (await deployment.run("run", "--once")).code == 0
    sandbox.append([change(third), change(stranger)])
    assert (await deployment.run("run", "--once")).code == 0
    keys = [one.key for one in await deployment.stored("change.kotikunta")]
    assert stranger.encode() not in keys
    assert keys.count(second.encode()) == 2
    assert keys.count(third.encode()) == 1
    stored, fields = await deployment.stored("identity"), await deployment.events("identity")
    last = {one.key: told for one, told in zip(stored, fields, strict=True)}
    assert {*last} == {first.encode(), second.encode(), third.encode()}
    assert [(one["active"], one["codes"]) for one in last.values()] == [(third, [first, second, third])] * 3
