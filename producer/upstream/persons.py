"""The followed persons, from a file: one identity code (henkilötunnus) a line."""

from pathlib import Path
from typing import Final

from producer.config.sources import read_text
from producer.errors import SettingsError
from producer.redaction import CHECK, IDENTITY_CODE

SHOWN: Final = 10
NO_CODE, MISCOUNTED = "not an identity code", "the check character is wrong"
DOUBLED = "the same code as on a line before"


def read_persons(path: Path) -> list[str]:
    """The codes in the file's order. Blank lines are passed over, spaces round a code too.

    A code that is wrong, or there twice, is an error rather than left out: a person who is silently not followed
    would be noticed by nobody. Raises SettingsError, which names lines, never codes.
    """
    hint = "A file of persons has identity codes, one a line, in capitals, each once."
    try:
        text, trouble = read_text(path), ""
    except ValueError as error:
        text, trouble = "", str(error)
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
    wrong: dict[str, list[int]] = {NO_CODE: [], MISCOUNTED: [], DOUBLED: []}
    for number, line in enumerate(text.split("\n"), 1):
        code = line.strip()
        if not code:
            continue
        if not IDENTITY_CODE.fullmatch(code):
            wrong[NO_CODE].append(number)
        elif CHECK[int(code[:6] + code[7:10]) % 31] != code[10]:
            wrong[MISCOUNTED].append(number)
        elif codes.setdefault(code, number) != number:
            wrong[DOUBLED].append(number)
    if any(wrong.values()):
        told = " ".join(f"{what}: {_lines(numbers)}." for what, numbers in wrong.items() if numbers)
        raise SettingsError(f"{where} has errors: {told}", hint=hint)
    return list(codes)


def _lines(numbers: list[int]) -> str:
    more = len(numbers) - SHOWN
    text = ", ".join(map(str, numbers[:SHOWN])) + (f" and {more} more" if more > 0 else "")
    return f"line {text}" if len(numbers) == 1 else f"lines {text}"
