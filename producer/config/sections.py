"""Every setting, once: name, type, default, unit, meaning. Docs and `vtj-producer config` are made from here."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from producer.config.kinds import (
    Brokers,
    Bytes,
    Count,
    Groups,
    HeaderName,
    Headers,
    Name,
    Seconds,
    Start,
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


class Xroad(Section):
    client: XroadClient | None = Field(
        default=None,
        description="X-Road client: instance/class/code/subsystem. Its presence turns the X-Road path on, "
        "and its instance (FI-TEST, FI) is the one that is called.",
        examples=["FI-TEST/MUN/1234567-8/subsystem"],
    )


def _account_and_certificate(section: "Upstream | Registry", name: str) -> None:
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
    if section.username is not None and ":" in section.username:
        raise ValueError(f"VTJ_{name}__USERNAME must not hold a colon: HTTP Basic has no room for it.")


class Upstream(Section):
    url: UpstreamUrl | None = Field(
        default=None,
        description="Root of VTJ-muutosrajapinta (the part before /api/v1), or of the own security server when "
        "VTJ_UPSTREAM__XROAD__CLIENT is set.",
        examples=["https://security-server.example.fi"],
    )
    username: str | None = Field(default=None, description="Account from DVV, for HTTP Basic.", examples=["account"])
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
        examples=['{"X-API-KEY": "…"}'],
    )
    ca_file: Path | None = Field(
        default=None,
        description="PEM bundle of the CAs to trust besides the system's (DVV's own CA is in no system store).",
        examples=["/etc/vtj/ca.pem"],
    )
    client_cert_file: Path | None = Field(
        default=None,
        description="PEM client certificate with its chain, for mutual TLS.",
        examples=["/etc/vtj/client.pem"],
    )
    client_key_file: Path | None = Field(
        default=None,
        description="PEM key of the client certificate, not encrypted.",
        examples=["/run/secrets/client-key.pem"],
    )
    persons_file: Path | None = Field(
        default=None,
        description="File of the followed persons, one identity code a line. Unset: the permit selects.",
        examples=["/run/secrets/persons"],
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

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        _account_and_certificate(self, "UPSTREAM")
        if self.auth_header.lower() in {name.lower() for name in self.headers}:
            raise ValueError("VTJ_UPSTREAM__HEADERS and VTJ_UPSTREAM__AUTH_HEADER name the same header.")
        return self


class Kafka(Section):
    bootstrap_servers: Brokers | None = Field(
        default=None,
        description="Brokers to begin with: host:port, separated by commas.",
        examples=["localhost:9092"],
    )
    transaction_timeout: Seconds = Field(
        default=60, ge=5, le=900, description="The broker aborts a transaction that stays open longer."
    )
    commit_timeout: Seconds = Field(default=30, gt=0, description="Deadline of our own round each Kafka call.")
    session_timeout: Seconds = Field(
        default=8, ge=6, le=300, description="An instance that is silent this long loses its shards to another."
    )
    transaction_events: Annotated[Count, Unit("events")] = Field(
        default=10_000, ge=1, description="Pages share a transaction up to so many events while catching up."
    )
    batch_size: Bytes = Field(default=256 * 1024, ge=16_384, description="Largest producer batch before compression.")


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
        default=3600, ge=1, description="Pause between polls once upstream says ajanTasalla. DVV: hourly to daily."
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
    username: str | None = Field(default=None, description="Account, for HTTP Basic.", examples=["account"])
    password: SecretStr | None = Field(
        default=None, description="Password of the account. Better: VTJ_REGISTRY__PASSWORD_FILE.", examples=["…"]
    )
    password_file: Path | None = Field(
        default=None,
        description="File that holds the password in its first line.",
        examples=["/run/secrets/registry-password"],
    )
    token: SecretStr | None = Field(
        default=None,
        description="Bearer token, instead of an account. Better: VTJ_REGISTRY__TOKEN_FILE.",
        examples=["…"],
    )
    token_file: Path | None = Field(
        default=None,
        description="File that holds the token in its first line.",
        examples=["/run/secrets/registry-token"],
    )
    ca_file: Path | None = Field(
        default=None, description="PEM bundle of the CAs to trust besides the system's.", examples=["/etc/vtj/ca.pem"]
    )
    client_cert_file: Path | None = Field(
        default=None,
        description="PEM client certificate with its chain, for mutual TLS.",
        examples=["/etc/vtj/client.pem"],
    )
    client_key_file: Path | None = Field(
        default=None,
        description="PEM key of the client certificate, not encrypted.",
        examples=["/run/secrets/client-key.pem"],
    )
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
        token = self.token
        if self.username is not None and (token is not None or self.token_file is not None):
            raise ValueError("VTJ_REGISTRY__USERNAME and VTJ_REGISTRY__TOKEN are both set: keep one.")
        if token is not None and not re.fullmatch(r"[\x21-\x7e]+", token.get_secret_value()):
            raise ValueError("VTJ_REGISTRY__TOKEN must be printable ASCII without spaces.")
        return self


class Permit(Section):
    groups: Groups | None = Field(
        default=None,
        description="Data groups that the data permit covers: names separated by commas (in TOML a list), or a file "
        "with one name a line and # for comments. esimerkki is permits/esimerkki beside the --config file, else in the "
        "working directory; with a slash it is a path. Unset: all.",
        examples=["HENKILON_NIMI,KOTIKUNTA"],
    )


class Settings(Section):
    upstream: Upstream = Upstream()
    permit: Permit = Permit()
    kafka: Kafka = Kafka()
    topics: Topics = Topics()
    state: State = State()
    feed: Feed = Feed()
    schedule: Schedule = Schedule()
    log: Log = Log()
    registry: Registry = Registry()
