"""What `check` says where no Kafka or registry answers; the rest: tests/integration/test_check.py."""

from collections.abc import AsyncIterator, Mapping

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from producer.check import links
from producer.check.chain import Found, walk
from producer.check.site import Site
from producer.config import load

UPSTREAM = {"VTJ_UPSTREAM__URL": "http://127.0.0.1:1", "VTJ_PERMIT__GROUPS": "KOTIKUNTA"}
AWAY = {"VTJ_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1,nowhere.invalid:9092"}


async def chain(environment: Mapping[str, str]) -> dict[str, Found]:
    async with Site(lambda: load(environ=UPSTREAM | AWAY | dict(environment))) as site:
        return {one.link: one for one in await walk(links.LINKS, site, site.words)}


async def test_a_kafka_that_is_away_is_named_beside_an_upstream_that_is() -> None:
    found = await chain({})
    assert {name: one.exit_code for name, one in found.items() if one.state == "broken"} == {
        links.UPSTREAM: 7,
        links.TO_KAFKA: 8,
    }
    assert "127.0.0.1:1" in found[links.TO_KAFKA].told
    assert "nowhere.invalid is not found" in found[links.TO_KAFKA].told
    assert found[links.TRANSACTIONS].told == f"after {links.ID_RIGHTS}"
    assert found[links.REGISTRY].state == found[links.SCHEMAS].state == "skipped"


async def test_a_registry_that_is_away() -> None:
    found = await chain({"VTJ_REGISTRY__URL": "http://127.0.0.1:1"})
    assert (found[links.REGISTRY].state, found[links.REGISTRY].exit_code) == ("broken", 9)
    assert "http://127.0.0.1:1" in found[links.REGISTRY].letter
    assert found[links.SCHEMAS].state == "skipped"


@pytest.fixture
async def registry() -> AsyncIterator[str]:
    """One that has no subject."""

    async def config(_: web.Request) -> web.Response:
        return web.json_response({"compatibilityLevel": "FULL_TRANSITIVE"})

    async def unknown(_: web.Request) -> web.Response:
        return web.json_response({"error_code": 40401, "message": "no such subject"}, status=404)

    app = web.Application()
    app.router.add_get("/config", config)
    app.router.add_route("*", "/{path:.*}", unknown)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


@pytest.mark.parametrize(("auto", "state", "code"), [("false", "broken", 9), ("true", "ok", 0)])
async def test_schemas_that_are_not_registered(registry: str, auto: str, state: str, code: int) -> None:
    found = await chain({"VTJ_REGISTRY__URL": registry, "VTJ_REGISTRY__AUTO_REGISTER": auto})
    assert found[links.REGISTRY].told == "keeps FULL_TRANSITIVE"
    assert (found[links.SCHEMAS].state, found[links.SCHEMAS].exit_code) == (state, code)
    assert "schemas register" in (found[links.SCHEMAS].cure or "schemas register")


def test_every_link_hangs_on_earlier_ones_and_says_what_to_ask_of_its_owner() -> None:
    seen: list[str] = []
    for link in links.LINKS:
        assert set(link.after) <= set(seen), link.name
        assert link.asks or link.owner == "you", link.name
        seen.append(link.name)
    assert len(seen) == len(set(seen))
    assert set(links.ASKS) <= set(seen)
