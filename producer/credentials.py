"""Whom we trust and who we say we are: made of files, and made anew when they have changed on disk."""

import logging
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

from pydantic import SecretStr

from producer.config.sources import first_line
from producer.errors import SettingsError

log = logging.getLogger("vtj.credentials")

T = TypeVar("T")

HOSTNAME_MISMATCH: Final = {62, 64}  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
EXPIRED: Final = 10  # X509_V_ERR_CERT_HAS_EXPIRED
REFUSED: Final = ("CERT", "UNKNOWN_CA", "HANDSHAKE_FAILURE", "ACCESS_DENIED")
MOUNTED: Final = "Is it mounted, and readable for this user?"


class Renewed(Generic[T]):
    """What is made of files, kept until one of them changes. Called for each connection: a renewal needs no restart.

    make: raises SettingsError. The first call passes that on; later ones warn, once for each change, and keep what was
    made before: a renewal may be half done (the certificate is there, its key not yet), and is looked at again.
    """

    def __init__(self, make: Callable[[], T], *files: Path | None) -> None:
        self._make = make
        self._files = [file for file in files if file is not None]
        self._seen: list[tuple[int, ...] | None] = []
        self._made: list[T] = []

    def __call__(self) -> T:
        seen = [_state(file) for file in self._files]
        if not self._made or seen != self._seen:
            try:
                made = self._make()
            except SettingsError as error:
                if not self._made:
                    raise
                log.warning("%s What was read from it before stays in use. %s", error, error.hint)
            else:
                if self._made:
                    log.info("taken up, as it has changed: %s", " or ".join(map(str, self._files)))
                self._made = [made]
            self._seen = seen
        return self._made[0]


def _state(file: Path) -> tuple[int, ...] | None:
    try:
        told = file.stat()
    except OSError:
        return None
    return told.st_mtime_ns, told.st_size, told.st_dev, told.st_ino


def secret(value: SecretStr | None, file: Path | None, setting: str) -> Callable[[], str] | None:
    """A password or token as it is now; None when there is none. setting: its name, without _FILE."""
    if file is not None:
        return Renewed(lambda: _first_line(file, f"{setting}_FILE"), file)
    return None if value is None else value.get_secret_value


def _first_line(file: Path, setting: str) -> str:
    try:
        return first_line(file)
    except ValueError as trouble:
        raise SettingsError(f"{setting}: {file} {trouble}.", hint=MOUNTED) from None


class Server(Protocol):
    """A section of the settings that says what TLS needs at a server."""

    @property
    def ca_file(self) -> Path | None: ...
    @property
    def client_cert_file(self) -> Path | None: ...
    @property
    def client_key_file(self) -> Path | None: ...


def trust(server: Server, section: str) -> Renewed[ssl.SSLContext]:
    """The system's CAs and the settings' own, and the client certificate. Called, it raises SettingsError for a file.

    section: how the names of its settings begin, as in the environment.
    """
    files = server.ca_file, server.client_cert_file, server.client_key_file
    return Renewed(lambda: _context(server, section), *files)


def _context(server: Server, section: str) -> ssl.SSLContext:
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
        raise SettingsError(f"{setting}: {path} cannot be read: {error.strerror}.", hint=MOUNTED) from None


def refusal(
    error: BaseException, who: str, section: str, *, address: str = "URL", plain: str = "Should it begin with http://?"
) -> tuple[str, str] | None:
    """What happened and what to do, when TLS is the cause: asking again would not help. None otherwise.

    error: what a client raised. who: the server, as a sentence begins with it. section: as in `trust`. address: the
    setting of it that names the host. plain: what to do about a server without TLS.
    """
    for cause in _causes(error):
        # aiohttp's own errors pass for ssl's, but lack their parts; what they wrap comes after them.
        if isinstance(cause, ssl.SSLCertVerificationError) and hasattr(cause, "verify_message"):
            said = cause.verify_message.rstrip(".")
            return f"{who}'s certificate is not trusted: {said}.", _trust_hint(cause.verify_code, section, address)
        reason = (getattr(cause, "reason", None) or "") if isinstance(cause, ssl.SSLError) else ""
        if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
            return f"{who} does not speak TLS.", f"{plain} {section}{address} leads there."
        if "ALERT" in reason and any(word in reason for word in REFUSED):
            return (
                f"{who} refused the TLS connection: {reason}.",
                f"The server wants a client certificate that it knows: check {section}CLIENT_CERT_FILE and "
                f"{section}CLIENT_KEY_FILE.",
            )
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """From the outside in."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _trust_hint(code: int, section: str, address: str) -> str:
    if code in HOSTNAME_MISMATCH:
        return f"The host in {section}{address} must be one that the certificate names."
    if code == EXPIRED:
        return "Ask the server's owner for a new certificate; if it is valid, this machine's clock is wrong."
    return f"Name the CA that issued it in {section}CA_FILE: it is not in the system's store."
