"""`vtj-producer sandbox`: a stand-in for VTJ-muutosrajapinta to develop against, until it is interrupted."""

import argparse
from pathlib import Path


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "sandbox",
        help="serve a stand-in for VTJ-muutosrajapinta with synthetic persons",
        description="Serves VTJ-muutosrajapinta, direct and by the X-Road path, with synthetic persons and changes "
        "made from a seed. The account is sandbox/sandbox unless others are given. The first line printed begins "
        "with the URL. Control API under /_sandbox/.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    add("--port", type=int, default=8080, help="port; 0 takes a free one (%(default)s)")
    add("--seed", type=int, default=1, help="the same seed gives the same persons and the same log (%(default)s)")
    add("--persons", type=int, default=1000, help="size of the register, up to 100000 (%(default)s)")
    add("--history", type=int, default=1000, help="changes that are in the log at the start (%(default)s)")
    add("--changes-per-day", type=float, default=8640, help="how fast the log grows (%(default)s)")
    add("--page-size", type=int, default=1000, help="most records in an answer of muutokset (%(default)s)")
    add("--username", default="sandbox", help="account (%(default)s)")
    add("--password-file", type=Path, help="file with the account's password; absent: the password is sandbox")
    add("--requests-per-minute", type=int, help="quota of the account: more are answered 429; absent: none")
    add("--censored", action="store_true", help="the permit does not include data under turvakielto")
    add(
        "--municipalities",
        nargs="+",
        default=(),
        metavar="CODE",
        help="the permit selects who lives there; who moves in comes with all groups; absent: everybody",
    )
    add("--faults", type=Path, metavar="FILE", help='script such as [{"fault": 503, "times": 2}]: docs/sandbox.md')
    add(
        "--xroad-clients",
        nargs="+",
        default=(),
        metavar="CLIENT",
        help="registered on the security server, e.g. FI-TEST/MUN/1234567-8/subsystem; absent: any client",
    )
    add("--tls-cert", type=Path, metavar="FILE", help="PEM certificate, for https; with --tls-key")
    add("--tls-key", type=Path, metavar="FILE", help="PEM key of --tls-cert")
    add("--client-certs", type=Path, metavar="FILE", help="PEM certificates: X-Road clients must show one of them")
    add("--replay", type=Path, metavar="DIR", help="serve a folder of real answers instead of made-up persons")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 after SIGINT or SIGTERM. Raises SettingsError."""
    import asyncio
    import signal

    from producer.operate import logs
    from producer.sandbox import ACCOUNT, Sandbox

    logs.set_up("info", "console")  # without it, aiohttp quotes on standard error what garbled requests said
    options = {name: value for name, value in vars(args).items() if name not in ("config", "run")}

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        async with Sandbox(**options) as sandbox:
            what = f"replay={args.replay}" if args.replay else f"seed={args.seed} persons={args.persons}"
            password = ACCOUNT if args.password_file is None else "***"
            print(f"{sandbox.url} {what} account={args.username}/{password}", flush=True)
            await stop.wait()

    asyncio.run(serve())
    return 0
