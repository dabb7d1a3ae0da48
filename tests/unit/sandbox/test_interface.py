"""The rules of VTJ-muutosrajapinta, asked through HTTP."""

import asyncio
import itertools
import json
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import encode_basic_auth, web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.__main__ import parser
from producer.errors import SettingsError
from producer.sandbox import Sandbox, server
from producer.sandbox.chronicle import BEGIN, registered_on
from producer.sandbox.control import guard
from producer.sandbox.tables import PROTECTED
from tests.unit.sandbox.conftest import Client
from tests.unit.sandbox.test_xroad_path import CLIENT, SERVICE


def told(pages: list[Any]) -> list[Any]:
    return [record for page in pages for record in page["muutokset"]]


# paging and cursors


@settings(max_examples=25, deadline=None)
@given(length=st.integers(0, 60), page_size=st.integers(1, 25), share=st.integers(1, 40))
async def test_a_walk_meets_every_entry_once(length: int, page_size: int, share: int) -> None:
    async with (
        Sandbox(persons=40, history=length, page_size=page_size) as sandbox,
        aiohttp.ClientSession() as session,
    ):
        client = Client(session)
        log = sandbox.log()
        pages = await client.walk(sandbox)
        assert told(pages) == [record for _, record in log]
        assert all(len(page["muutokset"]) == page_size for page in pages[:-1])
        keys = [page["viimeisinKirjausavain"] for page in pages]
        assert keys == sorted(keys)
        assert keys[-1] == (log[-1][0] if log else 0)
        some = sorted({record["henkilotunnus"] for _, record in log})[:share]
        filtered = await client.walk(sandbox, persons=some)
        assert told(filtered) == [record for _, record in log if record["henkilotunnus"] in some]
        assert filtered[-1]["viimeisinKirjausavain"] == (log[-1][0] if log else 0)


async def test_keys_grow_with_gaps_and_need_64_bits(client: Client) -> None:
    async with Sandbox(history=300) as sandbox:
        keys = [key for key, _ in sandbox.log()]
        steps = {after - before for before, after in itertools.pairwise(keys)}
        assert min(steps) >= 1
        assert max(steps) > 1
        assert keys[0] > 2**32
        for place in (0, 17, 298):  # a key that no entry has leads to the next one
            for cursor in range(keys[place], keys[place + 1]):
                assert sandbox.log(cursor)[0][0] == keys[place + 1]


async def test_the_key_moves_also_when_nothing_is_for_these_persons(client: Client) -> None:
    async with Sandbox(history=50) as sandbox:
        answer = await client.changes(sandbox, 0, [])
        assert answer == {"viimeisinKirjausavain": sandbox.log()[-1][0], "muutokset": [], "ajanTasalla": True}
        ahead = answer["viimeisinKirjausavain"] + 10_000
        assert (await client.changes(sandbox, ahead))["viimeisinKirjausavain"] == ahead


async def test_a_full_page_is_not_up_to_date_even_when_nothing_of_the_rest_matters(client: Client) -> None:
    async with Sandbox(history=80, persons=80, page_size=1) as sandbox:
        codes = [record["henkilotunnus"] for _, record in sandbox.log()]
        once = next(code for code in codes if codes.count(code) == 1)
        pages = await client.walk(sandbox, persons=[once])
        assert [len(page["muutokset"]) for page in pages] == [1, 0]
        assert [page["ajanTasalla"] for page in pages] == [False, True]


async def test_growth_is_seen_by_the_next_request(client: Client) -> None:
    async with Sandbox(history=5) as sandbox:
        cursor = (await client.walk(sandbox))[-1]["viimeisinKirjausavain"]
        sandbox.grow(3)
        answer = await client.changes(sandbox, cursor)
        assert len(answer["muutokset"]) == 3
        assert answer["ajanTasalla"] is True


async def test_kirjausavain_leads_to_the_first_registration_of_the_day(client: Client) -> None:
    async with Sandbox(history=700) as sandbox:
        log = sandbox.log()
        for day in [BEGIN + timedelta(days=days) for days in range(-1, 12)]:
            status, answer = await client.ask(sandbox, f"kirjausavain/{day}")
            assert status == 200
            assert list(answer) == ["viimeisinKirjausavain"]
            pages = await client.walk(sandbox, answer["viimeisinKirjausavain"])
            assert told(pages) == [record for place, (_, record) in enumerate(log) if registered_on(place) >= day]


