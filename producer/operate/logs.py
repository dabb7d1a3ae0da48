"""Where the service's own words go: standard error, a line each."""

import json
import logging
import sys
import time
import traceback
from types import TracebackType
from typing import Any, Final, Literal

from producer.errors import ProducerError
from producer.redaction import redacted

log = logging.getLogger("vtj")

_AGAIN: Final = 30  # s


class _Console(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return _trace(ei[1])


class _Json(_Console):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return redacted(json.dumps(line, ensure_ascii=False))


class _Seldom(logging.Filter):
    """Lets libraries say the same thing once in a while: aiokafka says it 40 times a second while a broker is away."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.split(".")[0] == log.name:
            return True
        text, now = record.getMessage(), time.monotonic()
        if now - self._said.get(text, -_AGAIN) < _AGAIN:
            return False
        if len(self._said) >= 1000:  # texts with a number in them
            self._said.clear()
        self._said[text] = now
        return True


def _trace(error: BaseException | None) -> str:
    """Where, and what kind of error, the first cause last. Only ours say what: the text of others may quote persons."""
    told = []
    while error is not None:
        text = f": {error}" if isinstance(error, ProducerError) else ""
        told.append(f"{''.join(traceback.format_tb(error.__traceback__))}{type(error).__qualname__}{text}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\ncaused by\n".join(told)


def set_up(level: str, form: Literal["console", "json"]) -> None:
    """Everything of ours from `level` on; of the libraries only warnings, of aiokafka only errors.

    Never lower for the libraries, at no level of ours: aiokafka's `send()` writes keys and values to its DEBUG log.
    And while a broker is away it writes a warning per partition and try; what that means for us, we say ourselves.
    A library says the same thing every half a minute at most. What ends the process unforeseen goes the same way.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_Seldom())
    handler.setFormatter(_Json() if form == "json" else _Console("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    logging.getLogger("aiokafka.consumer.fetcher").setLevel(logging.CRITICAL)
    log.setLevel(level.upper())

    def unforeseen(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        message = "ended by a fault of its own"
        handler.handle(log.makeRecord(log.name, logging.CRITICAL, "", 0, message, (), (kind, error, trace)))

    sys.excepthook = unforeseen
