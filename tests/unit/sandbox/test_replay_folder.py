"""Replay: answers from a folder, served as they are."""

import json
from pathlib import Path
from typing import Any

import pytest

from producer.errors import SettingsError
from producer.sandbox import Sandbox
from producer.sandbox.hetu import identity
from tests.unit.sandbox.conftest import Client

CODES = [identity(9, serial)[0] for serial in range(3)]


def record(code: str, day: str) -> dict[str, Any]:
    group = {"tietoryhma": "HENKILON_NIMI", "muutosattribuutti": "MUUTETTU", "sukunimi": "Mäntytesti"}
    return {"henkilotunnus": code, "tietoryhmat": [group], "muutospv": f"{day}T09:00:00.000Z"}


def page(cursor: int, *records: Any, up_to_date: bool = False) -> dict[str, Any]:
    return {"muutokset": list(records), "viimeisinKirjausavain": cursor, "ajanTasalla": up_to_date, "lisä": [1]}


def person(code: str, kunta: str) -> dict[str, Any]:
    groups = [{"tietoryhma": "SUKUPUOLI", "sukupuoli": "NAINEN"}, {"tietoryhma": "KOTIKUNTA", "kuntakoodi": kunta}]
    return {"henkilotunnus": code, "tietoryhmat": groups}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files: dict[str, Any] = {
        "01": page(100, record(CODES[0], "2026-03-01"), "odd"),
        "02": page(100),
        "03": page(250, record(CODES[1], "2026-03-02")),
        "04": page(260, record(CODES[2], "2026-03-05"), up_to_date=True),
        "weekly": {"perustiedot": [person(CODES[0], "091"), person(CODES[1], "049")], "poimintapv": "2026-03-01"},
    }
    for name, answer in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(answer, indent=1, ensure_ascii=False), "utf-8")
    (tmp_path / "README.md").write_text("not an answer")
    return tmp_path


async def test_answers_are_linked_by_their_keys_and_served_byte_for_byte(client: Client, folder: Path) -> None:
    async with Sandbox(replay=folder) as sandbox:
        pages = await client.walk(sandbox, 5)
        assert [answer["viimeisinKirjausavain"] for answer in pages] == [100, 250, 260]
        login = {"Authorization": "Basic c2FuZGJveDpzYW5kYm94"}
        body = {"viimeisinKirjausavain": 0, "hetulista": []}
        async with client.session.post(f"{sandbox.url}/api/v1/muutokset", json=body, headers=login) as response:
            assert await response.read() == (folder / "01.json").read_bytes()
        end = await client.changes(sandbox, 260)
        assert end == {"viimeisinKirjausavain": 260, "muutokset": [], "ajanTasalla": True}
        told = [(answer["viimeisinKirjausavain"], record) for answer in pages for record in answer["muutokset"]]
        assert sandbox.log() == told


@pytest.mark.parametrize(
    ("day", "key"),
    [("2026-02-01", 99), ("2026-03-01", 99), ("2026-03-02", 100), ("2026-03-03", 250), ("2026-04-01", 260)],
)
async def test_kirjausavain_by_muutospv(client: Client, folder: Path, day: str, key: int) -> None:
    async with Sandbox(replay=folder) as sandbox:
        assert await client.ask(sandbox, f"kirjausavain/{day}") == (200, {"viimeisinKirjausavain": key})


async def test_perustiedot_of_the_folder(client: Client, folder: Path) -> None:
    async with Sandbox(replay=folder) as sandbox:
        body = {"hetulista": [CODES[1], CODES[2]], "tietoryhmat": ["KOTIKUNTA"]}
        _, answer = await client.ask(sandbox, "perustiedot", body)
        kept = [{"tietoryhma": "KOTIKUNTA", "kuntakoodi": "049"}]
        assert answer["perustiedot"] == [{"henkilotunnus": CODES[1], "tietoryhmat": kept}]
        _, answer = await client.ask(sandbox, "perustiedot-vko", {"kuntakoodit": ["091"]})
        assert answer["poimintapv"] == "2026-03-01"
        assert answer["perustiedot"] == [person(CODES[0], "091")]


async def test_a_replay_does_not_grow(client: Client, folder: Path) -> None:
    async with Sandbox(replay=folder) as sandbox:
        for path, body in (("grow", {"changes": 1}), ("append", {"muutokset": [1]})):
            assert (await client.ask(sandbox, f"/_sandbox/{path}", body))[0] == 400
        assert (await client.ask(sandbox, "/_sandbox/state"))[1]["entries"] == 4


@pytest.mark.parametrize(
    "answer", ["{", '{"huomautus": 1}', '{"viimeisinKirjausavain": 1, "muutokset": []}', '{"perustiedot": ["x"]}']
)
def test_folders_that_cannot_be_replayed(folder: Path, answer: str) -> None:
    (folder / "05.json").write_text(answer)
    with pytest.raises(SettingsError, match=r"05\.json"):
        Sandbox(replay=folder)


def test_an_empty_folder_cannot_be_replayed(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="holds no answer"):
        Sandbox(replay=tmp_path)
