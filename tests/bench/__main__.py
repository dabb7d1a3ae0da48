"""`make bench`: measures, prints the figures, writes docs/benchmarks.md. `--quick` only shows that all of it runs."""

import argparse
import secrets
import sys
from pathlib import Path
from typing import Final

from tests.bench import encoder, plots, translating, verifying
from tests.bench.pages import as_json, pages
from tests.bench.report import PICTURES, VIEWERS, Figures, cpu, page, rate
from tests.bench.runs import ROOT
from tests.bench.several import Several
from tests.bench.upstream import CALM
from tests.broker import VERSION, NoKafka, find_broker

DISTINCT: Final = 60


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few pages of each, on any broker; no figures to keep")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (default: %(default)s)")
    parser.add_argument(
        "--output", type=Path, help="where to write (default: docs/benchmarks.md; with --quick nowhere)"
    )
    args = parser.parse_args()
    if args.quick:
        sizes = {"rounds": 1, "each": 4, "long": 12, "load": 1000, "long_load": 3000, "listed": 300, "interval": 1}
        sizes |= {"verify": 20_000, "translate": 2000, "each_bucket": 1, "idle": 2, "calm": 3, "watched": 12}
        output = args.output
    else:
        sizes = {"rounds": args.rounds, "each": 60, "long": 4000, "load": 20_000, "long_load": 500_000}
        sizes |= {"listed": 300_000, "interval": 5, "verify": 10_000_000, "translate": 1_000_000}
        sizes |= {"each_bucket": 40, "idle": 20, "calm": 400, "watched": 400}
        output = args.output or ROOT / "docs" / "benchmarks.md"
    try:
        broker = find_broker(own=not args.quick)
    except NoKafka as reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 1
    with broker, Several(broker, f"bench-{secrets.token_hex(3)}", min(sizes["each"], DISTINCT)) as bench:
        own = broker.way != "environment"
        named = f"Apache Kafka {VERSION} ({broker.way})" if own else "A Kafka of the environment"
        figures = measure(bench, broker.bootstrap, f"{named}: one broker, one replica, no fsync", sizes)
    told = page(figures)
    print(f"\n{told}")
    if output:
        output.write_text(told, encoding="utf-8")
        plots.draw(figures, output.parent / PICTURES)
    return 0


def measure(bench: Several, bootstrap: str, broker: str, sizes: dict[str, int]) -> Figures:
    each, rounds = sizes["each"], []
    bench.start()  # topics, coordinators and bytecode are warm after it
    for run in (bench.baseline, bench.product):
        run(each, "all")  # and the broker's disk, which can take seconds for the first markers of 500 partitions
    for number in range(sizes["rounds"]):
        rounds.append(
            {
                "baseline": bench.baseline(each),
                "product": bench.product(each),
                "page by page": bench.product_page_by_page(each),
                "limit": bench.limit(each // 4),
                "baseline, all groups": bench.baseline(each, "all"),
                "product, all groups": bench.product(each, "all"),
            }
        )
        said = "; ".join(f"{name} {rate(one):,.0f}/s {cpu(one):.1f} µs" for name, one in rounds[-1].items())
        print(f"round {number + 1}: {said}", file=sys.stderr)
    some = next(pages(1))
    groups = [group for record in some for group in record["tietoryhmat"]]
    return Figures(
        command="make bench",
        broker=broker,
        pages=each,
        bytes_per_group=sum(len(as_json(group)) for group in groups) / len(groups),
        rounds=rounds,
        loads=[bench.load(sizes["load"]) for _ in range(sizes["rounds"])],
        long_load=bench.load(sizes["long_load"]),
        long_run=bench.product(sizes["long"]),
        idle_after=bench.idle_after(each),
        verifying=verifying.measured(bootstrap, sizes["verify"]),
        translating=translating.measured(bootstrap, sizes["translate"]),
        calm=bench.product(sizes["calm"], CALM),
        watched=[
            (bench.watched(sizes["watched"], 0), bench.watched(sizes["watched"], VIEWERS))
            for _ in range(sizes["rounds"])
        ],
        starts=[bench.start() for _ in range(sizes["rounds"])],
        encoding=encoder.measure(repeats=sizes["rounds"] * 3),
        hand_overs=[bench.hand_overs() for _ in range(sizes["rounds"])],
        scaling=[
            (bench.scaling(1, sizes["each_bucket"]), bench.scaling(2, sizes["each_bucket"]))
            for _ in range(sizes["rounds"])
        ],
        calls=bench.calls(sizes["idle"], sizes["each_bucket"]),
        following=(
            sizes["listed"],
            *bench.following(sizes["listed"], sizes["interval"]),
        ),  # last: its persons stay on the prefix
    )


if __name__ == "__main__":
    sys.exit(main())
