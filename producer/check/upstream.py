"""The links from here to a perustiedot of VTJ-muutosrajapinta.

One call proves several of them: how far it came, its fault says.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from producer.check.chain import PASSES, Broken, Skip
from producer.check.site import Site, trouble
from producer.errors import MalformedPage, ProducerError, UpstreamGone, UpstreamRefused, UpstreamUnavailable
from producer.events.instant import today
from producer.kafka import watchlist
from producer.upstream import faults, xroad
from producer.upstream.persons import read_persons

TLS, CERTIFICATE, CLIENT, LISTED, OPENAPI = "TLS", "client certificate", "X-Road client", "listMethods", "getOpenAPI"
ACCESS, LOGIN, CURSOR, PERSON = "access to VTJmutpa", "login", "kirjausavain", "perustiedot"

NOT_LET_IN: Final = f"Server.ClientProxy.{xroad.CERTIFICATE}"
# What was answered → the link that it breaks; of X-Road's types the last word will do. Else it breaks that of the call.
PLACES: Final = {
    faults.TLS: TLS,
    faults.ALERT: CERTIFICATE,
    NOT_LET_IN: CERTIFICATE,
    "UnknownMember": CLIENT,
    "AccessDenied": ACCESS,
    "401": LOGIN,
    "403": LOGIN,
}
# The links that a call can break, and proves when it is answered.
PROVES: Final = {
    LISTED: (TLS, CERTIFICATE, CLIENT, LISTED),
    OPENAPI: (OPENAPI,),
    CURSOR: (TLS, CERTIFICATE, ACCESS, LOGIN, CURSOR),
    PERSON: (PERSON,),
}
# Whose the place is that noticed a fault of X-Road, by how its type begins.
OPERATOR, DVV, YOU = "operator of the security server", "DVV", "you"
OWNERS: Final = {"Server.ServerProxy": DVV, "Server.ClientProxy": OPERATOR, "Client": YOU}
# The same, or any word of it → what to do, beside what the client's own errors say.
CURES: Final = {
    "NetworkError": "The own security server must reach DVV's: its firewall and DNS, else DVV's server is away.",
    "OutdatedGlobalConf": "The security server's copy of the global configuration is old: is its confclient running?",
    NOT_LET_IN: "Set VTJ_UPSTREAM__CLIENT_CERT_FILE and _KEY_FILE, and have the certificate loaded into the security "
    "server, among the subsystem's TLS certificates of information systems.",
    "DatabaseError": "The security server does not reach its own database.",
    "TimestampingFailed": "The security server gets no time stamps: its time-stamping service and network.",
    "CannotCreateSignature": "The security server cannot sign: is its token logged in, its signing certificate valid?",
    "TokenNotActive": "Log in to the token of the security server (its PIN), as after every restart.",
    "ServiceDisabled": "DVV has disabled VTJmutpa for now: ask when it is back.",
    "ServiceFailed": "VTJmutpa does not answer DVV's security server.",
}
SERVICE: Final = xroad.SERVICE.rpartition("/")[2]
SKEW: Final = 60.0  # s


def _place(error: ProducerError, call: str) -> str:
    links = PROVES[call]
    place = PLACES.get(error.fault) or PLACES.get(error.fault.rpartition(".")[2])
    if place is None and error.fault.startswith("Client."):
        place = CLIENT
    return place if place in links else links[-1]


def _passed(error: ProducerError) -> tuple[str, ...]:
    """The links that a call which failed has surely come past."""
    if error.fault.isdigit() or isinstance(error, MalformedPage):
        return TLS, CERTIFICATE, CLIENT, ACCESS
    if error.fault.startswith("Server.ServerProxy"):
        return TLS, CERTIFICATE, CLIENT
    return (TLS,) if error.fault not in ("", faults.TLS) else ()


def _named(on: Site, error: ProducerError) -> ProducerError:
    """The same with whoever owns the place, and the cure."""
    kind = error.fault
    owner = next((owner for begins, owner in OWNERS.items() if kind.startswith(begins)), None if on.xroad else DVV)
    cure = next((CURES[word] for word in (kind, *reversed(kind.split("."))) if word in CURES), None)
    if isinstance(error, UpstreamUnavailable):
        # A running service waits even for a certificate to be let in: the server's own may have lapsed.
        code = UpstreamRefused.exit_code if kind == NOT_LET_IN else UpstreamGone.exit_code
        if not kind and on.settings.upstream.client_cert_file is not None:
            cure = "If each try ends so, the server may not let VTJ_UPSTREAM__CLIENT_CERT_FILE in; else it may pass."
        return Broken(str(error), hint=cure or PASSES, exit_code=code, owner=owner)
    if isinstance(error, UpstreamRefused):
        return Broken(str(error), hint=error.hint, exit_code=error.exit_code, owner=owner)
    return error


def proved(link: str, say: Callable[[Site, Any], str] = lambda *_: "") -> Callable[[Site], Any]:
    """Proves the link by a call. say: what was seen, of its answer."""

    async def prove(on: Site) -> str:
        call = link if link in PROVES else CURSOR if link in (ACCESS, LOGIN) or not on.xroad else LISTED
        if link in (CLIENT, LISTED, OPENAPI, ACCESS) and not on.xroad:
            raise Skip("not by X-Road (VTJ_UPSTREAM__XROAD__CLIENT is unset)")
        try:
            answer = await on.once(call, lambda: _ask(on, call))
        except ProducerError as error:
            place = _place(error, call)
            if place == link:
                raise _named(on, error) from None
            if link not in _passed(error):
                raise Skip(f"not seen: the call broke before it could tell, see {place}") from None
            return "passed"
        return say(on, answer)

    return prove


async def _ask(on: Site, call: str) -> Any:
    if call == CURSOR:
        return await on.upstream.first_cursor(today())
    return await on.upstream.metaservice(call)


async def network(on: Site) -> str:
    host, port = on.address
    if wrong := await trouble(host, port):
        raise Broken(
            f"{wrong[0].upper()}{wrong[1:]}.",
            hint="Check the host in VTJ_UPSTREAM__URL, DNS, and the firewalls on the way.",
            exit_code=UpstreamGone.exit_code,
        )
    return f"{host}:{port} takes connections"


def _tls(on: Site, _: object) -> str:
    if not (on.settings.upstream.url or "").startswith("https:"):
        raise Skip("plain HTTP: account and persons travel in the clear to there")
    return "its certificate is trusted"


def _certificate(on: Site, _: object) -> str:
    if on.settings.upstream.client_cert_file is None:
        return "none is set, and none is asked for"
    return "accepted" if (on.settings.upstream.url or "").startswith("https:") else "not shown: plain HTTP"


def _listed(on: Site, answer: bytes) -> str:
    try:
        there = xroad.services(answer)
    except ValueError:
        raise MalformedPage("The answer of listMethods is not of its form.", hint="Does a gateway change it?") from None
    if SERVICE not in there:
        raise Broken(
            f"listMethods shows no {SERVICE}, but {len(there)} other services.",
            hint="Is the first part of VTJ_UPSTREAM__XROAD__CLIENT (FI-TEST, FI) the instance that is meant?",
            exit_code=UpstreamRefused.exit_code,
        )
    return f"{SERVICE} is there ({there[SERVICE] or 'of no said type'})"


def _described(on: Site, answer: bytes) -> str:
    if b"openapi" not in answer[:4096].lower():
        raise MalformedPage("The answer of getOpenAPI is no OpenAPI document.", hint="Show it to DVV.")
    return f"{len(answer)} bytes"


def _said(on: Site, _: object) -> str:
    return f"as {on.settings.upstream.username or 'nobody'}"


tls = proved(TLS, _tls)
certificate = proved(CERTIFICATE, _certificate)
client = proved(CLIENT, lambda on, _: f"{on.xroad} is registered there")
listed = proved(LISTED, _listed)
_openapi = proved(OPENAPI, _described)
access = proved(ACCESS, lambda *_: "granted")
login = proved(LOGIN, _said)
cursor = proved(CURSOR, lambda _, cursor: f"today's first is {cursor}")


async def described(on: Site) -> str:
    """A service that is registered without a description has none to show."""
    if on.xroad and xroad.services(await on.once(LISTED, lambda: _ask(on, LISTED))).get(SERVICE) == "REST":
        raise Skip(f"DVV has registered {SERVICE} without a description")
    return str(await _openapi(on))


async def person(on: Site) -> str:
    """One perustiedot, of one group: no more than is needed."""
    codes = await _codes(on)
    if not codes:
        raise Skip("nobody is followed by code")
    kind = (on.settings.permit.groups or ["HENKILON_NIMI"])[0]
    try:
        page = await on.upstream.persons(codes[:1], [kind])
    except ProducerError as error:
        raise _named(on, error) from None
    if not page.records:
        return f"answered, without the one who was asked for: is the list of this VTJ, and {kind} in the permit?"
    return f"answered, one person, {kind}"


async def _codes(on: Site) -> list[str]:
    settings = on.settings
    if settings.upstream.persons_file is not None:
        return read_persons(settings.upstream.persons_file)
    if not settings.upstream.watchlist:
        return []
    topic = watchlist.watchlist_topic(settings.topics.prefix)
    try:
        async with asyncio.timeout(settings.kafka.commit_timeout):
            return [*await watchlist.read(settings.kafka, topic, settings.topics.partitions)]
    except (ProducerError, TimeoutError):
        raise Skip("the watchlist cannot be read yet: run it again when Kafka is in order") from None


def ahead(seconds: float, who: str) -> str:
    """Raises Broken when clocks are too far apart."""
    if abs(seconds) > SKEW:
        raise Broken(
            f"{who}'s clock is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} ours.",
            hint="Let this machine's clock be set (chrony, systemd-timesyncd); if it is right, the other one is wrong.",
            exit_code=1,
        )
    return f"within {max(1, abs(seconds)):.0f} s of ours"


async def clock(on: Site) -> str:
    if on.upstream.ahead is None:
        raise Skip("no answer has told the time")
    return ahead(on.upstream.ahead, "Upstream")
