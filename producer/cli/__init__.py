"""One module per command; each registers its own parser. They import what they run only when they run it."""

from producer.cli import catalogue, config, convert, cursor, demo, load, run, sandbox, schemas, tail, topics

_MODULES = (demo, run, load, topics, schemas, cursor, tail, convert, catalogue, config, sandbox)
COMMANDS = [module.register for module in _MODULES]
