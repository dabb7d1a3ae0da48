"""Synthetic personal identity codes and building codes.

Individual numbers 900-999 are never given to real persons, building numbers that begin with 9 never to real
buildings. The check character of both is the number modulo 31, looked up in one table (decree 128/2010, decree
852/2014 section 23); the century sign takes no part in it.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

from producer.redaction import CHECK

SIGNS: Final = {1800: "+", 1900: "-YXWVU", 2000: "ABCDEF"}

_LAST_BIRTH: Final = date(2025, 12, 31)
_DAYS: Final = 36_500  # births of a hundred years
_STRIDE: Final = 10_007  # shares no factor with _DAYS: serials visit every day before any day twice
_MASK: Final = 2**64 - 1


def scramble(*numbers: int) -> int:
    """Numbers → 64 bits that look like chance and are the same in every process (splitmix64)."""
    state = 0
    for number in numbers:
        state = (state ^ (number & _MASK)) + 0x9E3779B97F4A7C15 & _MASK
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state


def check_character(digits: str) -> str:
    return CHECK[int(digits) % 31]


def personal_code(born: date, number: int, sign: str) -> str:
    """number: 900-999. sign: one of SIGNS of the century of birth."""
    digits = f"{born:%d%m%y}{number:03d}"
    return f"{digits[:6]}{sign}{digits[6:]}{check_character(digits)}"


def identity(seed: int, serial: int) -> tuple[str, date]:
    """The serial-th code of a register and its date of birth. No code twice below 3.65 million serials."""
    day = (serial * _STRIDE + scramble(seed)) % _DAYS
    born = _LAST_BIRTH - timedelta(days=day)
    number = 900 + (scramble(seed, day) + serial // _DAYS) % 100
    signs = SIGNS[born.year // 100 * 100]
    sign = signs[max(0, scramble(seed, serial, 1) % 20 - 14)]  # mostly the old sign; the new ones are since 2023
    return personal_code(born, number, sign), born


def newborn_codes(born: date) -> Iterator[str]:
    """The codes of a day, in the order in which they are given; of `identity` none, if the day is after its last."""
    shift = scramble(born.toordinal())
    return (personal_code(born, 900 + (shift + at) % 100, sign) for sign in SIGNS[2000] for at in range(100))


def building_code(number: int) -> str:
    """number: up to 8 digits → a permanent building code (PRT) of ten characters that begins with 9."""
    digits = f"9{number:08d}"
    return digits + check_character(digits)
