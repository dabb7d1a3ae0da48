"""`vtj-producer convert` as the tests call it."""

import json
from pathlib import Path
from typing import Any

import pytest

from producer.__main__ import parser


class Convert:
    """Runs the command in this process on an answer: the events and dead letters; keeps what else it wrote."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[bytes]) -> None:
        self._file = folder / "answer.json"
        self._capture = capture

    def __call__(self, answer: Any, *flags: str) -> list[dict[str, Any]]:
        self._file.write_text(json.dumps(answer), "utf-8")
        args = parser().parse_args(["convert", str(self._file), *flags])
        self.exit_code = args.run(args)
        out, err = self._capture.readouterr()
        self.output = out
        self.summary = err.decode()
        lines = [json.loads(line) for line in out.splitlines()]
        self.identities = [line for line in lines if line["topic"].endswith(".identity")]
        return [line for line in lines if line not in self.identities]


@pytest.fixture
def convert(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> Convert:
    return Convert(tmp_path, capsysbinary)


def changes(records: list[Any], **extra: Any) -> dict[str, Any]:
    """An answer of muutokset."""
    return {"viimeisinKirjausavain": 5446623423, "muutokset": records, "ajanTasalla": True, **extra}


def snapshot(records: list[Any], **extra: Any) -> dict[str, Any]:
    """An answer of perustiedot."""
    return {"perustiedot": records, "ajanTasalla": True, **extra}
