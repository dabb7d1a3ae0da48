"""Every setting, once: name, type, default, unit, meaning. Docs and `vtj-producer config` are made from here."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from producer.config.kinds import (
    Account,
    Brokers,
    Bytes,
    Count,
    Groups,
    HeaderName,
    Headers,
    Name,
    Seconds,
    Start,
    Times,
    Token,
    Unit,
    UpstreamUrl,
    Url,
    WholeSeconds,
    XroadClient,
)


class Section(BaseModel):
    # Inputs stay out of error texts: they may be secrets.
    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False, hide_input_in_errors=True
    )


# Of every server that we may have to trust by a CA of its own, and that may want to know us.
Ca = Annotated[
    Path | None, Field(description="PEM bundle of the CAs to trust besides the system's.", examples=["/etc/vtj/ca.pem"])
]
ClientCert = Annotated[
    Path | None,
    Field(description="PEM client certificate with its chain, for mutual TLS.", examples=["/etc/vtj/client.pem"]),
]
ClientKey = Annotated[
    Path | None,
    Field(description="PEM key of the client certificate, not encrypted.", examples=["/run/secrets/client-key.pem"]),
]


class Xroad(Section):
    client: XroadClient | None = Field(
        default=None,
        description="X-Road client: instance/class/code/subsystem. Its presence turns the X-Road path on, "
        "and its instance (FI-TEST, FI) is the one that is called.",
        examples=["FI-TEST/MUN/1234567-8/subsystem"],
    )


def _account_and_certificate(section: "Upstream | Registry | Kafka", name: str) -> None:
    """Settings that make sense only in pairs. Raises ValueError."""

    def together(one: str, other: str) -> None:
        first, second = (f"VTJ_{name}__{setting.upper()}" for setting in (one, other))
        raise ValueError(f"{first} is set, but not {second}: set both, or neither.")

    # The file's content is in `password` once the settings are loaded; a section made by hand may hold the path.
    password = section.password is not None or section.password_file is not None
    if section.username is not None and not password:
        together("username", "password")
    if password and section.username is None:
        together("password", "username")
    if section.client_cert_file and not section.client_key_file:
        together("client_cert_file", "client_key_file")
    if section.client_key_file and not section.client_cert_file:
        together("client_key_file", "client_cert_file")


class Upstream(Section):
    url: UpstreamUrl | None = Field(
        default=None,
        description="Root of VTJ-muutosrajapinta (the part before /api/v1), or of the own security server when "
        "VTJ_UPSTREAM__XROAD__CLIENT is set.",
        examples=["https://security-server.example.fi"],
    )
    username: Account | None = Field(
        default=None, description="Account from DVV, for HTTP Basic.", examples=["account"]
    )
    password: SecretStr | None = Field(
        default=None, description="Password of the account. Better: VTJ_UPSTREAM__PASSWORD_FILE.", examples=["…"]
    )
    password_file: Path | None = Field(
        default=None,
        description="File that holds the password in its first line.",
        examples=["/run/secrets/vtj-password"],
    )
    auth_header: HeaderName = Field(
        default="Authorization",
        description="Header that carries HTTP Basic; some gateways want another.",
        examples=["x-authorization"],
    )
    headers: Headers = Field(
        default_factory=dict,
        description="Extra request headers, for instance the key of a gateway; their values count as secrets. "
        "In the environment a JSON object, in TOML a table.",
        examples=['{"X-API-KEY": "key"}'],
    )
    ca_file: Path | None = Field(
        default=None,
        description="PEM bundle of the CAs to trust besides the system's (DVV's own CA is in no system store).",
        examples=["/etc/vtj/ca.pem"],
    )
    client_cert_file: ClientCert = None
    client_key_file: ClientKey = None
    persons_file: Path | None = Field(
        default=None,
        description="File of the followed persons, one identity code a line: `run` and `load` sync it into the "
        "watchlist.",
        examples=["/run/secrets/persons"],
    )
    watchlist: bool = Field(
        default=False,
        description="Whether those in the topic `watchlist` are followed (`vtj-producer persons add FILE`), instead of "
        "all whom the permit selects. Implied by VTJ_UPSTREAM__PERSONS_FILE.",
        examples=["true"],
    )
    bucket_size: Annotated[Count, Unit("persons")] = Field(
        default=10_000,
        ge=1,
        description="Most persons of a new bucket. Every request names all of its bucket; each bucket has its cursor.",
    )
    start: Start | None = Field(
        default=None,
        description="Where a feed without a stored cursor begins: today, a date (2026-11-01) or a cursor. "
        "Has no meaning once a cursor is stored.",
        examples=["today"],
    )
    total_timeout: Seconds = Field(default=120, gt=0, description="Longest time for one answer, body included.")
    idle_timeout: Seconds = Field(default=30, gt=0, description="Longest silence while connecting or reading.")
    max_response: Bytes = Field(default=64 * 1024 * 1024, ge=1024, description="Largest answer, unpacked.")
    requests_per_minute: Annotated[Count, Unit("requests per minute")] = Field(
        default=600, ge=1, description="Own request budget; further requests wait."
    )
    retry_wait: Seconds = Field(
        default=60,
        ge=0.5,
        description="Longest wait between tries; grows to it from 0.5 s. Retry-After may ask for more.",
    )
    patience: Seconds = Field(
        default=300, gt=0, description="How long `run --once` keeps trying an upstream that is away before it exits 7."
    )
    xroad: Xroad = Xroad()

    @property
    def listing(self) -> bool:
        """Whether the watchlist says whom to follow; else the permit does."""
        return self.watchlist or self.persons_file is not None

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        _account_and_certificate(self, "UPSTREAM")
        if self.auth_header.lower() in {name.lower() for name in self.headers}:
            raise ValueError("VTJ_UPSTREAM__HEADERS and VTJ_UPSTREAM__AUTH_HEADER name the same header.")
        return self


class Kafka(Section):
    bootstrap_servers: Brokers | None = Field(
        default=None, description="Brokers to begin with: host:port, separated by commas.", examples=["localhost:9092"]
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT",
        description="What the brokers' listener speaks, in Kafka's words: SSL is TLS, SASL an account.",
        examples=["SASL_SSL"],
    )
    ca_file: Ca = None
    client_cert_file: ClientCert = None
    client_key_file: ClientKey = None
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        default=None,
        description="How the account is proved, with SASL_SSL or SASL_PLAINTEXT.",
        examples=["SCRAM-SHA-512"],
    )
    username: str | None = Field(
        default=None, description="Account at Kafka; with OAUTHBEARER the client's id.", examples=["vtj-producer"]
    )
    password: SecretStr | None = Field(
        default=None,
        description="Password of the account, or the client's secret. Better: VTJ_KAFKA__PASSWORD_FILE.",
        examples=["…"],
    )
    password_file: Path | None = Field(
        default=None,
        description="File that holds the password in its first line.",
        examples=["/run/secrets/kafka-password"],
    )
    token_url: Url | None = Field(
        default=None,
        description="Token endpoint that OAUTHBEARER asks with the client-credentials grant; its CA may stand in "
        "VTJ_KAFKA__CA_FILE.",
        examples=["https://login.example.fi/oauth2/token"],
    )
    token_scope: str | None = Field(
        default=None, description="Scope that is asked for there, if any is needed.", examples=["kafka"]
    )
    transaction_timeout: Seconds = Field(
        default=60, ge=5, le=900, description="The broker aborts a transaction that stays open longer."
    )
    commit_timeout: Seconds = Field(default=30, gt=0, description="Deadline of our own round each Kafka call.")
    session_timeout: Seconds = Field(
        default=8, ge=6, le=300, description="An instance that is silent this long loses its shards to another."
    )
    transaction_events: Annotated[Count, Unit("events")] = Field(
        default=20_000, ge=1, description="Pages share a transaction up to so many events while catching up."
    )
    batch_size: Bytes = Field(default=256 * 1024, ge=16_384, description="Largest producer batch before compression.")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        _account_and_certificate(self, "KAFKA")
        protocol, oauth = self.security_protocol, self.sasl_mechanism == "OAUTHBEARER"
        sasl = {"SASL_MECHANISM": self.sasl_mechanism, "USERNAME": self.username}
        tls = {"CA_FILE": self.ca_file, "CLIENT_CERT_FILE": self.client_cert_file}
        tokens = {"TOKEN_URL": self.token_url, "TOKEN_SCOPE": self.token_scope}
        what = f"VTJ_KAFKA__SECURITY_PROTOCOL is {protocol}"
        for wanted, settings, cure in (
            (protocol.startswith("SASL"), sasl, f"{what}: set VTJ_KAFKA__SECURITY_PROTOCOL=SASL_SSL"),
            # Who names a certificate believes to have TLS.
            (protocol.endswith("SSL"), tls, f"{what}: set one with SSL, VTJ_KAFKA__SECURITY_PROTOCOL=SSL or SASL_SSL"),
            (oauth, tokens, "VTJ_KAFKA__SASL_MECHANISM is not OAUTHBEARER: set that"),
        ):
            for name in [name for name, value in settings.items() if value is not None and not wanted][:1]:
                raise ValueError(f"VTJ_KAFKA__{name} is set, but {cure}, or neither.")
        if protocol.startswith("SASL"):
            for name, value in sasl.items():
                if value is None:
                    example = "SCRAM-SHA-512" if name == "SASL_MECHANISM" else "vtj-producer"
                    raise ValueError(
                        f"{what}, but VTJ_KAFKA__{name} is not set, for example VTJ_KAFKA__{name}={example}"
                    )
        if oauth and self.token_url is None:
            raise ValueError(
                "VTJ_KAFKA__SASL_MECHANISM is OAUTHBEARER, but VTJ_KAFKA__TOKEN_URL is not set, for example "
                "VTJ_KAFKA__TOKEN_URL=https://login.example.fi/oauth2/token"
            )
        return self


class Topics(Section):
    prefix: Name = Field(default="vtj", description="First part of every topic name.")
    partitions: Annotated[Count, Unit("partitions")] = Field(
        default=6, ge=1, le=1000, description="Partitions of every topic keyed by person; cannot change later."
    )
    replication: Annotated[Count, Unit("replicas")] | None = Field(
        default=None,
        ge=1,
        le=7,
        description="Replicas of new topics. Unset: 3, or as many as there are brokers.",
        examples=["3"],
    )
    retention: WholeSeconds = Field(
        default=90 * 86_400, ge=3600, description="How long change events and dead letters are kept."
    )


class State(Section):
    enabled: bool = Field(
        default=True,
        description="Whether `run` keeps the state topics: what is valid now of each person, read again from "
        "perustiedot after a change. Costs requests of perustiedot.",
        examples=["false"],
    )


class Feed(Section):
    name: Name = Field(default="vtj", description="Name of the feed: part of the cursor's key.")


class Schedule(Section):
    interval: Seconds = Field(
        default=3600,
        ge=1,
        description="Pause between polls once upstream says ajanTasalla, and by chance up to a tenth of it more, at "
        "most 5 min, so that not everybody asks at once. DVV: hourly to daily.",
    )
    times: Times | None = Field(
        default=None,
        description="Times of day in Finland to poll at, instead of an interval: separated by commas (in TOML a list "
        "of texts), by chance up to 5 min later each. A start polls at once.",
        examples=["06:30,18:30"],
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.times is not None and "interval" in self.model_fields_set:
            raise ValueError("VTJ_SCHEDULE__INTERVAL and VTJ_SCHEDULE__TIMES are both set: keep one.")
        return self


class Server(Section):
    port: Annotated[Count, Unit("port")] | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="TCP port of status page, /healthz, /readyz and /metrics; 0: any, and the log tells which. Unset, "
        "or with `run --once`: none.",
        examples=["8080"],
    )
    host: str = Field(
        default="127.0.0.1",
        pattern=r"^[\w.:-]+$",
        description="Address that it listens on. It has no accounts and shows no persons; beyond this machine a "
        "container's network or a proxy should stand before it.",
        examples=["0.0.0.0"],  # noqa: S104 - an example, not the default
    )


class Log(Section):
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is written."
    )
    format: Literal["console", "json"] = Field(default="console", description="One line of text or of JSON per event.")


class Registry(Section):
    url: Url | None = Field(
        default=None,
        description="Root of a Confluent-compatible schema registry. Unset: values are single-object encoded.",
        examples=["https://schemas.example.fi"],
    )
    username: Account | None = Field(default=None, description="Account, for HTTP Basic.", examples=["account"])
    password: SecretStr | None = Field(
        default=None, description="Password of the account. Better: VTJ_REGISTRY__PASSWORD_FILE.", examples=["…"]
    )
    password_file: Path | None = Field(
        default=None,
        description="File that holds the password in its first line.",
        examples=["/run/secrets/registry-password"],
    )
    token: Token | None = Field(
        default=None,
        description="Bearer token, instead of an account. Better: VTJ_REGISTRY__TOKEN_FILE.",
        examples=["…"],
    )
    token_file: Path | None = Field(
        default=None,
        description="File that holds the token in its first line.",
        examples=["/run/secrets/registry-token"],
    )
    ca_file: Ca = None
    client_cert_file: ClientCert = None
    client_key_file: ClientKey = None
    subjects: Literal["topic", "record"] = Field(
        default="topic",
        description="Names of the subjects: topic is TopicNameStrategy (vtj.change.kotikunta-value), record is "
        "RecordNameStrategy (fi.vtj.event.KotikuntaEvent).",
    )
    auto_register: bool = Field(
        default=False,
        description="Whether `run` registers what is missing there, instead of refusing to start.",
        examples=["true"],
    )
    timeout: Seconds = Field(default=10, gt=0, description="Longest time for one answer of the registry.")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        _account_and_certificate(self, "REGISTRY")
        if self.username is not None and (self.token is not None or self.token_file is not None):
            raise ValueError("VTJ_REGISTRY__USERNAME and VTJ_REGISTRY__TOKEN are both set: keep one.")
        return self


class Permit(Section):
    groups: Groups | None = Field(
        default=None,
        description="Data groups that the data permit covers: names separated by commas (in TOML a list), or a file "
        "with one name a line and # for comments. esimerkki is permits/esimerkki beside the --config file, else in the "
        "working directory; with a slash it is a path. Unset: all.",
        examples=["HENKILON_NIMI,KOTIKUNTA"],
    )


RESTRICTION = "TURVAKIELTO"
SECRET_MIN = 32  # bytes


class Privacy(Section):
    keys: Literal["plain", "hmac-sha256"] = Field(
        default="plain",
        description="How persons stand in the topics: plain is the identity code, hmac-sha256 a pseudonym that is made "
        "of it with the secret (docs/privacy.md). A feed that has begun keeps its way, its secret and its key version.",
        examples=["hmac-sha256"],
    )
    secret: SecretStr | None = Field(
        default=None,
        description=f"Secret of the pseudonyms, at least {SECRET_MIN} bytes. Better: VTJ_PRIVACY__SECRET_FILE.",
        examples=["…"],
    )
    secret_file: Path | None = Field(
        default=None,
        description="File that holds the secret in its first line; `openssl rand -hex 32` makes one.",
        examples=["/run/secrets/vtj-pseudonyms"],
    )
    key_version: Annotated[Count, Unit("version")] | None = Field(
        default=None,
        ge=1,
        le=9999,
        description="Number of the secret: a new secret takes a new one. Stands behind the topics' prefix "
        "(vtj.k1.change.…), in the pseudonyms and in the header ce_keyversion. Needed with hmac-sha256.",
        examples=["1"],
    )
    restricted_topics: bool = Field(
        default=False,
        description="Whether what tells where a person under turvakielto lives goes to topics of its own, "
        "<topic>.restricted. Needs the state topics, TURVAKIELTO in the permit, and a load that was begun with it.",
        examples=["on"],
    )
    restricted_retention: WholeSeconds | None = Field(
        default=None,
        ge=3600,
        description="How long change events and dead letters are kept in the restricted topics. "
        "Unset: VTJ_TOPICS__RETENTION.",
        examples=["1209600"],
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        file = "VTJ_PRIVACY__SECRET_FILE=/run/secrets/vtj-pseudonyms"
        if self.keys == "plain":
            given = {"SECRET_FILE": self.secret_file, "SECRET": self.secret, "KEY_VERSION": self.key_version}
            for name in [name for name, value in given.items() if value is not None][:1]:
                # Who has written it down wants no plain codes in the topics.
                raise ValueError(
                    f"VTJ_PRIVACY__{name} is set, but VTJ_PRIVACY__KEYS is plain: "
                    "set VTJ_PRIVACY__KEYS=hmac-sha256, or neither."
                )
        elif self.secret is None:
            raise ValueError(f"VTJ_PRIVACY__KEYS is hmac-sha256, but no secret is set: set one, for example {file}")
        elif (size := len(self.secret.get_secret_value().encode())) < SECRET_MIN:
            raise ValueError(
                f"VTJ_PRIVACY__SECRET{'_FILE' if self.secret_file else ''} gives a secret of {size} bytes, and it must "
                f"have at least {SECRET_MIN}: `openssl rand -hex 32` makes one, for example for {file}"
            )
        elif self.key_version is None:
            raise ValueError(
                "VTJ_PRIVACY__KEYS is hmac-sha256, but VTJ_PRIVACY__KEY_VERSION is not set: the number of the secret, "
                "for example VTJ_PRIVACY__KEY_VERSION=1"
            )
        return self


class Settings(Section):
    upstream: Upstream = Upstream()
    permit: Permit = Permit()
    privacy: Privacy = Privacy()
    kafka: Kafka = Kafka()
    topics: Topics = Topics()
    state: State = State()
    feed: Feed = Feed()
    schedule: Schedule = Schedule()
    log: Log = Log()
    server: Server = Server()
    registry: Registry = Registry()

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.privacy.restricted_topics:
            who = f"VTJ_PRIVACY__RESTRICTED_TOPICS is on, and who is protected is read from the state of {RESTRICTION}"
            if not self.state.enabled:
                raise ValueError(f"{who}: set VTJ_STATE__ENABLED=true, and load it with `vtj-producer load`.")
            if self.permit.groups is not None and RESTRICTION not in self.permit.groups:
                raise ValueError(f"{who}: add it to VTJ_PERMIT__GROUPS, and load it with `vtj-producer load`.")
        if self.privacy.keys != "plain" and self.state.enabled and not self.upstream.listing:
            raise ValueError(
                "VTJ_STATE__ENABLED is true, but upstream tells nobody's state by a pseudonym: with "
                "VTJ_PRIVACY__KEYS=hmac-sha256 set VTJ_STATE__ENABLED=false, or name the persons: "
                "VTJ_UPSTREAM__WATCHLIST=true"
            )
        return self

    @property
    def data_prefix(self) -> str:
        """First part of the names of topics with persons in them: those of another key version are other topics."""
        version = self.privacy.key_version
        return self.topics.prefix if version is None else f"{self.topics.prefix}.k{version}"
