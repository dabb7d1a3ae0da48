"""One module per command, whose `register` makes its parser. They import what they run only when they run it."""

from importlib import import_module

# In the order of --help.
MODULES = (
    "demo", "run", "load", "backfill", "persons", "erase", "check", "topics", "schemas", "status", "cursor", "fetch",
    "tail", "verify", "replay", "letters", "convert", "fingerprint", "catalogue", "config", "sandbox",
)  # fmt: skip
COMMANDS = [import_module(f"producer.cli.{name}").register for name in MODULES]
