"""Avro's primitive values as they stand on the wire.

Pieces of Avro are **text with one character per byte** (latin-1) until a value is whole: CPython joins text with a
single opcode, and most of what upstream sends is ASCII, which then needs no encoding of its own. `encode("latin-1")`
at the very end makes the bytes.

Every function takes what JSON can hold and raises `Misfit` for what its Avro type cannot. `str`, `int` and `bool` are
compared exactly: in Python `True` is an int, in Avro it is not.
"""

import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, Final

_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATES_KEPT: Final = 32_768  # 90 years of days, about 6 MB


class Misfit(ValueError):
    """A value does not fit its Avro type. Carries no text: the value may be personal."""


def varint(value: int) -> str:
    """value: -2^63 … 2^63-1, written zigzag, seven bits a byte."""
    rest = (value << 1) ^ (value >> 63)
    piece = ""
    while rest > 0x7F:
        piece += chr(rest & 0x7F | 0x80)
        rest >>= 7
    return piece + chr(rest)


_MORE: Final = [chr(at | 0x80) for at in range(0x80)]  # seven bits that others follow

VARINT: Final = [varint(n) for n in range(4096)]  # lengths, positions and counts, as a rule
SOME_VARINT: Final = ["\2" + piece for piece in VARINT]  # behind the branch index 1 of a nullable union


def count(value: int) -> str:
    """A length or a number of items."""
    return VARINT[value] if value < 4096 else varint(value)


def text(value: Any) -> str:
    """An Avro string. A lone surrogate has no UTF-8 and is a misfit."""
    if type(value) is not str:
        raise Misfit
    if value.isascii():
        return count(len(value)) + value
    try:
        utf8 = value.encode()
    except UnicodeEncodeError:
        raise Misfit from None
    return count(len(utf8)) + utf8.decode("latin-1")


def int32(value: Any) -> str:
    if type(value) is int and -0x8000_0000 <= value <= 0x7FFF_FFFF:
        return VARINT[value] if 0 <= value < 4096 else varint(value)
    raise Misfit


def int64(value: Any) -> str:
    if type(value) is int and 0x4_0000_0000 <= value < 0x200_0000_0000:  # six bytes: milliseconds, from 1970 to 2039
        rest = value << 1
        return (
            f"{_MORE[rest & 0x7F]}{_MORE[rest >> 7 & 0x7F]}{_MORE[rest >> 14 & 0x7F]}"
            f"{_MORE[rest >> 21 & 0x7F]}{_MORE[rest >> 28 & 0x7F]}{chr(rest >> 35)}"
        )
    if type(value) is int and -0x8000_0000_0000_0000 <= value <= 0x7FFF_FFFF_FFFF_FFFF:
        return varint(value)
    raise Misfit


def boolean(value: Any) -> str:
    if type(value) is bool:
        return "\1" if value else "\0"
    raise Misfit


class Dates(dict[str, str]):
    """`yyyy-MM-dd` → prefix + days since 1970-01-01. Remembers what it met, up to a bound, since days repeat."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix

    def __missing__(self, value: str) -> str:
        if not _DATE.fullmatch(value):
            raise Misfit
        try:
            piece = self._prefix + varint(date.fromisoformat(value).toordinal() - _EPOCH_DAY)
        except ValueError:
            raise Misfit from None
        if len(self) >= _DATES_KEPT:
            self.clear()
        self[value] = piece
        return piece


DATES: Final = Dates("")
SOME_DATES: Final = Dates("\2")


def day(value: Any) -> str:
    """An Avro date."""
    if type(value) is str:
        return DATES[value]
    raise Misfit


def choice(symbols: Sequence[str]) -> Callable[[Any], str]:
    """The writer of an enum."""
    pieces = {symbol: varint(at) for at, symbol in enumerate(symbols)}

    def write(value: Any) -> str:
        if type(value) is str and value in pieces:
            return pieces[value]
        raise Misfit

    return write


def many(write: Callable[[Any], str]) -> Callable[[Any], str]:
    """The writer of an array whose items `write` writes."""

    def write_all(values: Any) -> str:
        if type(values) is not list:
            raise Misfit
        if not values:
            return "\0"
        return f"{count(len(values))}{''.join([write(value) for value in values])}\0"

    return write_all


def texts(values: Any) -> str:
    """A map of strings."""
    if type(values) is not dict:
        raise Misfit
    if not values:
        return "\0"
    return f"{count(len(values))}{''.join([text(name) + text(value) for name, value in values.items()])}\0"
