"""The X-Road path: how the own security server is addressed, and what its faults mean.

Sources: X-Road Message Protocol for REST (NIIS, PR-REST) sections 4.1-4.6, Service Metadata Protocol for REST (NIIS,
PR-MREST); DVV's identifiers: its entry in liityntakatalogi.suomi.fi.
"""

import json
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote
from uuid import uuid4

from producer.errors import ProducerError, UpstreamRefused, UpstreamUnavailable

SERVICE: Final = "GOV/0245437-2/VTJmutpa/VTJmutpa"  # DVV's member class, business id, subsystem, service

# A fault is named by its type alone, and only by one of this form: message and detail may echo what was sent. Letters
# only, as all of X-Road's types are: no identity code fits.
TYPE: Final = re.compile(r"(Client|Server)(\.[A-Z][A-Za-z]{1,40}){1,6}")

# The last word of the type → what to do. These are decided by registers and settings, so asking again does not help,
# although a security server blames most of them on Server.*: it means the place that noticed.
HINTS: Final = {
    "AccessDenied": "DVV has not granted this client access to VTJmutpa: see the permit, and the subsystem in "
    "VTJ_UPSTREAM__XROAD__CLIENT.",
    "UnknownMember": "The security server does not know this client, or not VTJmutpa in this instance. Is "
    "VTJ_UPSTREAM__XROAD__CLIENT registered on the server that VTJ_UPSTREAM__URL names, letter by letter?",
    "UnknownService": "There is no VTJmutpa in this instance: check the first part of VTJ_UPSTREAM__XROAD__CLIENT "
    "(FI-TEST, FI).",
}
CLIENT_HINT: Final = (
    "The security server found the request wrong. Check VTJ_UPSTREAM__XROAD__CLIENT and VTJ_UPSTREAM__URL; "
    "its log has more under the X-Road-Id."
)
# Temporary when certificates or their status lapse, lasting when the client's own is missing: waits, and says it.
CERTIFICATE: Final = "SslAuthenticationFailed"


def root(url: str, client: str) -> str:
    """The address that stands for the service's own root, in the instance that the client belongs to."""
    return f"{url}/r1/{quote(client.split('/')[0], safe='')}/{SERVICE}"


def metaservice(url: str, client: str, name: str) -> str:
    """The address of listMethods or getOpenAPI, which tell of the service (PR-MREST)."""
    subsystem, _, service = root(url, client).rpartition("/")
    return f"{subsystem}/{name}" + (f"?serviceCode={service}" if name == "getOpenAPI" else "")


def services(body: bytes) -> dict[str, str]:
    """The answer of listMethods: service → its type (OPENAPI, REST). Raises ValueError for one of another form."""
    answer = json.loads(body)
    try:
        return {str(one["service_code"]): str(one.get("service_type", "")) for one in answer["service"]}
    except (KeyError, TypeError, AttributeError):
        raise ValueError from None


def headers(client: str) -> dict[str, str]:
    """For one call: the id is fresh, so that it finds this call in the logs of both security servers."""
    return {"X-Road-Client": client, "X-Road-Id": str(uuid4())}


def fault_type(headers: Mapping[str, str], body: bytes) -> str | None:
    """The type of the fault, if a security server made this answer and not the service: header first, then body."""
    named: object = headers.get("X-Road-Error")
    if named is None:
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        if isinstance(answer, dict) and answer.keys() <= {"type", "message", "detail"}:
            named = answer.get("type")
    return named if isinstance(named, str) and TYPE.fullmatch(named) else None


def fault(kind: str, call: str, retry_after: float | None) -> ProducerError:
    hint = HINTS.get(kind.rpartition(".")[2])
    if hint is None and kind.startswith("Client."):
        hint = CLIENT_HINT
    error: ProducerError
    if hint is not None:
        error = UpstreamRefused(f"X-Road refused {call}: {kind}.", hint=hint)
    else:
        cure = ""
        if kind == f"Server.ClientProxy.{CERTIFICATE}":
            cure = " (does it know the certificate in VTJ_UPSTREAM__CLIENT_CERT_FILE, and is its own valid?)"
        error = UpstreamUnavailable(f"X-Road could not do {call}: {kind}{cure}.", retry_after=retry_after)
    error.fault = kind
    return error
