"""Where the service's own words go: standard error, a line each, as text or as JSON.

Every record goes one way, ours and the libraries': standard logging, then structlog's processors. A message of ours
names its values, `log.info("committed cursor %(cursor)d", {"cursor": 5})`: in JSON they are fields too.
"""

import logging
import sys
import threading
import time
import traceback
from typing import Any, Final, Literal

import orjson

from producer.errors import ProducerError
from producer.observe import pulse
from producer.redaction import redacted

# Where structlog finds rich it imports it, for tracebacks as nobody wants them here: a seventh of the service's start.
rich = sys.modules.get("rich")
sys.modules["rich"] = None  # type: ignore[assignment]
import structlog  # noqa: E402
from structlog.dev import Column, ConsoleRenderer, KeyValueColumnFormatter  # noqa: E402
from structlog.typing import EventDict, Processor  # noqa: E402

del sys.modules["rich"]
if rich is not None:
    sys.modules["rich"] = rich

log = logging.getLogger("vtj")
AUDIT: Final = "vtj.audit"

_AGAIN: Final = 30  # s
# Of whom and of what a line is, where that is known.
_CONTEXT: Final = {"feed": pulse.feed, "shard": pulse.shard, "bucket": pulse.bucket, "xRoadId": pulse.request}


class _Seldom(logging.Filter):
    """Lets libraries say the same thing once in a while: aiokafka says it 40 times a second while a broker is away.

    The next one then tells how many were left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], tuple[float, int]] = {}  # when, and how many were left out since

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.split(".")[0] == log.name:
            return True
        what, now = (pulse.feed.get(), record.getMessage()), time.monotonic()
        said, left_out = self._said.get(what, (-_AGAIN, 0))
        if now - said < _AGAIN:
            self._said[what] = said, left_out + 1
            return False
        if len(self._said) >= 1000:  # texts with a number in them
            self._said.clear()
        self._said[what] = now, 0
        record.left_out = left_out
        return True


def _context(_: Any, __: str, event: EventDict) -> EventDict:
    """What is known beside the words."""
    if left_out := getattr(event["_record"], "left_out", 0):
        event["leftOut"] = left_out
    if info := event.pop("exc_info", None):
        event["exception"] = trace(info[1])
    return event


def trace(error: BaseException | None) -> str:
    """Where, and what kind of error, the first cause last. Only ours say what: the text of others may quote persons."""
    told = []
    while error is not None:
        text = f": {error}" if isinstance(error, ProducerError) else ""
        told.append(f"{''.join(traceback.format_tb(error.__traceback__))}{type(error).__qualname__}{text}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\ncaused by\n".join(told)


def _json(_: Any, __: str, event: EventDict) -> str:
    values = event.pop("positional_args")
    line = {"time": event.pop("time"), "level": event.pop("level"), "logger": event.pop("logger")}
    line |= {"message": event.pop("event")}
    line |= {name: told for name, variable in _CONTEXT.items() if (told := variable.get())}
    line |= {**(values if isinstance(values, dict) else {}), **event}  # what the line itself says is nearer
    return orjson.dumps(line, default=str).decode()


def _console() -> Processor:
    """`time LEVEL logger: feed helsinki: bucket 3: words`; the values are in the words already."""

    def plain(postfix: str = "") -> KeyValueColumnFormatter:
        return KeyValueColumnFormatter(None, "", "", str, postfix=postfix)

    columns = [
        Column("time", plain()),
        Column("level", KeyValueColumnFormatter(None, "", "", lambda level: str(level).upper(), width=7)),
        Column("logger", plain(":")),
        Column("event", lambda _, words: f"{pulse.whose.get()}{words}"),
        Column("positional_args", lambda *_: ""),
        Column("", KeyValueColumnFormatter("", "", "", str)),
    ]
    return ConsoleRenderer(columns=columns, exception_formatter=structlog.dev.plain_traceback, sort_keys=False)


def _redacted(_: Any, __: str, line: Any) -> str:
    return redacted(line)


def set_up(level: str, form: Literal["console", "json"]) -> None:
    """Everything of ours from `level` on; of the libraries only warnings, of aiokafka only errors; the audit always.

    Never lower for the libraries, at no level of ours: aiokafka's `send()` writes keys and values to its DEBUG log.
    And while a broker is away it writes a warning per partition and try; what that means for us, we say ourselves.
    A library says the same thing every half a minute at most. Warnings, and what nobody has foreseen, go the same way.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_Seldom())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.processors.TimeStamper("iso", utc=True, key="time"),
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                _context,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _json if form == "json" else _console(),
                _redacted,  # the last: nothing is added behind it
            ],
            pass_foreign_args=True,
        )
    )
    logging.raiseExceptions = False  # a record that cannot be written would be quoted as it is
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    logging.getLogger("aiokafka.consumer.fetcher").setLevel(logging.CRITICAL)
    log.setLevel(level.upper())
    logging.getLogger(AUDIT).setLevel(logging.INFO)

    def unforeseen(message: str, error: BaseException | None) -> None:
        # By the handler itself: the demo's full screen has taken it out.
        info = None if error is None else (type(error), error, error.__traceback__)
        handler.handle(log.makeRecord(log.name, logging.CRITICAL, "", 0, message, (), info))

    sys.excepthook = lambda _, error, __: unforeseen("ended by a fault of its own", error)
    threading.excepthook = lambda told: unforeseen("a thread ended by a fault of its own", told.exc_value)
    sys.unraisablehook = lambda told: unforeseen("an error that nobody could be told", told.exc_value)
