"""The command line: `vtj-producer COMMAND`. Errors end it with one sentence, a hint and a documented exit code."""

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

from producer import __version__
from producer.cli import COMMANDS
from producer.errors import ProducerError
from producer.redaction import redacted


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(redacted(message))  # a code given as an argument, by mistake


def parser() -> argparse.ArgumentParser:
    top: argparse.ArgumentParser = _Parser(
        prog="vtj-producer",
        description="Finland's population changes (DVV VTJ-muutosrajapinta) into Kafka as typed Avro events.",
        epilog="Exit codes: 0 done, 1 a check found something, 2 settings or arguments, 3 upstream refuses, "
        "4 upstream's answer breaks the rules, 5 Kafka's topics, limits or ACLs, 6 the stored cursor, 7 upstream away, "
        "8 Kafka away, 9 the schema registry, 10 a page that fails each time, 75 another instance is at work.",
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    top.add_argument("--config", type=Path, metavar="FILE", help="settings as TOML; the environment comes before it")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for register in COMMANDS:
        register(commands)
    return top


def main() -> int:
    args = parser().parse_args()
    try:
        return int(args.run(args))
    except ProducerError as error:
        print(redacted(f"vtj-producer: {error}\n  → {error.hint}"), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `… | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
