import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

import producer.cli.config as command
from producer.config import Settings, Upstream, load
from producer.config.manual import markdown
from producer.config.reference import settings
from producer.errors import SettingsError

SECRET = "hunter2-of-the-test"
MANUAL = Path(__file__).parents[2] / "docs" / "configuration.md"


def wrong(environ: Mapping[str, str] | None = None, file: Path | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load(file, environ or {})
    assert caught.value.__context__ is None, "pydantic's and TOML's errors hold what was put in"
    assert caught.value.hint
    assert caught.value.exit_code == 2
    return str(caught.value)


def toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "vtj.toml"
    path.write_text(text, "utf-8")
    return path


def account(**more: str) -> dict[str, str]:
    return {
        f"VTJ_UPSTREAM__{name}": value for name, value in {"USERNAME": "tunnus", "PASSWORD": SECRET, **more}.items()
    }


def kafka(**settings: str) -> dict[str, str]:
    return {f"VTJ_KAFKA__{name}": value for name, value in settings.items()}


SCRAM = {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "SCRAM-SHA-512", "USERNAME": "u", "PASSWORD": SECRET}


def pseudonyms(**more: str) -> dict[str, str]:
    settings = {"KEYS": "hmac-sha256", "SECRET": SECRET * 2, "KEY_VERSION": "1", **more}
    return {"VTJ_STATE__ENABLED": "false"} | {f"VTJ_PRIVACY__{name}": value for name, value in settings.items()}


def test_nothing_given() -> None:
    loaded = load(None, {})
    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {"default"}
    assert list(loaded.origins) == [setting.name for setting in settings()]


def test_the_names_that_people_script() -> None:
    fixed = """URL USERNAME PASSWORD CA_FILE CLIENT_CERT_FILE CLIENT_KEY_FILE PERSONS_FILE START XROAD__CLIENT"""
    names = {f"VTJ_UPSTREAM__{name}" for name in fixed.split()} | {
        "VTJ_KAFKA__BOOTSTRAP_SERVERS",
        "VTJ_TOPICS__PREFIX",
        "VTJ_FEED__NAME",
        "VTJ_SCHEDULE__INTERVAL",
    }
    assert names <= {setting.env for setting in settings()}


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    path = toml(tmp_path, '[upstream]\nurl = "https://file.example"\nmax_response = 2048\n[feed]\nname = "file"\n')
    loaded = load(path, {"VTJ_FEED__NAME": "environment", "VTJ_SCHEDULE__INTERVAL": "1.5", "HOME": "/root"})
    assert loaded.settings.feed.name == "environment"
    assert loaded.settings.upstream.url == "https://file.example"
    assert loaded.settings.upstream.max_response == 2048
    assert loaded.settings.schedule.interval == 1.5
    assert loaded.origins["feed.name"] == "environment VTJ_FEED__NAME"
    assert loaded.origins["upstream.url"] == f"file {path}"
    assert loaded.origins["topics.prefix"] == "default"


def test_an_empty_variable_is_unset() -> None:
    loaded = load(None, {"VTJ_UPSTREAM__URL": "", "VTJ_FEED__NAME": ""})
    assert (loaded.settings.upstream.url, loaded.settings.feed.name) == (None, "vtj")
    assert loaded.origins["feed.name"] == "default"


def test_every_example_is_valid(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text(SECRET)
    examples = {setting.env: setting.example for setting in settings()}
    del examples["VTJ_PRIVACY__SECRET"]
    examples["VTJ_PRIVACY__SECRET_FILE"] = str(tmp_path / "secret")
    (tmp_path / "secret").write_text("0" * 64)
    sections = ("UPSTREAM", "REGISTRY", "KAFKA")
    for name in (*(f"VTJ_{section}__PASSWORD" for section in sections), "VTJ_REGISTRY__TOKEN"):
        del examples[name]  # it stands in its file
        examples[f"{name}_FILE"] = str(password)
    del examples["VTJ_REGISTRY__TOKEN_FILE"]  # an account or a token
    del examples["VTJ_SCHEDULE__INTERVAL"]  # or times
    del examples["VTJ_PRIVACY__RESTRICTED_TOPICS"]  # needs the state topics
    of_oauth = {name: examples.pop(name) for name in ("VTJ_KAFKA__TOKEN_URL", "VTJ_KAFKA__TOKEN_SCOPE")}
    assert load(None, examples).settings.upstream.start == "today"
    assert load(None, examples | of_oauth | {"VTJ_KAFKA__SASL_MECHANISM": "OAUTHBEARER"}).settings.kafka.token_url


@pytest.mark.parametrize(("written", "read"), [("on", True), ("true", True), ("off", False), ("false", False)])
def test_restricted_topics_are_on_or_off(written: str, read: bool) -> None:
    assert load(None, {"VTJ_PRIVACY__RESTRICTED_TOPICS": written}).settings.privacy.restricted_topics is read


def test_times_of_day(tmp_path: Path) -> None:
    for given in ({"VTJ_SCHEDULE__TIMES": "18:30, 06:30,18:30"}, {}):
        file = toml(tmp_path, "" if given else '[schedule]\ntimes = ["18:30", "06:30"]')
        assert load(file, given).settings.schedule.times == ("06:30", "18:30")


def test_every_setting_has_a_meaning() -> None:
    for setting in settings():
        assert setting.meaning.endswith("."), setting.name


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        (
            {"VTJ_UPSTREAM_URL": "x"},
            "VTJ_UPSTREAM_URL in the environment is no setting; did you mean VTJ_UPSTREAM__URL?",
        ),
        ({"vtj_feed__name": "x"}, "vtj_feed__name in the environment is no setting; did you mean VTJ_FEED__NAME?"),
        ({"VTJ_QQQQ": "x"}, "VTJ_QQQQ in the environment is no setting."),
        (
            {"VTJ_SCHEDULE__INTERVAL": "0"},
            "VTJ_SCHEDULE__INTERVAL (from the environment) must be greater than or equal to 1, "
            "for example VTJ_SCHEDULE__INTERVAL=3600",
        ),
        ({"VTJ_SCHEDULE__INTERVAL": "often"}, "must be a valid number, for example"),
        ({"VTJ_SCHEDULE__INTERVAL": "inf"}, "must be a finite number, for example"),
        *(
            (
                {"VTJ_SCHEDULE__TIMES": wrong},
                "must be times of day from 00:00 to 23:59, for example VTJ_SCHEDULE__TIMES=06",
            )
            for wrong in ("6:30", "24:00", "06:60", "06:30,", "06.30", "06:30:00", "noon", "٠٦:٣٠")
        ),
        (
            {"VTJ_SCHEDULE__TIMES": "06:30", "VTJ_SCHEDULE__INTERVAL": "3600"},
            "VTJ_SCHEDULE__INTERVAL and VTJ_SCHEDULE__TIMES are both set: keep one.",
        ),
        ({"VTJ_TOPICS__PARTITIONS": "1.5"}, "must be a valid integer, for example VTJ_TOPICS__PARTITIONS=6"),
        ({"VTJ_TOPICS__PREFIX": "a.b"}, "lower-case letters, digits and -"),
        ({"VTJ_LOG__LEVEL": "loud"}, "must be 'debug', 'info', 'warning' or 'error', for example VTJ_LOG__LEVEL=info"),
        ({"VTJ_UPSTREAM__URL": "example.fi"}, "must begin with https:// or http://"),
        ({"VTJ_UPSTREAM__URL": "https://"}, "must begin with https:// or http://"),
        ({"VTJ_UPSTREAM__URL": "https://a b.fi"}, "must begin with https:// or http://"),
        ({"VTJ_UPSTREAM__URL": "https://a.fi:port"}, "must begin with https:// or http://"),
        ({"VTJ_UPSTREAM__URL": "https://a.fi/api/v1"}, "must be the part before /api/v1"),
        ({"VTJ_UPSTREAM__URL": "https://a.fi/r1/FI/GOV"}, "must be the part before /api/v1"),
        ({"VTJ_UPSTREAM__URL": f"https://u:{SECRET}@a.fi"}, "must not carry an account"),
        ({"VTJ_UPSTREAM__URL": "https://a.fi?x=1"}, "without ? and #"),
        ({"VTJ_UPSTREAM__START": "tomorrow"}, "must be today, a date (yyyy-MM-dd) or a cursor"),
        ({"VTJ_UPSTREAM__START": "2026-02-30"}, "must be today, a date (yyyy-MM-dd) or a cursor"),
        ({"VTJ_UPSTREAM__START": "2026-W45-1"}, "must be today, a date (yyyy-MM-dd) or a cursor"),
        ({"VTJ_UPSTREAM__START": str(2**63)}, "must be today, a date (yyyy-MM-dd) or a cursor"),
        ({"VTJ_UPSTREAM__START": "-1"}, "must be today, a date (yyyy-MM-dd) or a cursor"),
        ({"VTJ_UPSTREAM__XROAD__CLIENT": "FI-TEST/MUN"}, "must be instance/class/code/subsystem"),
        ({"VTJ_UPSTREAM__XROAD__CLIENT": "FI/MUN/1/ä"}, "must be instance/class/code/subsystem"),
        ({"VTJ_UPSTREAM__AUTH_HEADER": "X Y"}, "must be a header name"),
        ({"VTJ_UPSTREAM__HEADERS": "X: 1"}, "must be a JSON object, for example VTJ_UPSTREAM__HEADERS='{"),
        ({"VTJ_UPSTREAM__HEADERS": '["X"]'}, "must be a JSON object"),
        ({"VTJ_UPSTREAM__HEADERS": '{"X": 1}'}, "VTJ_UPSTREAM__HEADERS (from the environment) must be a valid string"),
        ({"VTJ_UPSTREAM__HEADERS": '{"X Y": "1"}'}, "names that HTTP allows"),
        ({"VTJ_UPSTREAM__HEADERS": '{"X": "1\\r\\nY: 2"}'}, "printable ASCII"),
        ({"VTJ_UPSTREAM__HEADERS": '{"content-type": "x"}'}, "must leave content-type to the program"),
        ({"VTJ_UPSTREAM__HEADERS": '{"X-A": "1", "x-a": "2"}'}, "must name each header once"),
        ({"VTJ_UPSTREAM__USERNAME": "u"}, "VTJ_UPSTREAM__USERNAME is set, but not VTJ_UPSTREAM__PASSWORD"),
        ({"VTJ_UPSTREAM__PASSWORD": SECRET}, "VTJ_UPSTREAM__PASSWORD is set, but not VTJ_UPSTREAM__USERNAME"),
        (account(USERNAME="a:b"), "must not hold a colon"),
        (account(HEADERS='{"authorization": "x"}'), "name the same header"),
        ({"VTJ_REGISTRY__URL": f"https://u:{SECRET}@a.fi"}, "must not carry an account"),
        ({"VTJ_REGISTRY__USERNAME": "u"}, "VTJ_REGISTRY__USERNAME is set, but not VTJ_REGISTRY__PASSWORD"),
        ({"VTJ_REGISTRY__CLIENT_KEY_FILE": "k"}, "but not VTJ_REGISTRY__CLIENT_CERT_FILE"),
        (
            {"VTJ_REGISTRY__TOKEN": "a b"},
            "must be printable ASCII without spaces, for example VTJ_REGISTRY__TOKEN_FILE=",
        ),
        ({"VTJ_REGISTRY__SUBJECTS": "both"}, "must be 'topic' or 'record', for example VTJ_REGISTRY__SUBJECTS=topic"),
        ({"VTJ_REGISTRY__AUTO_REGISTER": "perhaps"}, "for example VTJ_REGISTRY__AUTO_REGISTER=true"),
        (
            {"VTJ_REGISTRY__USERNAME": "u", "VTJ_REGISTRY__PASSWORD": SECRET, "VTJ_REGISTRY__TOKEN": SECRET},
            "VTJ_REGISTRY__USERNAME and VTJ_REGISTRY__TOKEN are both set: keep one.",
        ),
        (
            {"VTJ_PERMIT__GROUPS": "kotikunta,KUOLINPAIVA"},
            "VTJ_PERMIT__GROUPS (from the environment) must name data groups",
        ),
        ({"VTJ_PERMIT__GROUPS": ","}, "must name data groups as upstream does, in capitals with _"),
        (
            {"VTJ_PERMIT__GROUPS": "kotikunta"},
            "The permit file permits/kotikunta cannot be read: No such file or directory. VTJ_PERMIT__GROUPS (from",
        ),
        (
            {"VTJ_PRIVACY__KEYS": "sha256"},
            "must be 'plain' or 'hmac-sha256', for example VTJ_PRIVACY__KEYS=hmac-sha256",
        ),
        (pseudonyms(KEYS=""), "VTJ_PRIVACY__SECRET is set, but VTJ_PRIVACY__KEYS is plain"),
        ({"VTJ_PRIVACY__KEY_VERSION": "1"}, "VTJ_PRIVACY__KEY_VERSION is set, but VTJ_PRIVACY__KEYS is plain"),
        (pseudonyms(SECRET=""), "no secret is set: set one, for example VTJ_PRIVACY__SECRET_FILE=/run/secrets/"),
        (
            pseudonyms(SECRET="ä" + SECRET[:10]),
            "VTJ_PRIVACY__SECRET gives a secret of 12 bytes, and it must have at least 32: `openssl rand -hex 32` "
            "makes one, for example for VTJ_PRIVACY__SECRET_FILE=/run/secrets/vtj-pseudonyms",
        ),
        (pseudonyms(KEY_VERSION=""), "VTJ_PRIVACY__KEY_VERSION is not set: the number of the secret, for example VTJ_"),
        (pseudonyms(KEY_VERSION="0"), "must be greater than or equal to 1, for example VTJ_PRIVACY__KEY_VERSION=1"),
        (pseudonyms(KEY_VERSION="10000"), "must be less than or equal to 9999, for example VTJ_PRIVACY__KEY_VERSION=1"),
        (
            pseudonyms() | {"VTJ_STATE__ENABLED": "true"},
            "VTJ_STATE__ENABLED is true, but upstream tells nobody's state by a pseudonym: "
            "with VTJ_PRIVACY__KEYS=hmac-sha256 set VTJ_STATE__ENABLED=false",
        ),
        (
            {"VTJ_PRIVACY__RESTRICTED_TOPICS": "on", "VTJ_STATE__ENABLED": "false"},
            "the state of TURVAKIELTO: set VTJ_STATE__ENABLED=true, and load it with `vtj-producer load`.",
        ),
        (
            {"VTJ_PRIVACY__RESTRICTED_TOPICS": "on", "VTJ_PERMIT__GROUPS": "KOTIKUNTA"},
            "the state of TURVAKIELTO: add it to VTJ_PERMIT__GROUPS, and load it with `vtj-producer load`.",
        ),
        (pseudonyms(KEY_VERSION="k1"), "must be a valid integer, for example VTJ_PRIVACY__KEY_VERSION=1"),
        ({"VTJ_KAFKA__BOOTSTRAP_SERVERS": "kafka"}, "must be host:port, several separated by commas"),
        ({"VTJ_KAFKA__BOOTSTRAP_SERVERS": "kafka:abc"}, "must be host:port, several separated by commas"),
        (
            kafka(SECURITY_PROTOCOL="TLS"),
            "must be 'PLAINTEXT', 'SSL', 'SASL_PLAINTEXT' or 'SASL_SSL', for example VTJ_K",
        ),
        (
            kafka(SECURITY_PROTOCOL="SASL_SSL"),
            "is SASL_SSL, but VTJ_KAFKA__SASL_MECHANISM is not set, for example VTJ_",
        ),
        (kafka(**SCRAM | {"USERNAME": ""}), "VTJ_KAFKA__PASSWORD is set, but not VTJ_KAFKA__USERNAME"),
        (kafka(**SCRAM | {"PASSWORD": ""}), "VTJ_KAFKA__USERNAME is set, but not VTJ_KAFKA__PASSWORD"),
        (
            kafka(SECURITY_PROTOCOL="SASL_SSL", SASL_MECHANISM="PLAIN"),
            "is SASL_SSL, but VTJ_KAFKA__USERNAME is not set, for example VTJ_KAFKA__USERNAME=vtj-producer",
        ),
        (
            kafka(**SCRAM | {"SECURITY_PROTOCOL": "SSL"}),
            "VTJ_KAFKA__SASL_MECHANISM is set, but VTJ_KAFKA__SECURITY_PROTOCOL is SSL: set VTJ_KAFKA__SECURITY_",
        ),
        (
            kafka(CA_FILE="c"),
            "VTJ_KAFKA__CA_FILE is set, but VTJ_KAFKA__SECURITY_PROTOCOL is PLAINTEXT: set one with SSL",
        ),
        (kafka(SECURITY_PROTOCOL="SSL", CLIENT_CERT_FILE="c"), "is set, but not VTJ_KAFKA__CLIENT_KEY_FILE"),
        (kafka(**SCRAM, TOKEN_SCOPE="s"), "TOKEN_SCOPE is set, but VTJ_KAFKA__SASL_MECHANISM is not OAUTHBEARER"),
        (
            kafka(**SCRAM | {"SASL_MECHANISM": "OAUTHBEARER"}),
            "VTJ_KAFKA__TOKEN_URL is not set, for example VTJ_KAFKA__T",
        ),
        ({"VTJ_UPSTREAM__CLIENT_CERT_FILE": "c"}, "CLIENT_CERT_FILE is set, but not VTJ_UPSTREAM__CLIENT_KEY_FILE"),
        ({"VTJ_UPSTREAM__CLIENT_KEY_FILE": "k"}, "CLIENT_KEY_FILE is set, but not VTJ_UPSTREAM__CLIENT_CERT_FILE"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(environ: dict[str, str], sentence: str) -> None:
    message = wrong(environ)
    assert sentence in message
    assert "\n" not in message
    assert SECRET not in message


def test_a_permit_is_a_list_of_groups(tmp_path: Path) -> None:
    assert load(None, {}).settings.permit.groups is None
    listed = load(None, {"VTJ_PERMIT__GROUPS": " KUOLINPAIVA, KOTIKUNTA,KUOLINPAIVA"})
    assert listed.settings.permit.groups == ("KUOLINPAIVA", "KOTIKUNTA")
    assert load(toml(tmp_path, '[permit]\ngroups = ["KOTIKUNTA"]'), {}).settings.permit.groups == ("KOTIKUNTA",)


def test_a_permit_may_stand_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside, here = tmp_path / "beside", tmp_path / "here"
    for folder, group in ((beside, "KOTIKUNTA"), (here, "KUOLINPAIVA")):
        (folder / "permits").mkdir(parents=True)
        (folder / "permits" / "sote").write_text(f"# of 2026\n\n{group}  # why\r\n", "utf-8-sig")
    monkeypatch.chdir(here)
    file = toml(beside, '[permit]\ngroups = "sote"')
    assert load(file, {}).settings.permit.groups == ("KOTIKUNTA",)
    named = load(None, {"VTJ_PERMIT__GROUPS": "sote"})
    assert (named.settings.permit.groups, named.origins["permit.groups"]) == (
        ("KUOLINPAIVA",),
        f"permit file {Path('permits/sote')}",
    )
    assert load(toml(here, ""), {"VTJ_PERMIT__GROUPS": str(beside / "permits" / "sote")}).settings.permit.groups == (
        "KOTIKUNTA",
    )
    (here / "permits" / "empty").write_text("# nothing\n")
    assert "permits/empty names no data group" in wrong({"VTJ_PERMIT__GROUPS": "empty"})
    (here / "permits" / "odd").write_text("kotikunta\n")
    assert "VTJ_PERMIT__GROUPS (from permit file permits/odd) must name data groups" in wrong(
        {"VTJ_PERMIT__GROUPS": "odd"}
    )


def test_all_that_is_wrong_is_told_at_once() -> None:
    message = wrong({"VTJ_SCHEDULE__INTERVAL": "x", "VTJ_TOPICS__PREFIX": "X"})
    assert [line.split(" ")[0] for line in message.splitlines()] == ["VTJ_TOPICS__PREFIX", "VTJ_SCHEDULE__INTERVAL"]


@pytest.mark.parametrize("value", ["today", "2026-11-01", "0", "5446623423", str(2**63 - 1)])
def test_where_a_feed_may_start(value: str) -> None:
    assert load(None, {"VTJ_UPSTREAM__START": value}).settings.upstream.start == value


@pytest.mark.parametrize("value", ["2026-11-01", "5446623423", '"today"'])
def test_toml_has_dates_and_numbers_of_its_own(tmp_path: Path, value: str) -> None:
    loaded = load(toml(tmp_path, f"[upstream]\nstart = {value}"), {})
    assert loaded.settings.upstream.start == value.strip('"')


def test_the_root_without_its_last_slash() -> None:
    assert load(None, {"VTJ_UPSTREAM__URL": "https://a.fi/vtj/"}).settings.upstream.url == "https://a.fi/vtj"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[upstream]\nurll = 1", "upstream.urll in {path} is no setting; did you mean upstream.url?"),
        ("[qqqq]\nx = 1", "qqqq.x in {path} is no setting."),
        ("upstream = 1", "upstream in {path} is a section, and needs settings of its own."),
        ("[upstream]\nxroad = 1", "upstream.xroad in {path} is a section, and needs settings of its own."),
        ("[schedule]\ninterval = true", "VTJ_SCHEDULE__INTERVAL (from file {path}) must be a number"),
        ("[topics]\nprefix = 1", "VTJ_TOPICS__PREFIX (from file {path}) must be a valid string"),
        ("[upstream]\nstart = 2026-11-01T00:00:00", "VTJ_UPSTREAM__START (from file {path}) must be today"),
        ("[permit]\ngroups = []", "VTJ_PERMIT__GROUPS (from file {path}) must be data groups, separated by commas"),
        ("[permit]\ngroups = [1]", "VTJ_PERMIT__GROUPS (from file {path}) must name data groups as upstream does"),
        ("[upstream]\npassword_file = 1", "VTJ_UPSTREAM__PASSWORD_FILE (from file {path}) must be a path, for example"),
        (f'[upstream]\npassword = "{SECRET}', "The settings file {path} is not TOML (at"),
        (f"[upstream]\npassword = {SECRET}", "The settings file {path} is not TOML (at line 2, column 12)"),
    ],
)
def test_what_is_wrong_in_a_file(tmp_path: Path, text: str, sentence: str) -> None:
    path = toml(tmp_path, text)
    message = wrong(file=path)
    assert sentence.format(path=path) in message
    assert SECRET not in message


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in wrong(file=tmp_path / "absent.toml")
    path = tmp_path / "latin.toml"
    path.write_bytes("x = 'ä'".encode("latin-1"))
    assert "is not UTF-8" in wrong(file=path)


def test_headers_as_a_table(tmp_path: Path) -> None:
    loaded = load(toml(tmp_path, '[upstream.headers]\nX-API-KEY = "k"'), {})
    assert loaded.settings.upstream.headers == {"X-API-KEY": SecretStr("k")}


def password_file(tmp_path: Path, content: bytes) -> dict[str, str]:
    path = tmp_path / "password"
    path.write_bytes(content)
    return {"VTJ_UPSTREAM__USERNAME": "tunnus", "VTJ_UPSTREAM__PASSWORD_FILE": str(path)}


@pytest.mark.parametrize("content", ["päss wörd", "päss wörd\n", "päss wörd\r\nmore\n", "\ufeffpäss wörd"])
def test_a_password_in_a_file(tmp_path: Path, content: str) -> None:
    loaded = load(None, password_file(tmp_path, content.encode()))
    assert loaded.settings.upstream.password == SecretStr("päss wörd")
    assert loaded.origins["upstream.password"] == f"secret file {tmp_path / 'password'}"


@pytest.mark.parametrize(
    ("content", "sentence"), [(b"", "empty first line"), (b"\nx", "empty first line"), (b"\xff", "is not UTF-8")]
)
def test_a_password_file_that_holds_none(tmp_path: Path, content: bytes, sentence: str) -> None:
    assert sentence in wrong(password_file(tmp_path, content))


def test_a_password_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "absent"
    message = wrong({"VTJ_UPSTREAM__USERNAME": "tunnus", "VTJ_UPSTREAM__PASSWORD_FILE": str(path)})
    assert message == (
        f"The file {path} that VTJ_UPSTREAM__PASSWORD_FILE (from the environment) names cannot be read: "
        "No such file or directory, for example VTJ_UPSTREAM__PASSWORD_FILE=/run/secrets/vtj-password"
    )


def test_a_token_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n")
    loaded = load(None, {"VTJ_REGISTRY__TOKEN_FILE": str(tmp_path / "token"), "VTJ_REGISTRY__URL": "https://a.fi/v7/"})
    assert loaded.settings.registry.token == SecretStr(SECRET)
    assert loaded.settings.registry.url == "https://a.fi/v7"


def test_a_secret_of_pseudonyms_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    named = pseudonyms(SECRET="", SECRET_FILE=str(path))
    cure = ", for example VTJ_PRIVACY__SECRET_FILE=/run/secrets/vtj-pseudonyms"
    assert wrong(named).endswith(f"cannot be read: No such file or directory{cure}")
    path.write_text("\n")
    assert wrong(named).endswith(f"has an empty first line{cure}")
    path.write_bytes(bytes(range(128, 160)))
    assert wrong(named).endswith(f"is not UTF-8{cure}")
    path.write_text(SECRET)
    assert wrong(named).startswith("VTJ_PRIVACY__SECRET_FILE gives a secret of 19 bytes, and it must have at least 32")
    path.write_text(f"{SECRET * 2}\n")
    settings = load(None, named).settings
    assert settings.privacy.secret == SecretStr(SECRET * 2)
    assert (settings.data_prefix, Settings().data_prefix) == ("vtj.k1", "vtj")


def test_a_password_in_both_ways(tmp_path: Path) -> None:
    message = wrong(password_file(tmp_path, b"x") | {"VTJ_UPSTREAM__PASSWORD": SECRET})
    assert "are both set: keep one" in message
    assert SECRET not in message


def test_what_kubernetes_adds_for_a_service_of_our_name() -> None:
    link = {
        "VTJ_PRODUCER_SERVICE_HOST": "10.0.0.1",
        "VTJ_PRODUCER_SERVICE_PORT": "8080",
        "VTJ_PRODUCER_SERVICE_PORT_HTTP_METRICS": "8080",
        "VTJ_PRODUCER_PORT": "tcp://10.0.0.1:8080",
        "VTJ_PRODUCER_PORT_8080_TCP": "tcp://10.0.0.1:8080",
        "VTJ_PRODUCER_PORT_8080_TCP_ADDR": "10.0.0.1",
        "VTJ_SERVICE_HOST": "10.0.0.1",
    }
    assert load(None, link) == load(None, {})
    with pytest.raises(
        SettingsError, match=r"VTJ_SERVER_PORT in the environment is no setting; did you mean VTJ_SERVER__"
    ):
        load(None, {"VTJ_SERVER_PORT": "8080"})


def test_what_a_command_needs() -> None:
    loaded = load(None, {"VTJ_UPSTREAM__URL": "https://a.fi"})
    loaded.require("upstream.url")
    with pytest.raises(SettingsError) as caught:
        loaded.require("upstream.url", "kafka.bootstrap_servers")
    assert str(caught.value) == (
        "VTJ_KAFKA__BOOTSTRAP_SERVERS must be set, for example VTJ_KAFKA__BOOTSTRAP_SERVERS=localhost:9092"
    )


def test_a_section_made_by_hand_is_checked_and_tells_no_secret() -> None:
    with pytest.raises(ValidationError) as caught:
        Upstream(password=SecretStr(SECRET), url=f"x{SECRET}")
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(Upstream(username="tunnus", password=SecretStr(SECRET)))


def test_the_manual_is_up_to_date() -> None:
    written = MANUAL.read_text("utf-8")
    assert written == markdown(), "run: python -m producer.config.manual > docs/configuration.md"


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    for name, value in account(HEADERS=json.dumps({"X-API-KEY": SECRET}), MAX_RESPONSE="2048").items():
        monkeypatch.setenv(name, value)
    return argparse.Namespace(config=toml(tmp_path, '[feed]\nname = "town"'), json=False, feed=None)


def test_config_in_lines(shown: argparse.Namespace, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(shown) == 0
    out = capsys.readouterr().out
    assert "VTJ_UPSTREAM__MAX_RESPONSE = 2048 bytes  [environment VTJ_UPSTREAM__MAX_RESPONSE]\n" in out
    assert "VTJ_UPSTREAM__PASSWORD = ********  [environment VTJ_UPSTREAM__PASSWORD]\n" in out
    assert "VTJ_UPSTREAM__HEADERS = X-API-KEY: ********  [" in out
    assert "VTJ_UPSTREAM__URL = (unset)  [default]\n" in out
    assert f"VTJ_FEED__NAME = town  [file {shown.config}]\n" in out
    for setting in settings():
        assert f"\n    {setting.meaning}\n" in out
    assert SECRET not in out


def test_config_as_json(shown: argparse.Namespace, capsys: pytest.CaptureFixture[str]) -> None:
    shown.json = True
    assert command.run(shown) == 0
    out = capsys.readouterr().out
    told = json.loads(out)
    assert list(told) == [setting.name for setting in settings()]
    assert told["upstream.max_response"]["value"] == 2048
    assert told["upstream.max_response"]["origin"] == "environment VTJ_UPSTREAM__MAX_RESPONSE"
    assert told["upstream.url"]["value"] is None
    assert told["upstream.headers"]["value"] == {"X-API-KEY": "********"}
    assert SECRET not in out


def test_config_in_a_terminal(
    shown: argparse.Namespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    assert command.run(shown) == 0
    out = capsys.readouterr().out
    for setting in settings():
        assert setting.env in out
    assert "2048 bytes" in out
    assert SECRET not in out


def test_loading_is_cheap() -> None:
    """Start-up counts: neither the network's libraries nor the terminal's come along."""
    code = "import sys, producer.config; print(*{'aiohttp', 'asyncio', 'rich', 'pydantic_settings'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
