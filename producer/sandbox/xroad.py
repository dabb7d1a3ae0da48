"""The X-Road path: what the security servers between a client and the service check, add and refuse.

Source: X-Road Message Protocol for REST (NIIS, PR-REST), sections 4.1-4.6. A request that breaks the protocol is
answered 400 `Client.BadRequest`, everything that the security servers cannot do 500. Which clients are registered is
a rule here, not a list: a member class of the Finnish instances and a business id, in the instance that is called.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Final
from uuid import uuid4

import orjson
from aiohttp import web

INSTANCES: Final = ("FI", "FI-TEST")
PROVIDER: Final = ("GOV", "0245437-2", "VTJmutpa")
SERVICE: Final = "VTJmutpa"
_MEMBER: Final = re.compile(r"(GOV|MUN|COM|ORG|EDU)/\d{7}-\d(/[^/]+)?")


class XroadFault(Exception):
    """A security server refuses. type: begins with Client, Server.ClientProxy or Server.ServerProxy."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind

    def response(self) -> web.Response:
        body = {"type": self.kind, "message": str(self), "detail": str(uuid4())}
        return web.Response(
            status=self.status,
            body=orjson.dumps(body),
            content_type="application/json",
            charset="utf-8",
            headers={"X-Road-Error": self.kind},
        )


def service_path(request: web.Request) -> str:
    """Checks the addressing of a request under /r1/ and returns the path that the service itself sees.

    Raises XroadFault.
    """
    client = request.headers.get("X-Road-Client", "")
    parts = client.split("/")
    service = request.path.split("/")[2:]
    if not 3 <= len(parts) <= 4 or not all(parts) or len(service) < 5 or not all(service[:5]):
        raise XroadFault(
            400,
            "Client.BadRequest",
            "The request does not follow the X-Road Message Protocol for REST (r1): X-Road-Client must be "
            "instance/class/member/subsystem, and the path /r1/instance/class/member/subsystem/service",
        )
    instance, provider, name, rest = service[0], tuple(service[1:4]), service[4], service[5:]
    if instance not in INSTANCES or provider != PROVIDER:
        raise XroadFault(500, "Server.ClientProxy.UnknownMember", "Could not find addresses for service provider")
    if parts[0] != instance or not _MEMBER.fullmatch("/".join(parts[1:])):
        raise XroadFault(500, "Server.ClientProxy.UnknownMember", "Client not found")
    if name != SERVICE:
        raise XroadFault(500, "Server.ServerProxy.UnknownService", "Unknown service")
    return "/" + "/".join(rest)


def response_headers(request: web.Request, body: bytes) -> Mapping[str, str]:
    """What the security servers add to an answer of the service. The id is the request's own, or a fresh one."""
    sent = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items()).encode()
    digest = hashlib.sha512(sent).digest()
    if body:
        digest = hashlib.sha512(digest + hashlib.sha512(body).digest()).digest()
    return {
        "X-Road-Client": request.headers["X-Road-Client"],
        "X-Road-Service": "/".join(request.path.split("/")[2:7]),
        "X-Road-Id": request.headers.get("X-Road-Id") or str(uuid4()),
        "X-Road-Request-Id": str(uuid4()),
        "X-Road-Request-Hash": base64.b64encode(digest).decode(),
    }
