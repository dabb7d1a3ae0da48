"""What is renewed on disk is taken up at the next use; what is broken there is not, and is told once."""

import logging
import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from producer.credentials import Renewed, secret
from producer.errors import SettingsError

OLD, NEW = "hunter2-of-the-test", "hunter3-of-the-test"


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


def test_a_password_file_is_read_again_when_it_has_changed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    file = tmp_path / "password"
    file.write_text(f"{OLD}\n")
    password = secret(SecretStr("as loaded"), file, "VTJ_KAFKA__PASSWORD")
    assert password is not None
    assert password() == OLD
    file.write_text(f"{NEW}\nand a remark")
    assert password() == NEW
    assert f"taken up, as it has changed: {file}" in caplog.text
    assert OLD not in caplog.text
    assert NEW not in caplog.text


def test_a_link_that_leads_elsewhere_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes renews a mounted secret: the file's name, size and time may all be the same."""
    for name, text in (("one", OLD), ("two", NEW)):
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, (1_000_000, 1_000_000))
    link = tmp_path / "password"
    link.symlink_to("one")
    password = secret(None, link, "VTJ_KAFKA__PASSWORD")
    assert password is not None
    assert password() == OLD
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(link)
    assert password() == NEW


@pytest.mark.parametrize("broken", [b"", b"\n", b"\xff", None], ids=["empty", "first line", "not UTF-8", "gone"])
def test_what_is_broken_keeps_the_old_until_it_is_mended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: bytes | None
) -> None:
    file = tmp_path / "password"
    file.write_text(OLD)
    password = secret(None, file, "VTJ_KAFKA__PASSWORD")
    assert password is not None
    assert password() == OLD
    if broken is None:
        file.unlink()
    else:
        file.write_bytes(broken)
    assert [password() for _ in range(3)] == [OLD] * 3
    (told,) = warnings(caplog)
    assert f"VTJ_KAFKA__PASSWORD_FILE: {file}" in told
    assert "stays in use" in told
    file.write_text(NEW)
    assert password() == NEW


def test_the_first_time_nothing_old_is_there_to_keep(tmp_path: Path) -> None:
    password = secret(None, tmp_path / "absent", "VTJ_KAFKA__PASSWORD")
    assert password is not None
    with pytest.raises(SettingsError, match=r"VTJ_KAFKA__PASSWORD_FILE: .*absent cannot be read") as caught:
        password()
    assert caught.value.hint


def test_of_a_pair_both_halves_must_have_come(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"

    def pair() -> str:
        if one.read_text() != other.read_text():
            raise SettingsError("do not fit", hint="both")
        return one.read_text()

    for file in (one, other):
        file.write_text("a")
    made = Renewed(pair, one, None, other)
    assert made() == "a"
    one.write_text("b")
    assert made() == "a"
    other.write_text("b")
    assert made() == "b"


def test_nothing_is_made_anew_without_a_change(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a")
    made = Renewed(object, tmp_path / "file")
    assert made() is made()


def test_a_value_from_the_environment_stays() -> None:
    value = secret(SecretStr(OLD), None, "VTJ_KAFKA__PASSWORD")
    assert value is not None
    assert value() == OLD
    assert secret(None, None, "VTJ_KAFKA__PASSWORD") is None
