"""The X-Road path: addressing, headers and the errors of security servers."""

import base64
from uuid import UUID

import pytest

from producer.sandbox import Sandbox
from tests.unit.sandbox.conftest import Client

SERVICE = "GOV/0245437-2/VTJmutpa/VTJmutpa"
CLIENT = "FI-TEST/MUN/1234567-8/subsystem"
REST = "api/v1/kirjausavain/2026-01-01"


@pytest.mark.parametrize("instance", ["FI", "FI-TEST"])
async def test_an_answer_carries_the_security_servers_headers(client: Client, instance: str) -> None:
    async with Sandbox(history=10) as sandbox:
        path = f"/r1/{instance}/{SERVICE}/api/v1/muutokset"
        sent = {"X-Road-Client": f"{instance}/MUN/1234567-8/subsystem", "X-Road-Id": "id of the caller"}
        status, answer, headers = await client.full(sandbox, path, {"viimeisinKirjausavain": 0}, headers=sent)
        assert status == 200
        assert len(answer["muutokset"]) == 10
        assert headers["X-Road-Client"] == sent["X-Road-Client"]
        assert headers["X-Road-Service"] == f"{instance}/{SERVICE}"
        assert headers["X-Road-Id"] == "id of the caller"
        assert UUID(headers["X-Road-Request-Id"])
        assert len(base64.b64decode(headers["X-Road-Request-Hash"])) == 64
        assert "X-Road-Error" not in headers
        assert sandbox.state()["requests"] == {"muutokset": 1}


@pytest.mark.parametrize(
    ("client_id", "service", "status", "kind"),
    [
        (None, f"FI-TEST/{SERVICE}", 400, "Client.BadRequest"),
        ("FI-TEST", f"FI-TEST/{SERVICE}", 400, "Client.BadRequest"),
        ("FI-TEST/MUN//subsystem", f"FI-TEST/{SERVICE}", 400, "Client.BadRequest"),
        (f"{CLIENT}/more", f"FI-TEST/{SERVICE}", 400, "Client.BadRequest"),
        (CLIENT, "FI-TEST//0245437-2/VTJmutpa/VTJmutpa", 400, "Client.BadRequest"),
        ("FI-TEST/XXX/1234567-8/subsystem", f"FI-TEST/{SERVICE}", 500, "Server.ClientProxy.UnknownMember"),
        ("FI-TEST/MUN/espoo/subsystem", f"FI-TEST/{SERVICE}", 500, "Server.ClientProxy.UnknownMember"),
        (CLIENT, f"FI/{SERVICE}", 500, "Server.ClientProxy.UnknownMember"),
        (CLIENT, f"SE/{SERVICE}", 500, "Server.ClientProxy.UnknownMember"),
        (CLIENT, "FI-TEST/GOV/0245437-2/Other/VTJmutpa", 500, "Server.ClientProxy.UnknownMember"),
        (CLIENT, "FI-TEST/GOV/0245437-2/VTJmutpa/other", 500, "Server.ServerProxy.UnknownService"),
    ],
)
async def test_security_servers_refuse(
    client: Client, client_id: str | None, service: str, status: int, kind: str
) -> None:
    async with Sandbox() as sandbox:
        sent = {"X-Road-Client": client_id} if client_id else {}
        got, answer, headers = await client.full(sandbox, f"/r1/{service}/{REST}", headers=sent)
        assert (got, headers["X-Road-Error"]) == (status, kind)
        assert set(answer) == {"type", "message", "detail"}
        assert answer["type"] == kind
        assert sandbox.state()["requests"] == {}


async def test_the_services_own_errors_are_not_x_roads(client: Client) -> None:
    async with Sandbox() as sandbox:
        sent = {"X-Road-Client": CLIENT}
        for path, login in (("nowhere", "sandbox:sandbox"), (REST, None)):
            status, _, headers = await client.full(sandbox, f"/r1/FI-TEST/{SERVICE}/{path}", headers=sent, login=login)
            assert status in (401, 404)
            assert "X-Road-Error" not in headers
            assert UUID(headers["X-Road-Id"])


async def test_a_scripted_fault_of_x_road(client: Client) -> None:
    async with Sandbox() as sandbox:
        sandbox.set_faults([{"fault": 500, "xroad": "Server.ServerProxy.NetworkError"}, {"fault": 500}])
        sent = {"X-Road-Client": CLIENT}
        _, answer, headers = await client.full(sandbox, f"/r1/FI-TEST/{SERVICE}/{REST}", headers=sent)
        assert answer["type"] == headers["X-Road-Error"] == "Server.ServerProxy.NetworkError"
        status, _, headers = await client.full(sandbox, f"/r1/FI-TEST/{SERVICE}/{REST}", headers=sent)
        assert status == 500
        assert "X-Road-Error" not in headers
