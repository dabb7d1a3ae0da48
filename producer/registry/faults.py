"""What an answer of the registry, or none, means for the operator. All of them stop: nothing half-known is used."""

import re
from collections.abc import Mapping
from typing import Any, Final

from producer import credentials, http
from producer.errors import RegistryFault
from producer.redaction import redacted

ELSEWHERE: Final = (
    "Does VTJ_REGISTRY__URL lead to the root of a Confluent-compatible registry? Apicurio's ends with /apis/ccompat/v7."
)
HINTS: Final = {
    401: "Check VTJ_REGISTRY__USERNAME and VTJ_REGISTRY__PASSWORD, or VTJ_REGISTRY__TOKEN (has it expired?).",
    403: "The account needs read on our subjects, and write to register them; ask the registry's owner.",
    404: ELSEWHERE,
    409: "The schema breaks the compatibility that the registry keeps for this subject: `vtj-producer schemas diff` "
    "says for which schemas. A change that only adds optional fields is compatible.",
    422: "The registry finds the schema or the subject's name invalid: `vtj-producer schemas check`, and its rules.",
    429: "The registry has had too many requests: try again in a while.",
}
AWAY: Final = "The registry is in trouble: look at its own log, and start again when it answers."
REDIRECT: Final = "Redirects are not followed: they would carry the account along. Is VTJ_REGISTRY__URL the right one?"
LONGEST: Final = 300


def short(text: str) -> str:
    """What the registry said: one line, not too long, without control characters."""
    line = re.sub(r"[\x00-\x1f\x7f\s]+", " ", redacted(text)).strip()
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def garbled(what: str) -> RegistryFault:
    return RegistryFault(f"What came for {what} is no answer of a schema registry.", hint=ELSEWHERE)


def from_status(status: int, found: Mapping[str, Any] | None, what: str) -> RegistryFault:
    """status: any that is no answer to what was asked. found: the body, when it is a JSON object."""
    if status == 200:
        return garbled(what)
    said = found.get("message") if found else None
    because = f": {short(said)}" if isinstance(said, str) and said.strip() else ""
    hint = HINTS.get(status, AWAY if status >= 500 else REDIRECT if 300 <= status < 400 else ELSEWHERE)
    return RegistryFault(f"The schema registry answered {status} to {what}{because or '.'}", hint=hint)


def from_connection(error: BaseException, what: str, url: str) -> RegistryFault:
    """error: what aiohttp raised."""
    if refused := credentials.refusal(error, "The schema registry", "VTJ_REGISTRY__"):
        message, hint = refused
        return RegistryFault(f"{message} It was asked for {what}.", hint=hint)
    trouble = http.trouble(error, silence="VTJ_REGISTRY__TIMEOUT", total="VTJ_REGISTRY__TIMEOUT")
    return RegistryFault(
        f"No answer of the schema registry to {what}: {trouble}.", hint=f"Is {url} up, and reachable from here?"
    )
