"""What no log line, error or header may hold: identity codes, and the names and streets of the suite's persons.

`Net` lies under every test (tests/conftest.py). It lowers no logger of a library: what those say at DEBUG is asked
for by nobody, since `operate/logs.py` never lowers them either, and aiokafka's would show every Kafka record.
"""

import json
import logging
import re
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from producer.sandbox.tables import STREETS, SURNAMES

# Told apart from numbers that fall so by the check character alone; of UUIDs there are too many even for that.
_SHAPE: Final = re.compile(r"(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])\d\d[-+YXWVUABCDEF]\d{3}[0-9A-Y]", re.ASCII)
_CHECK: Final = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# Of the persons in schemas/examples and tests/unit, of the sandbox's register, and of this file's own Person below.
NAMES: Final = (
    *("Kallioniemi", "Hillevi", "Keksittykatu", "Sukunimi-Tes"),
    *{name for pair in SURNAMES for name in pair},
    *{street for pair in STREETS for street in pair if street},
    *("Salakammari", "Ruutikellari", "Kätkölänkuja", "Gömslevägen", "salakammari@", "Piilopirtti"),
)


def _forms(name: str) -> set[str]:
    """As it is, and as Python and JSON write it where letters must be ASCII."""
    return {name, ascii(name)[1:-1], repr(name.encode())[2:-1], json.dumps(name)[1:-1]}


_NAMES: Final = re.compile("|".join(re.escape(form) for name in NAMES for form in sorted(_forms(name))))


def codes(text: str) -> list[str]:
    """Every identity code in the text whose check character is right."""
    return [code for code in _SHAPE.findall(_UUID.sub("", text)) if _CHECK[int(code[:6] + code[7:10]) % 31] == code[10]]


def shown(text: str) -> list[str]:
    """Everything personal in the text."""
    return [*codes(text), *_NAMES.findall(text)]


def told(error: BaseException) -> Iterator[str]:
    """All that an error, and what it is chained to, could give away to whoever prints it."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield from (str(one), repr(one), repr(one.args), repr(vars(one)), *traceback.format_exception_only(one))
        waiting += [one.__cause__, one.__context__, *(one.exceptions if isinstance(one, BaseExceptionGroup) else ())]


class Net(logging.Handler):
    """Keeps what is personal in log records, with the whole of the line."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.caught: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = "\n".join(_everything(record))
        if found := shown(line):
            self.caught.append(f"{', '.join(found)} in a log record of {record.name}: {line}")


def _everything(record: logging.LogRecord) -> Iterable[str]:
    yield record.getMessage()
    yield repr(record.args)
    if record.exc_info and record.exc_info[1] is not None:
        yield from told(record.exc_info[1])
        yield from traceback.format_tb(record.exc_info[2])
    yield record.exc_text or ""
    yield record.stack_info or ""


@contextmanager
def net() -> Iterator[Net]:
    """Under every logger, while the block lasts; ours speak at DEBUG."""
    root, ours, handler = logging.getLogger(), logging.getLogger("vtj"), Net()
    level = ours.level
    ours.setLevel(logging.DEBUG)
    root.addHandler(handler)
    try:
        yield handler
    finally:
        root.removeHandler(handler)
        ours.setLevel(level)
