"""What the HTTP clients here share: whom they trust, who they say they are, what a broken connection means."""

import ssl
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

import aiohttp
from pydantic import SecretStr

from producer.errors import SettingsError

HOSTNAME_MISMATCH: Final = {62, 64}  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
EXPIRED: Final = 10  # X509_V_ERR_CERT_HAS_EXPIRED
REFUSED: Final = ("CERT", "UNKNOWN_CA", "HANDSHAKE_FAILURE", "ACCESS_DENIED")


class Server(Protocol):
    """A section of the settings that names a server, and what TLS needs there."""

    @property
    def url(self) -> str | None: ...
    @property
    def ca_file(self) -> Path | None: ...
    @property
    def client_cert_file(self) -> Path | None: ...
    @property
    def client_key_file(self) -> Path | None: ...


def trust(server: Server, section: str) -> ssl.SSLContext | bool:
    """The system's CAs and the settings' own, and the client certificate. Raises SettingsError for a file of them.

    section: how the names of its settings begin, as in the environment.
    """
    if server.url is None or not server.url.startswith("https:"):
        return True  # not used, and costs no reading of the system's CAs
    context = ssl.create_default_context()
    if server.ca_file is not None:
        _check_readable(f"{section}CA_FILE", server.ca_file)
        try:
            context.load_verify_locations(server.ca_file)
        except ssl.SSLError:
            raise SettingsError(
                f"{section}CA_FILE: {server.ca_file} holds no PEM certificates.",
                hint="The file must begin with -----BEGIN CERTIFICATE-----.",
            ) from None
    if server.client_cert_file is not None and server.client_key_file is not None:
        _check_readable(f"{section}CLIENT_CERT_FILE", server.client_cert_file)
        _check_readable(f"{section}CLIENT_KEY_FILE", server.client_key_file)
        try:
            # An encrypted key must fail here: without a password of ours OpenSSL would ask the terminal for it.
            context.load_cert_chain(server.client_cert_file, server.client_key_file, password="")
        except ssl.SSLError:
            raise SettingsError(
                f"{section}CLIENT_CERT_FILE and {section}CLIENT_KEY_FILE do not hold a PEM certificate and its key.",
                hint="The key must belong to the first certificate of the file, and must not be encrypted.",
            ) from None
    return context


def _check_readable(setting: str, path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise SettingsError(
            f"{setting}: {path} cannot be read: {error.strerror}.", hint="Is it mounted, and readable for this user?"
        ) from None


def basic(username: str, password: SecretStr) -> str:
    """The value of an Authorization header."""
    return f"Basic {b64encode(f'{username}:{password.get_secret_value()}'.encode()).decode()}"


def refusal(error: BaseException, who: str, section: str) -> tuple[str, str] | None:
    """What happened and what to do, when TLS is the cause: asking again would not help. None otherwise.

    error: what aiohttp raised. who: the server, as a sentence begins with it. section: as in `trust`.
    """
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            said = cause.verify_message.rstrip(".")
            return f"{who}'s certificate is not trusted: {said}.", _trust_hint(cause.verify_code, section)
        if not isinstance(cause, ssl.SSLError):
            continue
        reason = cause.reason or ""
        if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
            return f"{who} does not speak TLS.", f"Should {section}URL begin with http://?"
        if "ALERT" in reason and any(word in reason for word in REFUSED):
            return (
                f"{who} refused the TLS connection: {reason}.",
                f"The server wants a client certificate that it knows: check {section}CLIENT_CERT_FILE and "
                f"{section}CLIENT_KEY_FILE.",
            )
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """What aiohttp wrapped, from the outside in. aiohttp's own errors pass for ssl's, but lack their parts."""
    while error is not None:
        if not isinstance(error, aiohttp.ClientError):
            yield error
        error = error.__cause__ or error.__context__


def _trust_hint(code: int, section: str) -> str:
    if code in HOSTNAME_MISMATCH:
        return f"The host in {section}URL must be one that the certificate names."
    if code == EXPIRED:
        return "Ask the server's owner for a new certificate; if it is valid, this machine's clock is wrong."
    return f"Name the CA that issued it in {section}CA_FILE: it is not in the system's store."


def trouble(error: BaseException, *, silence: str, total: str) -> str:
    """What broke a connection, in words that cannot quote content. silence, total: settings that bound an answer."""
    if isinstance(error, aiohttp.SocketTimeoutError | aiohttp.ConnectionTimeoutError):
        return f"silence longer than {silence}"
    if isinstance(error, TimeoutError):
        return f"it was not complete within {total}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name of the host is not found"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection ({error.os_error.strerror or type(error.os_error).__name__})"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "it was cut short, or garbled on its way"
    if isinstance(error, aiohttp.ClientResponseError):
        return "it was not HTTP"
    if isinstance(error, aiohttp.ClientConnectionError | OSError):
        return "the connection was closed"
    return type(error).__name__
