"""Several feeds: their settings, laid over the top level's, and what one of them does to the others."""

import argparse
import asyncio
import json
import logging
import os
import re
import signal
from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path

import pytest

import producer.cli.config as command
from producer.app import feeds as app
from producer.config import Settings, load, load_feeds
from producer.config.manual import HEAD
from producer.config.reference import settings
from producer.errors import SettingsError, Stop, UpstreamRefused
from producer.kafka.names import STATE, Names
from producer.operate import stopping
from tests.unit.test_redaction import logging_as

SECRET = "hunter2-of-the-test"
TWO = """
[upstream]
url = "https://dvv.example"
username = "top"
password = "hunter2-of-the-test"
[schedule]
interval = 60
[feeds.helsinki.permit]
groups = ["KOTIKUNTA"]
[feeds.helsinki.topics]
prefix = "hki"
[feeds.espoo-2.topics]
prefix = "espoo"
[feeds.espoo-2.upstream]
username = "own"
"""


@pytest.fixture
def toml(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "vtj.toml"
        path.write_text(text, "utf-8")
        return path

    return write


def wrong(path: Path, environ: Mapping[str, str] | None = None, feed: str | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load_feeds(path, environ or {}, feed=feed)
    assert caught.value.__context__ is None, "it may hold a secret"
    assert SECRET not in f"{caught.value}{caught.value.hint}"
    return str(caught.value)


def test_a_feed_is_laid_over_the_top_level(toml: Callable[[str], Path]) -> None:
    path = toml(TWO)
    environ = {
        "VTJ_SCHEDULE__INTERVAL": "30",
        "VTJ_FEEDS__ESPOO_2__SCHEDULE__INTERVAL": "7",
        "VTJ_FEEDS__HELSINKI__TOPICS__PREFIX": "helsinki",
        "VTJ_UPSTREAM__USERNAME": "environment",
    }
    helsinki, espoo = load_feeds(path, environ)
    assert [one.settings.feed.name for one in (helsinki, espoo)] == ["helsinki", "espoo-2"]
    assert [one.settings.topics.prefix for one in (helsinki, espoo)] == ["helsinki", "espoo"]
    assert [one.settings.schedule.interval for one in (helsinki, espoo)] == [30, 7]
    assert [one.settings.permit.groups for one in (helsinki, espoo)] == [("KOTIKUNTA",), None]
    # What the feed says goes before the top level, even before the environment's.
    assert [one.settings.upstream.username for one in (helsinki, espoo)] == ["environment", "own"]
    assert {one.settings.upstream.url for one in (helsinki, espoo)} == {"https://dvv.example"}
    assert espoo.origins["upstream.username"] == f"file {path} [feeds.espoo-2]"
    assert espoo.origins["upstream.url"] == f"file {path}"
    assert espoo.origins["schedule.interval"] == "environment VTJ_FEEDS__ESPOO_2__SCHEDULE__INTERVAL"
    assert helsinki.origins["upstream.username"] == "environment VTJ_UPSTREAM__USERNAME"


def test_a_file_without_feeds_has_one(toml: Callable[[str], Path]) -> None:
    (one,) = load_feeds(toml('[feed]\nname = "town"'), {})
    assert one.settings.feed.name == "town"
    assert list(one.known) == [setting.name for setting in settings()]
    assert load(toml('[feed]\nname = "town"'), {}, feed="town").settings == one.settings
    assert wrong(toml('[feed]\nname = "town"'), feed="vtj") == "There is no feed vtj. Feeds are: town."


def test_a_password_file_takes_the_place_of_a_password(toml: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "own").write_text("own\n")
    path = toml(f'{TWO}password_file = "{tmp_path / "own"}"')
    passwords = [one.settings.upstream.password for one in load_feeds(path, {})]
    assert [one.get_secret_value() for one in passwords if one] == [SECRET, "own"]
    environ = {"VTJ_FEEDS__ESPOO_2__UPSTREAM__PASSWORD": SECRET}
    assert "Feed espoo-2: VTJ_FEEDS__ESPOO_2__UPSTREAM__PASSWORD (from environment" in wrong(path, environ)


def test_a_feed_has_its_own_schedule(toml: Callable[[str], Path]) -> None:
    path = toml(f'{TWO}[feeds.espoo-2.schedule]\ntimes = ["06:30"]')
    assert [(one.settings.schedule.times, one.settings.schedule.interval) for one in load_feeds(path, {})] == [
        (None, 60),
        (("06:30",), 3600),
    ]
    environ = {"VTJ_FEEDS__HELSINKI__SCHEDULE__TIMES": "07:00", "VTJ_FEEDS__ESPOO_2__SCHEDULE__INTERVAL": "7"}
    assert "Feed espoo-2: VTJ_SCHEDULE__INTERVAL and VTJ_SCHEDULE__TIMES are both set" in wrong(path, environ)


def test_the_manual_s_example(toml: Callable[[str], Path]) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```", HEAD, re.M | re.S)
    espoo = load(toml(example), {"VTJ_FEEDS__ESPOO__UPSTREAM__PASSWORD": SECRET}, feed="espoo").settings
    assert (espoo.topics.prefix, espoo.upstream.username, espoo.schedule.interval) == ("espoo", "espoo", 86400)
    assert espoo.kafka.bootstrap_servers == "kafka.example.fi:9092"


def test_one_feed_needs_no_secrets_of_the_others(toml: Callable[[str], Path]) -> None:
    path = toml(f'{TWO}password_file = "/nowhere"')
    assert load(path, {}, feed="helsinki").settings.topics.prefix == "hki"
    told = wrong(path, feed="espoo-2")
    assert told.startswith("Feed espoo-2: The file /nowhere that VTJ_FEEDS__ESPOO_2__UPSTREAM__PASSWORD_FILE (from ")
    assert f"{path}" in told
    assert "names cannot be read: No such file or directory" in told


def test_which_feed(toml: Callable[[str], Path]) -> None:
    path = toml(TWO)
    assert load(path, {}, feed="espoo-2").settings.feed.name == "espoo-2"
    with pytest.raises(SettingsError, match="There are several feeds: helsinki, espoo-2") as caught:
        load(path, {})
    assert "--feed" in caught.value.hint
    assert wrong(path, feed="vantaa") == "There is no feed vantaa. Feeds are: helsinki, espoo-2."
    assert load(toml("[feeds.only]"), {}).settings.feed.name == "only"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[feeds.b.upstream]\nurl = 'x'", "Feed b: VTJ_FEEDS__B__UPSTREAM__URL (from file PATH [feeds.b]) must begin"),
        ("[feeds.b.state]\nenabled = 'maybe'", "Feed b: VTJ_FEEDS__B__STATE__ENABLED (from"),
        ("[feeds.b.upstream]\nusername = 'u'", "Feed b: VTJ_UPSTREAM__USERNAME is set, but not VTJ_UPSTREAM__PASSWORD"),
        ("[feeds.b.upstream]\nlurl = 'x'", "feeds.b.upstream.lurl in PATH is no setting; did you mean feeds.b.upst"),
        ("[feeds.b.permit]\ngroups = 'no-such'", "VTJ_FEEDS__B__PERMIT__GROUPS (from file PATH [feeds.b]) is data"),
        ("[feeds.b]\nupstream = 1", "feeds.b.upstream in PATH is a section"),
        ("[feeds.b.log]\nlevel = 'debug'", "feeds.b.log.level in PATH is no setting; did you mean log.level?"),
        ("[feeds.b.feed]\nname = 'c'", "feeds.b.feed.name in PATH is no setting"),
        ("[feeds]\nb = 1", "feeds in PATH needs a table for each feed"),
        ("[feeds]", "feeds in PATH needs a table for each feed"),
        ("feeds = ['b']", "feeds in PATH needs a table for each feed"),
        ("[feeds.b]\n[feed]\nname = 'c'", "VTJ_FEED__NAME (from file PATH) is for files without [feeds]"),
        ("[feeds.b]\n[feeds.b]", "The settings file PATH says something twice (at line 2, column"),
        ("[feeds.b.kafka]\n[feeds.b.kafka]", "The settings file PATH says something twice (at line 2, column"),
        ("[feeds.b]\n[feeds.B.topics]\nprefix = 'c'", "feeds.B in PATH: the name of a feed must be of lower-case"),
        ("[feeds.a_b]", "feeds.a_b in PATH: the name of a feed must be of lower-case"),
        ("[feeds.b]\n[feeds.c]", "Feed c: the topics' prefix vtj is that of feed b; every feed needs its own"),
        ("[topics]\nprefix = 'x'\n[feeds.b]\n[feeds.c.topics]\nprefix = 'x'", "VTJ_FEEDS__C__TOPICS__PREFIX=c"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_of_feeds(toml: Callable[[str], Path], text: str, sentence: str) -> None:
    path = toml(text)
    assert sentence.replace("PATH", str(path)) in wrong(path)


def test_one_prefix_is_refused_to_a_process_of_one_feed_too(toml: Callable[[str], Path]) -> None:
    assert "that of feed b" in wrong(toml("[feeds.b]\n[feeds.c]"), feed="b")


def test_the_environment_makes_no_feed(toml: Callable[[str], Path]) -> None:
    environ = {"VTJ_FEEDS__ESPO_2__TOPICS__PREFIX": "x"}
    assert wrong(toml(TWO), environ).endswith("is no setting; did you mean VTJ_FEEDS__ESPOO_2__TOPICS__PREFIX?")
    environ = {"VTJ_FEEDS__HELSINKI__LOG__LEVEL": "debug"}  # the process's
    assert wrong(toml(TWO), environ).endswith("is no setting; did you mean VTJ_LOG__LEVEL?")
    with pytest.raises(SettingsError, match="VTJ_FEEDS__ESPO_2__TOPICS__PREFIX in the environment is no setting"):
        load(None, {"VTJ_FEEDS__ESPO_2__TOPICS__PREFIX": "x"})


def test_a_fault_of_each_feed_is_told(toml: Callable[[str], Path]) -> None:
    told = wrong(toml("[schedule]\ninterval = 0\n[feeds.b]\n[feeds.c.topics]\nprefix = 'c'")).splitlines()
    assert [line.partition(":")[0] for line in told] == ["Feed b", "Feed c"]


def test_what_a_command_needs_of_a_feed(toml: Callable[[str], Path]) -> None:
    with pytest.raises(SettingsError, match=r"^VTJ_FEEDS__B__UPSTREAM__URL must be set, for example VTJ_FEEDS__B__UPS"):
        load(toml("[feeds.b]"), {}).require("upstream.url")


def test_config_shows_every_feed(
    toml: Callable[[str], Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VTJ_FEEDS__ESPOO_2__UPSTREAM__PASSWORD", f"{SECRET}-own")
    arguments = argparse.Namespace(config=toml(TWO), json=True, feed=None)
    command.run(arguments)
    told = json.loads(out := capsys.readouterr().out)
    assert {name.rsplit(".", 2)[0] for name in told} >= {"feeds.helsinki", "feeds.espoo-2", "log"}
    assert told["feeds.helsinki.topics.prefix"]["value"] == "hki"
    assert told["feeds.espoo-2.upstream.password"]["value"] == "********"
    assert told["feeds.espoo-2.upstream.password"]["environment"] == "VTJ_FEEDS__ESPOO_2__UPSTREAM__PASSWORD"
    assert SECRET not in out
    arguments.json, arguments.feed = False, "espoo-2"
    command.run(arguments)
    out = capsys.readouterr().out
    assert "VTJ_FEEDS__ESPOO_2__UPSTREAM__USERNAME = own  [file " in out
    assert "HELSINKI" not in out
    assert SECRET not in out


def test_two_feeds_share_no_name_at_kafka() -> None:
    """Whatever their prefixes and names are, if one of them differs; no name holds a dot."""
    words = ["a", "a-b", "b", "b-b", "state", "watchlist", "0"]
    names = [Names(prefix, feed, bucket) for prefix in words for feed in words for bucket in ("0", STATE)]
    for one, other in combinations(names, 2):
        if (one.prefix, one.feed) != (other.prefix, other.feed):
            assert one.transactional_id != other.transactional_id
            assert one.group != other.group
            assert one.transactional_id != f"{other.group}.watchlist"


def two() -> list[Settings]:
    return [Settings.model_validate({"feed": {"name": name}, "upstream": {"retry_wait": 0.5}}) for name in ("a", "b")]


async def test_what_stops_one_feed_leaves_the_other_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    tries, ended = list[str](), list[str]()

    async def serve(settings: Settings, *, once: bool, skip: int | None) -> None:
        name = settings.feed.name
        tries.append(name)
        logging.getLogger("vtj.line").info("of %s", name)
        try:
            if name == "b" and tries.count("b") < 3:
                raise UpstreamRefused("No.", hint="Ask.")
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    monkeypatch.setattr(app, "serve", serve)
    monkeypatch.setattr(asyncio, "sleep", sleep := Sleep())
    with logging_as("info", "console") as console:
        serving = asyncio.ensure_future(app.serve_all(two(), once=False))
        while tries.count("b") < 3:
            await sleep.turn()
        assert (tries.count("a"), ended) == (1, ["b", "b"])
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
    assert sorted(ended) == ["a", "b", "b", "b"]
    assert sleep.asked == [0.5, 0.5]
    told = console.getvalue()
    assert told.count("vtj.service: feed b: stands still, the other feeds go on: No. (Ask.)\n") == 2
    assert told.count("vtj.line: feed a: of a\n") == 1
    assert told.count("vtj.line: feed b: of b\n") == 3


class Sleep:
    """Takes no time, and notes what was asked."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._sleep = asyncio.sleep

    async def turn(self) -> None:
        await self._sleep(0)

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        await self.turn()


async def test_once_ends_with_the_first_fault_after_all_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []

    async def serve(settings: Settings, *, once: bool, skip: int | None) -> None:
        if settings.feed.name == "a":
            raise UpstreamRefused("No.", hint="Ask.")
        for _ in range(9):
            await asyncio.sleep(0)
        ended.append("b")

    monkeypatch.setattr(app, "serve", serve)
    with logging_as("info", "json") as lines, pytest.raises(UpstreamRefused, match=r"^Feed a: No.$") as caught:
        await app.serve_all(two(), once=True)
    assert (caught.value.hint, ended) == ("Ask.", ["b"])
    assert json.loads(lines.getvalue())["feed"] == "a"


def test_who_says_that_it_starts_says_that_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """However early the signal comes."""
    said: list[str] = []

    def audit(words: str, values: Mapping[str, str]) -> None:
        said.append(words % values)
        if words.startswith("started"):
            os.kill(os.getpid(), signal.SIGTERM)

    async def serve(*_: Settings, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(app, "serve", serve)
    monkeypatch.setattr(app, "audit", audit)
    monkeypatch.setattr(stopping, "STOP_LIMIT", 1e6)  # its timer would end the tests
    before = signal.signal(signal.SIGTERM, lambda *_: pytest.fail("nobody heard it"))
    try:
        app.run(two()[:1], once=False)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [one.partition(":")[0] for one in said] == ["started", "stopped"]


async def test_a_fault_of_our_own_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve(settings: Settings, *, once: bool, skip: int | None) -> None:
        if settings.feed.name == "b":
            raise KeyError
        await asyncio.Event().wait()

    monkeypatch.setattr(app, "serve", serve)
    async with asyncio.timeout(5):
        with pytest.raises(KeyError):
            await app.serve_all(two(), once=False)


async def test_a_feed_alone_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve(settings: Settings, *, once: bool, skip: int | None) -> None:
        raise UpstreamRefused("No.", hint="Ask.")

    monkeypatch.setattr(app, "serve", serve)
    with pytest.raises(Stop, match=r"^No.$"):
        await app.serve_all(two()[:1], once=False)
