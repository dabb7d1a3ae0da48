"""How every client proves at a broker who it is, and what it means when the broker, or we, will not have it."""

import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote_plus

from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import IllegalSaslStateError, SaslAuthenticationFailed, UnsupportedSaslMechanismError

from producer.config import Kafka
from producer.credentials import refusal, secret, trust
from producer.errors import KafkaGone, KafkaRefused, Stop

SECTION: Final = "VTJ_KAFKA__"
TOKEN_TIMEOUT: Final = 5.0  # s
LARGEST_TOKEN: Final = 64 * 1024  # bytes of an answer
RENEWED_AT: Final = 0.8  # of a token's life


@lru_cache  # the clients of a process share tokens and TLS contexts: one costs 30 ms
def arguments(settings: Kafka) -> Mapping[str, Any]:
    """Of every client. ssl_context and sasl_plain_password are functions: `connected` asks them for each connection."""
    protocol = settings.security_protocol
    oauth = settings.sasl_mechanism == "OAUTHBEARER"
    return {
        "security_protocol": protocol,
        "ssl_context": trust(settings, SECTION) if protocol.endswith("SSL") else None,
        "sasl_mechanism": settings.sasl_mechanism or "PLAIN",
        "sasl_plain_username": settings.username,
        "sasl_plain_password": secret(settings.password, settings.password_file, f"{SECTION}PASSWORD"),
        "sasl_oauth_token_provider": Tokens(settings) if oauth else None,
    }


class Tokens(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka is untyped
    """Tokens by the client-credentials grant (RFC 6749, 4.4), each used until most of its life is over."""

    def __init__(self, settings: Kafka) -> None:
        self._settings = settings
        self._secret = secret(settings.password, settings.password_file, f"{SECTION}PASSWORD")
        self._trust = trust(settings, SECTION)
        self._token, self._until = "", 0.0

    async def token(self) -> str:
        """Raises KafkaRefused, KafkaGone, SettingsError."""
        if time.monotonic() >= self._until:
            asked = time.monotonic()
            found = await self._ask()
            token, seconds = found.get("access_token"), found.get("expires_in")
            if not isinstance(token, str) or not token.isascii() or not token.isprintable():
                raise self._refused("gave no access_token")
            self._token = token
            self._until = asked + (seconds * RENEWED_AT if isinstance(seconds, int | float) else 0)
        return self._token

    async def _ask(self) -> dict[str, Any]:
        import aiohttp  # only who has a token endpoint pays for it

        from producer import http

        settings = self._settings
        assert settings.token_url is not None
        assert settings.username is not None
        assert self._secret is not None
        form = {"grant_type": "client_credentials", **({"scope": settings.token_scope} if settings.token_scope else {})}
        # Encoded first (RFC 6749, 2.3.1): an id or secret may hold a colon.
        account = http.basic(quote_plus(settings.username), quote_plus(self._secret()))
        trouble: Stop
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TOKEN_TIMEOUT)) as session,
                session.post(
                    settings.token_url,
                    data=form,
                    headers={"Authorization": account, "Accept": "application/json"},
                    ssl=self._trust() if settings.token_url.startswith("https:") else True,
                    allow_redirects=False,
                ) as answer,
            ):
                if answer.status == 200:
                    return http.json_object(await http.body(answer, LARGEST_TOKEN)) or {}
                told = f"answered {answer.status}"
                trouble = self._away(told) if answer.status >= 500 else self._refused(told)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            tls = refusal(error, "The token endpoint", SECTION, address="TOKEN_URL")
            trouble = KafkaRefused(tls[0], hint=tls[1]) if tls else self._away("does not answer")
        raise trouble  # outside the `except`: aiohttp's errors carry the request with its credentials

    def _refused(self, what: str) -> KafkaRefused:
        return KafkaRefused(
            f"The token endpoint {what}.",
            hint=f"Check {SECTION}TOKEN_URL, {SECTION}USERNAME (the client's id), {SECTION}PASSWORD (its secret) and "
            f"{SECTION}TOKEN_SCOPE.",
        )

    def _away(self, what: str) -> KafkaGone:
        return KafkaGone(
            f"The token endpoint {what}.", hint=f"Is {self._settings.token_url} up, and reachable from here?"
        )


def refused(error: BaseException, broker: str) -> Stop | None:
    """What a connection's fault means, when asking again would not help; None when it may. broker: host:port.

    Of the broker's words none is kept: it may be quoting what it was sent.
    """
    who = f"Kafka at {broker}"
    if isinstance(error, Stop):  # a file of ours, or the token endpoint
        return error
    if isinstance(error, SaslAuthenticationFailed):
        return KafkaRefused(
            f"{who} does not accept the account.",
            hint=f"Check {SECTION}USERNAME, {SECTION}PASSWORD_FILE and {SECTION}SASL_MECHANISM. Is the account there?",
        )
    if isinstance(error, UnsupportedSaslMechanismError):
        return KafkaRefused(
            f"{who} does not know the SASL mechanism.",
            hint=f"Set {SECTION}SASL_MECHANISM to what this listener has in sasl.enabled.mechanisms.",
        )
    if isinstance(error, IllegalSaslStateError):
        return KafkaRefused(
            f"{who} wants no SASL.", hint=f"Set {SECTION}SECURITY_PROTOCOL to the protocol of this listener."
        )
    told = refusal(
        error, who, SECTION, address="BOOTSTRAP_SERVERS", plain=f"Should {SECTION}SECURITY_PROTOCOL be without SSL?"
    )
    return KafkaRefused(told[0], hint=told[1]) if told else None