@pytest.mark.parametrize("day", ["2026-13-01", "2026-02-30", "today", "20260101", "2026-1"])
async def test_kirjausavain_wants_a_date(client: Client, day: str) -> None:
    async with Sandbox() as sandbox:
        assert (await client.ask(sandbox, f"kirjausavain/{day}"))[0] == 400


# requests that are refused


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("muutokset", {}),
        ("muutokset", []),
        ("muutokset", {"viimeisinKirjausavain": "0"}),
        ("muutokset", {"viimeisinKirjausavain": 0.5}),
        ("muutokset", {"viimeisinKirjausavain": True}),
        ("muutokset", {"viimeisinKirjausavain": -1}),
        ("muutokset", {"viimeisinKirjausavain": 2**63}),
        ("muutokset", {"viimeisinKirjausavain": 0, "hetulista": None}),
        ("muutokset", {"viimeisinKirjausavain": 0, "hetulista": [1]}),
        ("muutokset", {"viimeisinKirjausavain": 0, "tuotekoodi": "mutpT1"}),
        ("perustiedot", {}),
        ("perustiedot", {"hetulista": ["x"], "tietoryhmat": None}),
        ("perustiedot", {"hetulista": ["x"] * 1001}),
        ("perustiedot", {"hetulista": ["x"], "kuntakoodit": ["091"]}),
        ("perustiedot-vko", {}),
        ("perustiedot-vko", {"hetulista": ["x"], "kuntakoodit": ["091"]}),
        ("perustiedot-vko", {"hetulista": ["x"] * 1001}),
        ("perustiedot-vko", {"kuntakoodit": "091"}),
    ],
)
async def test_a_body_off_the_rules_is_400(client: Client, endpoint: str, body: Any) -> None:
    async with Sandbox() as sandbox:
        status, answer = await client.ask(sandbox, endpoint, body)
        assert status == 400
        assert answer["status"] == 400


async def test_a_refusal_does_not_repeat_what_was_sent(client: Client) -> None:
    async with Sandbox() as sandbox:
        for body in ({"hetulista": ["010170-999R"], "010170-999R": 1}, {"hetulista": "010170-999R"}):
            for endpoint in ("muutokset", "perustiedot", "perustiedot-vko"):
                status, answer = await client.ask(sandbox, endpoint, body)
                assert status == 400
                assert "999R" not in json.dumps(answer)


async def test_no_json_no_content_type_no_path(client: Client) -> None:
    async with Sandbox() as sandbox:
        for data, content_type, expected in (
            (b'{"viimeisinKirjausavain":0}', "application/json", 200),
            (b'{"viimeisinKirjausavain":', "application/json", 400),
            (b'{"viimeisinKirjausavain":0,"\xe4":0}', "application/json", 400),
            (b'{"viimeisinKirjausavain":0}', "text/plain", 415),
        ):
            headers = {"Content-Type": content_type, "Authorization": "Basic c2FuZGJveDpzYW5kYm94"}
            async with client.session.post(f"{sandbox.url}/api/v1/muutokset", data=data, headers=headers) as response:
                assert response.status == expected
        assert (await client.ask(sandbox, "muutos", {}))[0] == 404
        assert (await client.ask(sandbox, "kirjausavain"))[0] == 404
        assert (await client.ask(sandbox, "muutokset"))[0] == 405


