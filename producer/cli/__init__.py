"""One module per command; each registers its own parser. They import what they run only when they run it."""

from producer.cli import config, convert, cursor, demo, run, sandbox, schemas, tail, topics

COMMANDS = [module.register for module in (demo, run, topics, schemas, cursor, tail, convert, config, sandbox)]
