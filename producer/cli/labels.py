"""The option `--labels` of the commands that show events."""

import argparse


def labels_option(parser: argparse.ArgumentParser) -> None:
    """Adds it. `args.labels` is then a language, or None when no labels are asked for."""
    parser.add_argument(
        "--labels",
        nargs="?",
        choices=("fi", "sv", "en"),
        const="fi",
        help="show beside codes what they mean (default: in Finnish); the events stay as they are",
    )
