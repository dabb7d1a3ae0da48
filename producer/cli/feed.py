"""The option `--feed` of the commands that work on one feed."""

import argparse


def feed_option(parser: argparse.ArgumentParser) -> None:
    """Adds it. `args.feed` is then the name of a feed, or None, which will do where there is one."""
    parser.add_argument("--feed", metavar="NAME", help="which feed, where the settings file has several")
