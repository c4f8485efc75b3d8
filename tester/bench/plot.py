"""A drawing of deliveries per second against the number of subscribers, with a line for each system."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from tester.bench.figures import Figures

# The drawing has no background, so that it fits a white page and a dark one: each colour has a contrast of 3 or more to
# both. Colour-blind people can tell the colours apart, too, and the marks tell the lines apart without colours.
COLOURS = ("#2077b4", "#d55e00", "#00936a", "#c0639a", "#8a7a2f")
MARKS = ("o", "s", "^", "D", "v")
INK = "#7a7f87"  # for text and axes, with a contrast of 4 or more to both


def draw(file: Path, title: str, results: Sequence[Figures]) -> None:
    """Write the drawing as SVG, with its words as text instead of outlines."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, ScalarFormatter

    with mpl.rc_context(_style()):
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        axes = figure.add_subplot()
        for name, colour, mark in zip(dict.fromkeys(each.system for each in results), cycle(COLOURS), cycle(MARKS)):
            points = [(each.subscribers, each.deliveries_per_second) for each in results if each.system == name]
            axes.plot(*zip(*points, strict=True), color=colour, marker=mark, linewidth=2, label=name)
        counts = sorted({each.subscribers for each in results})
        axes.set_xscale("log")
        axes.set_xticks(counts, minor=False)
        axes.set_xticks([], minor=True)
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_ylim(bottom=0)
        axes.set_xlabel("subscribers")
        axes.set_ylabel("deliveries per second")
        axes.set_title(title, fontsize="medium")
        axes.grid(axis="y", alpha=0.3)
        axes.legend(frameon=False)
        figure.savefig(file, metadata={"Title": title, "Date": None})


def _style() -> dict[Any, Any]:  # Any: matplotlib's type lists all names, and differs between versions
    coloured = ("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color")
    plain: dict[Any, Any] = {
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "relay",
    }
    return plain | {"grid.color": INK, "font.family": "sans-serif"} | dict.fromkeys(coloured, INK)