async def test_only_the_account_comes_in(client: Client, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("väärä-ei\nsecond line\n", "utf-8")
    async with Sandbox(username="mutp", password_file=secret) as sandbox:
        assert (await client.ask(sandbox, "kirjausavain/2026-01-01", login="mutp:väärä-ei"))[0] == 200
        for wrong in ("sandbox:sandbox", "mutp:", "mutp:väärä", None):
            status, _, headers = await client.full(sandbox, "kirjausavain/2026-01-01", login=wrong)
            assert status == 401
            assert headers["WWW-Authenticate"].startswith("Basic ")


async def test_the_quota_is_per_minute(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("producer.sandbox.service.monotonic", lambda: now)
    async with Sandbox(requests_per_minute=2) as sandbox:
        assert (await client.ask(sandbox, "kirjausavain/2026-01-01", login=None))[0] == 401  # costs nothing
        assert (await client.ask(sandbox, "kirjausavain/2026-01-01"))[0] == 200
        now += 20
        assert (await client.ask(sandbox, "kirjausavain/2026-01-01"))[0] == 200
        now += 9.5
        status, _, headers = await client.full(sandbox, "kirjausavain/2026-01-01")
        assert (status, headers["Retry-After"]) == (429, "31")
        now += 31
        assert (await client.ask(sandbox, "kirjausavain/2026-01-01"))[0] == 200
        assert (await client.ask(sandbox, "kirjausavain/2026-01-01"))[0] == 429


# perustiedot


async def test_perustiedot_of_those_who_exist(client: Client) -> None:
    async with Sandbox(persons=1200, history=50) as sandbox:
        codes = sandbox.codes()
        status, answer = await client.ask(sandbox, "perustiedot", {"hetulista": [codes[3], "010170-999R", codes[1]]})
        assert status == 200
        assert answer["ajanTasalla"] is True
        assert [person["henkilotunnus"] for person in answer["perustiedot"]] == [codes[3], codes[1]]
        assert all("muutosattribuutti" not in group for group in answer["perustiedot"][0]["tietoryhmat"])
        _, answer = await client.ask(sandbox, "perustiedot", {"hetulista": codes[:1000]})
        assert len(answer["perustiedot"]) == 1000


async def test_perustiedot_of_the_kinds_asked(client: Client) -> None:
    async with Sandbox() as sandbox:
        body = {"hetulista": sandbox.codes()[:1], "tietoryhmat": ["TURVAKIELTO", "HENKILON_NIMI", "EI_OLE"]}
        _, answer = await client.ask(sandbox, "perustiedot", body)
        assert [group["tietoryhma"] for group in answer["perustiedot"][0]["tietoryhmat"]] == ["HENKILON_NIMI"]
        _, answer = await client.ask(sandbox, "perustiedot", body | {"tietoryhmat": []})
        assert answer["perustiedot"][0]["tietoryhmat"] == []


async def test_an_old_code_leads_to_the_person(client: Client) -> None:
    async with Sandbox(persons=100, history=500) as sandbox:
        corrections = (group for _, record in sandbox.log() for group in record["tietoryhmat"])
        old = next(g for g in corrections if g["tietoryhma"] == "HENKILOTUNNUS_KORJAUS")["edellisetHenkilotunnukset"][0]
        assert old not in sandbox.codes()
        _, answer = await client.ask(sandbox, "perustiedot", {"hetulista": [old]})
        (person,) = answer["perustiedot"]
        correction = person["tietoryhmat"][0]
        assert correction["voimassaolo"] == "AKTIIVI"
        assert correction["aktiivinenHenkilotunnus"] == person["henkilotunnus"] != old
        assert old in correction["edellisetHenkilotunnukset"]


@pytest.mark.parametrize("censored", [False, True])
async def test_turvakielto_in_perustiedot(client: Client, censored: bool) -> None:
    async with Sandbox(persons=300, history=800, censored=censored) as sandbox:
        _, answer = await client.ask(sandbox, "perustiedot", {"hetulista": sandbox.codes()})
        protected = 0
        for person in answer["perustiedot"]:
            groups = person["tietoryhmat"]
            active = any(group["tietoryhma"] == "TURVAKIELTO" for group in groups)
            hidden = {g["tietoryhma"]: g for g in groups if "turvakiellonAlaisetKentat" in g}
            assert set(hidden) == (set(PROTECTED) if active and censored else set())
            for kind, group in hidden.items():
                assert group == {"tietoryhma": kind, "turvakiellonAlaisetKentat": PROTECTED[kind]}
            protected += active
        assert 0 < protected < 300


async def test_the_weekly_snapshot_is_as_old_as_it_says(client: Client) -> None:
    async with Sandbox(persons=200, history=2000) as sandbox, Sandbox(persons=200) as past:
        length = next(place for place in range(2000) if registered_on(place).isoformat() == "2026-01-11")
        past.grow(length)
        codes = past.codes()[:20]
        status, weekly = await client.ask(sandbox, "perustiedot-vko", {"hetulista": codes})
        assert status == 200
        assert registered_on(1999).isoformat() == "2026-01-17"  # a Saturday: the Sunday before it
        assert (weekly["poimintapv"], weekly["ajanTasalla"]) == ("2026-01-11", True)
        _, then = await client.ask(past, "perustiedot", {"hetulista": codes})
        _, now = await client.ask(sandbox, "perustiedot", {"hetulista": codes})
        assert weekly["perustiedot"] == then["perustiedot"] != now["perustiedot"]


async def test_the_weekly_snapshot_by_municipality(client: Client) -> None:
    async with Sandbox(persons=150) as sandbox:
        body = {"kuntakoodit": ["091", "837"], "tietoryhmat": ["KOTIKUNTA"]}
        _, answer = await client.ask(sandbox, "perustiedot-vko", body)
        assert answer["poimintapv"] == "2025-12-28"  # nothing has happened yet
        assert {person["tietoryhmat"][0]["kuntakoodi"] for person in answer["perustiedot"]} == {"091", "837"}
        assert 0 < len(answer["perustiedot"]) < 150


# a permit that selects municipalities

HERE = ("091", "837", "905")


async def test_a_feed_without_a_list_tells_of_those_who_live_there(client: Client) -> None:
    async with (
        Sandbox(persons=80, history=700, page_size=50, municipalities=HERE) as sandbox,
        Sandbox(persons=80, history=700) as everybody,
    ):
        pages = await client.walk(sandbox)
        assert all(len(page["muutokset"]) == 50 for page in pages[:-1])
        assert told(pages) == [record for _, record in sandbox.log()]
        assert 0 < len(told(pages)) < 700
        assert pages[-1]["viimeisinKirjausavain"] == everybody.log()[-1][0]
        codes = {key: record["henkilotunnus"] for key, record in everybody.log()}
        assert all(codes[key] == record["henkilotunnus"] for key, record in sandbox.log())
        some = sorted(set(codes.values()))[::2]
        listed = told(await client.walk(sandbox, persons=["", *some]))
        assert listed == [record for record in told(pages) if record["henkilotunnus"] in some]
        sandbox.append([{"henkilotunnus": "x"}, 5])
        assert told(await client.walk(sandbox))[-2:] == [{"henkilotunnus": "x"}, 5]


async def test_perustiedot_tell_of_those_who_live_there(client: Client) -> None:
    async with (
        Sandbox(persons=80, history=2000, municipalities=HERE) as sandbox,
        Sandbox(persons=80, history=2000) as everybody,
    ):
        codes = everybody.codes()
        _, all_of_them = await client.ask(everybody, "perustiedot", {"hetulista": codes})
        there = [
            person
            for person in all_of_them["perustiedot"]
            if any(g["tietoryhma"] == "KOTIKUNTA" and g["kuntakoodi"] in HERE for g in person["tietoryhmat"])
        ]
        _, answer = await client.ask(sandbox, "perustiedot", {"hetulista": codes})
        assert answer["perustiedot"] == there
        assert sandbox.codes() == [person["henkilotunnus"] for person in there]
        for selection in ({"hetulista": codes}, {"kuntakoodit": ["091", "049"]}):
            _, answer = await client.ask(sandbox, "perustiedot-vko", selection | {"tietoryhmat": ["KOTIKUNTA"]})
            kunnat = {person["tietoryhmat"][0]["kuntakoodi"] for person in answer["perustiedot"]}
            assert kunnat == set(HERE if "hetulista" in selection else ["091"])


# control


async def test_the_control_api_mirrors_the_methods(client: Client) -> None:
    async with Sandbox(history=4, persons=30) as sandbox:
        assert (await client.ask(sandbox, "/_sandbox/grow", {"changes": 3}))[1]["entries"] == 7
        odd: list[Any] = [1, None, "ä", {"henkilotunnus": 5}, {"x": 10**30, "y": "\ud800"}, []]
        status, answer = await client.ask(sandbox, "/_sandbox/append", {"muutokset": odd})
        assert status == 200
        log = sandbox.log()
        assert [key for key, _ in log[7:]] == answer["kirjausavaimet"]
        assert [record for _, record in log[7:]] == odd
        sandbox.grow(2)
        assert [record for _, record in sandbox.log(log[-1][0])] == [
            record for _, record in Sandbox(history=9, persons=30).log()
        ][7:]
        async with client.session.get(f"{sandbox.url}/_sandbox/log", params={"after": log[2][0]}) as response:
            lines = [json.loads(line) for line in (await response.read()).splitlines()]
        assert [(line["kirjausavain"], line["muutos"]) for line in lines] == sandbox.log(log[2][0])
        assert told(await client.walk(sandbox)) == [record for _, record in sandbox.log()]
        async with client.session.get(f"{sandbox.url}/_sandbox/codes") as response:
            assert (await response.text()).split() == sandbox.codes()
        _, state = await client.ask(sandbox, "/_sandbox/state")
        first, last = sandbox.log()[0][0], sandbox.log()[-1][0]
        assert state == {"entries": 15, "first": first, "last": last, "requests": {"muutokset": 1}, "faults": {}}
        assert state == sandbox.state()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("grow", {"changes": -1}),
        ("grow", {"changes": True}),
        ("grow", []),
        ("append", {"muutokset": 1}),
        ("faults", {"fault": 503}),
        ("faults", [{"fault": 418}]),
        ("faults", [{"fault": 503, "often": True}]),
        ("log?after=x", None),
    ],
)
async def test_control_says_what_is_wrong(client: Client, path: str, body: Any) -> None:
    async with Sandbox() as sandbox:
        status, answer = await client.ask(sandbox, f"/_sandbox/{path}", body)
        assert status == 400
        assert answer["message"]


