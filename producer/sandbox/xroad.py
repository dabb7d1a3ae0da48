"""The X-Road path: what the security servers between a client and the service check, add and refuse.

Sources: X-Road Message Protocol for REST (NIIS, PR-REST), sections 4.1-4.6, and its Service Metadata Protocol
(PR-MREST). A request that breaks the protocol is answered 400 `Client.BadRequest`, everything that the security servers
cannot do 500.
"""

import base64
import hashlib
import re
import ssl
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final
from uuid import uuid4

import orjson
from aiohttp import web

INSTANCES: Final = ("FI", "FI-TEST")
PROVIDER: Final = ("GOV", "0245437-2", "VTJmutpa")
SERVICE: Final = "VTJmutpa"
METASERVICES: Final = ("listMethods", "getOpenAPI")  # told by the security servers, without an account of the service
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


class SecurityServer:
    """clients: who is registered on it; none: whoever has a member class of the Finnish instances and a business id.

    certified: whether a client must show a certificate. TLS itself refuses one that is not known (`tls`); a real
    security server lets it in, and then refuses it as it does one that is missing.
    """

    def __init__(self, clients: Collection[str], *, certified: bool) -> None:
        self._clients = clients
        self._certified = certified

    def service_path(self, request: web.Request) -> str:
        """Checks the addressing of a request under /r1/ and returns the path that the service itself sees.

        Of a metaservice its name after a slash. Raises XroadFault.
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
        if parts[0] != instance or not self._knows(client):
            raise XroadFault(500, "Server.ClientProxy.UnknownMember", "Client not found")
        if self._certified and not (request.transport and request.transport.get_extra_info("peercert")):
            raise XroadFault(500, "Server.ClientProxy.SslAuthenticationFailed", "Client did not supply TLS certificate")
        if instance not in INSTANCES or provider != PROVIDER:
            raise XroadFault(500, "Server.ClientProxy.UnknownMember", "Could not find addresses for service provider")
        if name == "getOpenAPI" and request.query.get("serviceCode") != SERVICE:
            name = ""
        if name not in (SERVICE, *METASERVICES):
            raise XroadFault(500, "Server.ServerProxy.UnknownService", "Unknown service")
        return "/" + "/".join(rest if name == SERVICE else [name])

    def _knows(self, client: str) -> bool:
        return client in self._clients if self._clients else bool(_MEMBER.fullmatch(client.partition("/")[2]))


def tls(certificate: Path, key: Path, clients: Path | None) -> ssl.SSLContext:
    """clients: certificates that clients may show, or those of who has issued them. Raises OSError, ssl.SSLError."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key, password="")
    if clients is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(clients)
    return context


def told(metaservice: str, instance: str, methods: Mapping[str, str]) -> bytes:
    """The answer of a metaservice. methods: path of each endpoint → its method."""
    if metaservice == "getOpenAPI":
        paths = {
            path: {method.lower(): {"responses": {"200": {"description": "OK"}}}} for path, method in methods.items()
        }
        return orjson.dumps({"openapi": "3.0.0", "info": {"title": SERVICE, "version": "v1"}, "paths": paths})
    kind, code, subsystem = PROVIDER
    service = {
        "object_type": "SERVICE",
        "service_type": "OPENAPI",
        "xroad_instance": instance,
        "member_class": kind,
        "member_code": code,
        "subsystem_code": subsystem,
        "service_code": SERVICE,
        "endpoint_list": [{"method": method, "path": path} for path, method in methods.items()],
    }
    return orjson.dumps({"service": [service]})


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
