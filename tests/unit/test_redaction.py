"""The last net, of the program and of the suite: what each catches, and that neither invents anything."""

import argparse
import gc
import io
import json
import logging
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from datetime import date
from typing import Literal

import pytest

from producer.__main__ import parser
from producer.config import load
from producer.errors import Doubt
from producer.operate import logs
from producer.redaction import MASK, redacted
from producer.sandbox.hetu import SIGNS, identity, personal_code
from tests import privacy

CODES = [
    personal_code(date(century, 3, 1), 900 + at, sign)
    for century, signs in SIGNS.items()
    for at, sign in enumerate(signs)
]
INNOCENT = [
    "committed cursor 5446000003: 1 page(s), 10 record(s), 20 event(s)",
    "2026-11-23T16:42:12+0200 127.0.0.1:41234 FI-TEST/MUN/1234567-8/subsystem GOV/0245437-2",
    "X-Road-Id 12010194-9012-4c1d-9e3f-010194a901b2",
    "310299-90 320194-9012 011394-9012 010194_9012",
]


@pytest.mark.parametrize("code", CODES)
def test_every_century_sign_is_known(code: str) -> None:
    assert redacted(code) == MASK
    assert privacy.codes(code) == [code]
    # Avro's length before a string, and Python's and JSON's escapes, stand close to it.
    for text in (f"\\x16{code}\\x02", f"b'\\n{code}'", f'"{code}"', f"a{code}b", f"{code}-{code}"):
        assert code not in redacted(text)
        assert code in privacy.codes(text)


def test_the_codes_of_the_sandbox_are_known() -> None:
    made = [identity(7, serial)[0] for serial in range(500)]
    assert redacted(" ".join(made)) == " ".join([MASK] * 500)
    assert privacy.codes(" ".join(made)) == made


@pytest.mark.parametrize("text", INNOCENT)
def test_what_is_none_stays(text: str) -> None:
    assert redacted(text) == text
    assert not privacy.shown(text)


def test_the_suites_net_looks_everywhere() -> None:
    """Each record would be a leak, so it is given to the handler alone and never logged."""

    def caught(message: str, *args: object, error: BaseException | None = None, stack: str = "") -> list[str]:
        net = privacy.Net()
        info = (type(error), error, error.__traceback__) if error else None
        record = logging.LogRecord("any", logging.DEBUG, "", 0, message, args, info)
        record.stack_info = stack
        net.handle(record)
        return net.caught

    code, name = CODES[0], "Kätkölänkuja"
    assert caught(code)
    assert caught("%s", code)
    assert caught("%s%s", code[:6], code[6:])
    assert caught("%.3s", code)
    assert caught("%r", {"katunimi": name})
    assert caught(json.dumps({"katunimi": name}))
    assert caught("%a %r", name, "")
    assert caught(repr(name.encode()))
    assert caught("x", stack=f"here: {code}")
    chained = ValueError("outer")
    chained.__context__ = KeyError(code)
    assert caught("x", error=chained)
    assert caught("x", error=ExceptionGroup("group", [KeyError(name)]))
    assert not caught("cursor %d", 5446000003, error=ValueError("nothing"))


def test_the_net_is_under_this_very_test() -> None:
    logger = logging.getLogger("vtj.anything")
    assert any(isinstance(one, privacy.Net) for one in logging.getLogger().handlers)
    assert logger.isEnabledFor(logging.DEBUG)


@contextmanager
def logging_as(level: str, form: Literal["console", "json"]) -> Iterator[io.StringIO]:
    """Standard error of a logging that is the program's alone; the suite's is put back afterwards."""
    root = logging.getLogger()
    handlers, hooks = root.handlers[:], (sys.excepthook, threading.excepthook, sys.unraisablehook)
    levels = {name: logging.getLogger(name).level for name in (None, "vtj", "aiokafka", "aiokafka.consumer.fetcher")}
    root.handlers[:] = []
    with redirect_stderr(io.StringIO()) as stream:
        try:
            logs.set_up(level, form)
            yield stream
        finally:
            root.handlers[:] = handlers
            sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
            logging.captureWarnings(False)
            for name, before in levels.items():
                logging.getLogger(name).setLevel(before)


