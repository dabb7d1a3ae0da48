"""The figures as pictures: SVG, readable on light and on dark ground, the same bytes for the same figures."""

from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.bench.report import Figures, rate

OURS, OTHERS, INK = "#2f7fd1", "#9aa5b1", "#6b7684"
BARS: Final = (
    ("baseline", "script, one page\na transaction", OTHERS),
    ("page by page", "vtj-producer, one page\na transaction", OURS),
    ("product", "vtj-producer", OURS),
    ("limit", "limit: ready bytes", OTHERS),
    ("baseline, all groups", "script, every group", OTHERS),
    ("product, all groups", "vtj-producer, every group", OURS),
)
STYLE: Final[dict[Any, object]] = {
    "svg.hashsalt": "vtj-producer",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(figures: Figures, folder: Path) -> None:
    """bench-rate.svg, bench-course.svg, bench-latency.svg in the folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in (("rate", _rate), ("course", _course), ("latency", _latency)):
        with mpl.rc_context(STYLE):
            made = Figure(figsize=(7.5, 3.2 if name == "rate" else 2.6), layout="constrained")
            picture(figures, made)
            made.savefig(folder / f"bench-{name}.svg", transparent=True, metadata={"Date": None})


def _rate(figures: Figures, made: Figure) -> None:
    axes = made.subplots()
    for at, (who, name, colour) in enumerate(reversed(BARS)):
        rates = sorted(rate(one[who]) for one in figures.rounds)
        middle = median(rates)
        axes.barh(name, middle, xerr=[[middle - rates[0]], [rates[-1] - middle]], color=colour, ecolor=INK, height=0.7)
        axes.text(rates[-1], at, f"  {middle:,.0f}", va="center")
    axes.set_xlabel("events a second (median; line: lowest to highest)")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.margins(x=0.12)
    axes.tick_params(axis="y", length=0)


def _course(figures: Figures, made: Figure) -> None:
    """Of the long run: each hundredth of the way."""
    run = figures.long_run
    left, right = made.subplots(1, 2)
    step = max(len(run["course"]) // 100, 1)
    points = [(0, 0.0), *run["course"][step - 1 :: step]]
    costs = [(b[1] - a[1]) / (b[0] - a[0]) * 1e6 for a, b in pairwise(points)]
    _line(left, [events for events, _ in points[1:]], costs, "CPU of an event, µs")
    _line(right, [events for events, _ in run["course"]], run["rss"], "resident, MB")


def _line(axes: Axes, events: list[int], values: list[float], title: str) -> None:
    axes.plot([one / 1e6 for one in events], values, color=OURS, linewidth=1.5)
    axes.set_ylim(0, max(values) * 1.25)
    axes.set_xlim(0)
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel("events, million")


def _latency(figures: Figures, made: Figure) -> None:
    axes = made.subplots()
    told = sorted(figures.calm["latencies"])
    axes.plot(told, [(at + 1) / len(told) * 100 for at in range(len(told))], color=OURS, linewidth=1.5)
    axes.set_xlim(0)
    axes.set_ylim(0, 101)
    axes.set_title("from a page's last byte to its commit: % of pages within so many ms", fontsize=10, loc="left")
    axes.set_xlabel("ms")
