"""`make profile`: samples the service at work and says what each function of ours costs an event.

A sample belongs to the innermost function of the package on the stack, with all that it calls in libraries and in C; to
the library where none of ours is on it but the entry. The shares are of samples, the microseconds those of the meter.
"""

import argparse
import secrets
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.bench.pages import MIXES
from tests.bench.report import cpu
from tests.bench.runs import Bench
from tests.broker import NoKafka, find_broker

RATE: Final = 500  # samples a second
ENTRY: Final = ("producer/app/", "producer/pipeline.py", "producer/operate/")  # on every stack


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.profile", description=__doc__)
    parser.add_argument("--mix", choices=sorted(MIXES), default="common", help="groups of a record (%(default)s)")
    parser.add_argument("--pages", type=int, default=400, help="of 1,000 change records (default: %(default)s)")
    parser.add_argument("--lines", type=int, default=30, help="how many are shown (default: %(default)s)")
    args = parser.parse_args()
    try:
        broker = find_broker(own=True)
    except NoKafka as reason:
        print(f"profile: {reason}", file=sys.stderr)
        return 1
    with (
        broker,
        Bench(broker.bootstrap, f"profile-{secrets.token_hex(3)}", 60) as bench,
        tempfile.NamedTemporaryFile("r") as samples,
    ):
        bench.start()
        spy = Path(sys.executable).with_name("py-spy")
        options = ["--native", "--rate", str(RATE), "--format", "raw", "--output", samples.name]
        reading = bench.product_profiled(args.pages, args.mix, [str(spy), "record", *options, "--"])
        costs = attributed(samples)
    total, each = costs.total(), cpu(reading)
    print(f"{reading['events']:,} events, {each:.1f} µs of CPU each (start left out), {total:,} samples\n")
    print("| share | µs an event | where |\n| ---: | ---: | --- |")
    for where, count in costs.most_common(args.lines):
        print(f"| {count / total:.1%} | {count / total * each:.2f} | {where} |")
    return 0


def attributed(samples: Iterable[str]) -> Counter[str]:
    """py-spy's raw lines: `outermost;…;innermost count`, each frame `function (file:line)`."""
    costs: Counter[str] = Counter()
    for line in samples:
        stack, _, count = line.rpartition(" ")
        if "importlib" not in stack:  # start-up
            costs[_whose(stack.split(";"))] += int(count)
    return costs


def _whose(frames: list[str]) -> str:
    named = [frame.rpartition(":")[0].replace(" (", " ", 1) for frame in frames]
    for name in reversed(named):
        function, _, file = name.partition(" ")
        if file.startswith("<") and file[1:-1] == function:
            return f"{function} (generated encoder)"
        if file.startswith("producer/") and not file.startswith(ENTRY):
            return f"{function} ({file})"
    python = [name for name in named if ".py" in name]
    return f"libraries: {python[-1].rpartition(' ')[2]}" if python else "Python itself"


if __name__ == "__main__":
    sys.exit(main())
