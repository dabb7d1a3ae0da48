"""`vtj-producer fingerprint`: the pseudonyms of identity codes, for somebody who may look persons up."""

import argparse
import contextlib
import sys
from pathlib import Path

from producer.cli.common import for_feed


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "fingerprint",
        help="print the pseudonyms that stand for identity codes in the topics",
        description="Reads identity codes, one a line, and prints for each its pseudonym under the settings' secret "
        "and key version, in the same order. Codes are never arguments: process lists and shell histories would keep "
        "them.",
    )
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="the codes; - (default): standard input")
    for_feed(parser, run)


def run(args: argparse.Namespace) -> int:
    from producer.config import load
    from producer.errors import SettingsError
    from producer.events.pseudonyms import pseudonyms

    hidden = pseudonyms(load(args.config, feed=args.feed).settings.privacy)
    if hidden is None:
        raise SettingsError(
            "VTJ_PRIVACY__KEYS is plain: every code stands for itself.",
            hint="Give the settings that `vtj-producer run` has, for example VTJ_PRIVACY__KEYS=hmac-sha256.",
        )
    for code in _codes(args.file):
        print(hidden.of(code))
    return 0


def _codes(file: str) -> list[str]:
    from producer.errors import SettingsError
    from producer.upstream.persons import checked

    hint, text = "Give identity codes, one a line, in capitals, each once.", None
    with contextlib.suppress(OSError, ValueError):
        text = (sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()).decode("utf-8-sig")
    if text is None:  # without its name, which may be a code that somebody gave as an argument
        raise SettingsError("The file of codes cannot be read as text.", hint=hint)
    return checked(text, "The input", hint)