@pytest.mark.parametrize(
    "options",
    [
        {"persons": 0},
        {"persons": 100_001},
        {"history": -1},
        {"changes_per_day": float("nan")},
        {"page_size": 0},
        {"municipalities": ["091", "000"]},
        {"requests_per_minute": 0},
        {"password_file": Path("does-not-exist")},
        {"faults": Path("does-not-exist")},
        {"replay": Path("does-not-exist")},
    ],
)
async def test_options_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        Sandbox(**options)


async def test_a_taken_port_is_a_users_mistake() -> None:
    async with Sandbox() as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        with pytest.raises(SettingsError, match="cannot listen"):
            async with Sandbox(port=port):
                pass


async def test_it_listens_on_this_machine_alone() -> None:
    """Unless it is told otherwise."""
    assert parser().parse_args(["sandbox"]).host == "127.0.0.1"
    async with Sandbox() as sandbox:
        assert sandbox.url.startswith("http://127.0.0.1:")


async def test_a_request_that_is_too_large_is_not_read(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_LARGEST_REQUEST", 1000)
    async with Sandbox() as sandbox:
        headers = {"X-Road-Client": CLIENT, "Authorization": encode_basic_auth("sandbox", "sandbox")}
        for path in ("api/v1/muutokset", f"r1/FI-TEST/{SERVICE}/api/v1/muutokset", "_sandbox/append"):
            url, body = f"{sandbox.url}/{path}", {"muutokset": ["x" * 2000]}
            async with client.session.post(url, json=body, headers=headers) as response:
                assert response.status == 413, path


async def test_connections_are_bounded(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTIONS", 3)
    async with Sandbox() as sandbox, asyncio.timeout(10):
        port = int(sandbox.url.rpartition(":")[2])
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.session.get(f"{sandbox.url}/_sandbox/state")
        for _, writer in opened:
            writer.close()
        while True:
            with suppress(aiohttp.ClientConnectionError):
                async with client.session.get(f"{sandbox.url}/_sandbox/state") as response:
                    assert response.status == 200
                    break
            await asyncio.sleep(0.01)


async def test_the_control_api_is_for_this_machine() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text="in")

    for remote, path, status in (
        ("192.0.2.7", "/_sandbox/state", 403),
        ("127.0.0.1", "/_sandbox/state", 200),
        ("::1", "/_sandbox/state", 200),
        ("192.0.2.7", "/api/v1/muutokset", 200),
    ):
        request = make_mocked_request("GET", path).clone(remote=remote)
        assert (await guard(request, handler)).status == status


async def test_no_log_line_shows_a_person(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with Sandbox(history=30) as sandbox:
        codes = sandbox.codes()[:5]
        sandbox.set_faults([{"fault": "ok"}, {"fault": "reset"}, {"fault": "truncated"}, {"fault": "charset"}])
        for endpoint in ("perustiedot", "perustiedot", "perustiedot", "perustiedot-vko", "muutokset", "muutos"):
            with suppress(aiohttp.ClientError, UnicodeDecodeError):
                await client.ask(sandbox, endpoint, {"hetulista": codes})
    assert sandbox.state()["requests"] == {"perustiedot": 3, "perustiedot-vko": 1, "muutokset": 1}
    assert not any(code in caplog.text for code in codes)
    assert not [line for line in caplog.records if line.name.startswith("aiohttp")]
