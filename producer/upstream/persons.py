"""The followed persons, from a file: one identity code (henkilötunnus) a line."""

from pathlib import Path
from typing import Final

from producer.errors import SettingsError
from producer.redaction import CHECK, IDENTITY_CODE

SHOWN: Final = 10


def read_persons(path: Path) -> list[str]:
    """The codes in the file's order. Blank lines are passed over, spaces round a code too.

    A code that is wrong, or there twice, is an error rather than left out: a person who is silently not followed
    would be noticed by nobody. Raises SettingsError, which names lines, never codes.
    """
    hint = "A file of persons has identity codes, one a line, in capitals, each once."
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        trouble = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        trouble = "is not UTF-8"
    else:
        trouble = ""
    if trouble:
        raise SettingsError(f"The file of persons {path} {trouble}.", hint=hint)
    codes = checked(text, f"The file of persons {path}", hint)
    if not codes:
        raise SettingsError(
            f"The file of persons {path} is empty.",
            hint="When the permit selects the persons, there is no file: leave VTJ_UPSTREAM__PERSONS_FILE unset.",
        )
    return codes


def checked(text: str, where: str, hint: str) -> list[str]:
    """The codes of a text, as of a file of persons; none when there is none. where, hint: begin and end the errors."""
    codes: dict[str, int] = {}
    malformed: list[int] = []
    miscounted: list[int] = []
    doubled: list[int] = []
    for number, line in enumerate(text.split("\n"), 1):
        code = line.strip()
        if not code:
            continue
        if not IDENTITY_CODE.fullmatch(code):
            malformed.append(number)
        elif CHECK[int(code[:6] + code[7:10]) % 31] != code[10]:
            miscounted.append(number)
        elif codes.setdefault(code, number) != number:
            doubled.append(number)
    problems = [
        f"{what}: {_lines(numbers)}."
        for what, numbers in [
            ("not an identity code", malformed),
            ("the check character is wrong", miscounted),
            ("the same code as on a line before", doubled),
        ]
        if numbers
    ]
    if problems:
        raise SettingsError(f"{where} has errors: {' '.join(problems)}", hint=hint)
    return list(codes)


def _lines(numbers: list[int]) -> str:
    more = len(numbers) - SHOWN
    text = ", ".join(map(str, numbers[:SHOWN])) + (f" and {more} more" if more > 0 else "")
    return f"line {text}" if len(numbers) == 1 else f"lines {text}"