def test_a_library_s_line_is_not_repeated_and_ours_are_told_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with logging_as("info", "json") as stream:
        for _ in range(3):
            logging.getLogger("vtj.line").info("committed")
            logging.getLogger("vtj.audit").warning("started")
            for name in ("vtj.kafka", "aiokafka"):
                logging.getLogger(name).error("no connection to %s", name)
        now += 31
        logging.getLogger("aiokafka").error("no connection to aiokafka")
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    words = Counter(one["message"] for one in told)
    assert words == {"committed": 3, "started": 3, "no connection to vtj.kafka": 3, "no connection to aiokafka": 2}
    assert [one.get("leftOut") for one in told if one["logger"] == "aiokafka"] == [None, 2]


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_log_line_is_redacted_and_tells_no_foreign_text(form: Literal["console", "json"]) -> None:
    code = CODES[0]
    with logging_as("debug", form) as stream:
        logging.getLogger("asyncio").error("future: <Task exception=KeyError('%s')>", code)
        try:
            try:
                raise KeyError(code, "Salakammari")
            except KeyError as error:
                raise Doubt("the commit: no end within 30 s") from error
        except Doubt:
            logging.getLogger("vtj.kafka").exception("what a mistake would do")
    told = stream.getvalue()
    assert told.count(MASK) == 1
    assert not privacy.codes(told)
    assert "Doubt: the commit: no end within 30 s" in told
    assert "test_redaction.py" in told
    assert "caused by" in told
    assert "KeyError" in told.partition("caused by")[2]
    if form == "json":
        assert [json.loads(line)["logger"] for line in told.splitlines()] == ["asyncio", "vtj.kafka"]


QUOTING = KeyError(CODES[0], "Salakammari")


class Faulty:
    def __del__(self) -> None:
        raise QUOTING


def fail() -> None:
    raise QUOTING


@pytest.mark.parametrize("form", ["console", "json"])
def test_what_nobody_has_foreseen_goes_the_same_way(form: Literal["console", "json"]) -> None:
    with logging_as("error", form) as stream:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("a library is old", stacklevel=1)
        logging.getLogger().handlers[:] = []  # as the demo's full screen does
        sys.excepthook(KeyError, QUOTING, None)
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        Faulty()
        gc.collect()
    told = stream.getvalue()
    words = ["ended by a fault", "a thread ended by a fault", "an error that nobody could be told"]
    assert all(one in told for one in ["a library is old", *words])
    assert not privacy.shown(told)
    if form == "json":
        _, *unforeseen = [json.loads(line) for line in told.splitlines()]
        assert [one["message"].removesuffix(" of its own") for one in unforeseen] == words
        assert all(one["exception"].endswith("KeyError") for one in unforeseen)


def test_no_library_speaks_below_a_warning() -> None:
    """At DEBUG, aiokafka writes the records that it sends."""
    with logging_as("debug", "console"):
        for name in ("aiokafka", "aiokafka.producer.producer", "aiohttp.access", "asyncio", "anything"):
            assert not logging.getLogger(name).isEnabledFor(logging.INFO)
        assert logging.getLogger("vtj.line").isEnabledFor(logging.DEBUG)


@pytest.mark.parametrize(
    "arguments",
    [
        ["{}"],
        ["tail", "{}"],
        ["tail", "--group=KOTIKUNTA", "--{}"],
        ["convert", "a", "{}"],
        ["sandbox", "--port", "{}"],
    ],
    ids=str,
)
def test_a_code_given_as_an_argument_is_not_repeated(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([one.format(CODES[1]) for one in arguments])
    assert ended.value.code == 2
    assert MASK in capsys.readouterr().err


def test_no_argument_of_any_command_is_a_code() -> None:
    """What can be told to a command: switches, numbers, times, addresses, files, names that are nobody's, a reason."""

    def arguments(one: argparse.ArgumentParser) -> Iterator[str]:
        for action in one._actions:
            if isinstance(action, argparse._SubParsersAction):
                for inner in set(action.choices.values()):
                    yield from arguments(inner)
            elif action.nargs != 0:
                yield action.option_strings[0] if action.option_strings else action.dest

    takes = "config bootstrap-servers group person-file file host port seed persons history changes-per-day page-size "
    takes += "username password-file requests-per-minute faults replay folder output labels municipalities missing "
    takes += "codes reason since until feed cursor bucket persons topics to-topic budget skip-poison "
    takes += "tls-key tls-cert client-certs xroad-clients place places"
    assert {one.removeprefix("--") for one in arguments(parser())} == set(takes.split())


def test_settings_are_silent() -> None:
    environ = {
        "VTJ_UPSTREAM__USERNAME": "tunnus",
        "VTJ_UPSTREAM__PASSWORD": "Salakammari",
        "VTJ_UPSTREAM__HEADERS": '{"X-API-KEY": "Salakammari"}',
    }
    loaded = load(environ=environ)
    for one in (loaded, loaded.settings, loaded.settings.upstream):
        assert "Salakammari" not in f"{one} {one!r}"
