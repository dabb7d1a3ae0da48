"""`vtj-producer run`: the service."""

import argparse


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "run",
        help="move changes from upstream into Kafka",
        description="Moves changes from upstream into Kafka until SIGTERM. Several may run: one works, others wait.",
    )
    parser.add_argument("--once", action="store_true", help="end with exit code 0 when upstream says ajanTasalla")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from producer import app
    from producer.config import load
    from producer.operate import logs

    loaded = load(args.config)
    loaded.require("upstream.url", "kafka.bootstrap_servers")
    settings = loaded.settings
    logs.set_up(settings.log.level, settings.log.format)
    app.run(settings, once=args.once)
    return 0
