import logging
from pathlib import Path

import pytest

from producer.errors import SettingsError
from producer.redaction import CHECK
from producer.upstream.persons import read_persons

# DVV's public test codes with the new century signs.
PUBLIC = [
    "010594Y9032", "010594Y9021", "020594X903P", "020594X902N", "030594W903B", "040594V9030", "040594V902Y",
    "050594U903M", "050594U902L", "010516B903X", "010516B902W", "020516C903K", "020516C902J", "030516D9037",
    "030516D9026", "010501E9032", "020502E902X", "020503F9037", "020504A902E", "020504B904H",
]  # fmt: skip


def file(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "persons"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def code(digits: str, sign: str) -> str:
    return f"{digits[:6]}{sign}{digits[6:]}{CHECK[int(digits) % 31]}"


def test_the_files_order_is_kept(tmp_path: Path) -> None:
    assert read_persons(file(tmp_path, "\n".join(PUBLIC))) == PUBLIC


@pytest.mark.parametrize("sign", "+-YXWVUABCDEF")
def test_every_century_sign(tmp_path: Path, sign: str) -> None:
    assert read_persons(file(tmp_path, code("311299999", sign))) == [code("311299999", sign)]


def test_the_sign_is_part_of_the_identity(tmp_path: Path) -> None:
    both = [code("010100900", "-"), code("010100900", "A")]
    assert read_persons(file(tmp_path, "\n".join(both))) == both


def test_what_editors_and_exports_leave_behind(tmp_path: Path) -> None:
    content = "\ufeff" + f"{PUBLIC[0]}\r\n\r\n  {PUBLIC[1]}\t\r\n\n{PUBLIC[2]}"
    assert read_persons(file(tmp_path, content)) == PUBLIC[:3]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (f"{PUBLIC[0]}\n{PUBLIC[1].lower()}", "not an identity code: line 2."),
        (f"# persons\n{PUBLIC[0]}", "not an identity code: line 1."),
        (f"{PUBLIC[0]} {PUBLIC[1]}", "not an identity code: line 1."),
        (f"{PUBLIC[0]}\n{code('320194900', '-')}", "not an identity code: line 2."),
        (f"{PUBLIC[0]}\n{code('011394900', '-')}", "not an identity code: line 2."),
        ("010594G9032", "not an identity code: line 1."),
        ("٠١٠٥٩٤-٩٠٣٢", "not an identity code: line 1."),
        ("010594Y9033", "the check character is wrong: line 1."),
        (f"{PUBLIC[0]}\n{PUBLIC[1]}\n\n{PUBLIC[0]}", "the same code as on a line before: line 4."),
        ("\n".join(["x"] * 12), "lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more."),
        ("x\n010594Y9033", "not an identity code: line 1. the check character is wrong: line 2."),
        (" \n\n", "is empty"),
        (b"\xff\xfe", "is not UTF-8"),
    ],
)
def test_what_is_wrong_is_told_by_line(
    tmp_path: Path, content: str | bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(SettingsError) as caught:
        read_persons(file(tmp_path, content))
    assert reason in str(caught.value)
    assert caught.value.__context__ is None
    assert "010594" not in f"{caught.value!r} {caught.value.hint} {caplog.text}"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"persons cannot be read: No such file"):
        read_persons(tmp_path / "persons")
