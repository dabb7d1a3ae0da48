"""Codes are right in form, never a real person's, and never given twice."""

import re
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.sandbox.hetu import building_code, check_character, identity, personal_code

FORM = re.compile(r"(\d{6})([-YXWVUABCDEF])(9\d\d)([0-9A-Y])")
# Its own table, so that a slip in the product's is seen: the letters of decree 128/2010.
LETTERS = dict(enumerate("0123456789" + "".join(c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in "GIOQZ")))


@pytest.mark.parametrize(
    ("born", "number", "sign", "code"),
    [  # DVV's public list of test codes with the new signs
        (date(1994, 5, 1), 903, "Y", "010594Y9032"),
        (date(1994, 5, 2), 903, "X", "020594X903P"),
        (date(2016, 5, 1), 903, "B", "010516B903X"),
        (date(2004, 5, 2), 904, "B", "020504B904H"),
        (date(2001, 5, 1), 903, "E", "010501E9032"),
    ],
)
def test_codes_are_those_of_dvvs_list(born: date, number: int, sign: str, code: str) -> None:
    assert personal_code(born, number, sign) == code


@given(st.integers(0, 2**64), st.integers(0, 300_000))
def test_every_code_is_synthetic_and_right(seed: int, serial: int) -> None:
    code, born = identity(seed, serial)
    match = FORM.fullmatch(code)
    assert match
    digits, sign, number, check = match.groups()
    assert check == LETTERS[int(digits + number) % 31]
    assert datetime.strptime(digits[:4] + str(born.year), "%d%m%Y").date() == born  # noqa: DTZ007
    assert (born.year >= 2000) == (sign in "ABCDEF")


def test_no_code_is_given_twice() -> None:
    assert len({identity(7, serial)[0] for serial in range(120_000)}) == 120_000


def test_building_codes_are_test_buildings() -> None:
    code = building_code(4)
    assert code == "900000004" + check_character("900000004")
    assert check_character("900000041") == "C"  # 900000041C, 9000001596: known test buildings
    assert check_character("900000159") == "6"
