"""Make the picture of docs/performance.md; look at it afterwards.

``dilatedloc benchmark network --json > network.json``
``python docs/performance_plot.py network.json``
"""

import json
import sys
from pathlib import Path

from matplotlib.figure import Figure

OUT = Path(__file__).parent / "images" / "performance.png"
COLOURS = {"published": "#999999", "fast": "#0072B2"}  # told apart by colour-blind readers
LABELS = {"published": "as published", "fast": "in our engine"}


def main(path: str) -> None:
    """One panel a size, two bars a network, beside them the multiple of the fastest."""
    measured = json.loads(Path(path).read_text(encoding="utf-8"))
    rows = [row for row in measured["rows"] if "network" in row]
    sizes = sorted({row["size"] for row in rows})
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    for axes, size in zip(figure.subplots(1, len(sizes), squeeze=False)[0], sizes, strict=True):
        draw(axes, [row for row in rows if row["size"] == size])
        axes.set_title(f"{size} x {size} px")
    machine = measured["machine"]
    figure.suptitle(f"{machine['cpu']}, {machine['torch_threads']} cores, float32", fontsize=10)
    figure.savefig(OUT, dpi=110)


def draw(axes, rows) -> None:
    """Milliseconds a frame and multiples of the least, the quickest network on top."""
    times = {(row["network"], row["mode"]): row["ms_per_frame"] for row in rows}
    names = sorted({name for name, _ in times}, key=lambda name: -times[name, "fast"])
    best = min(times.values())
    for mode, shift in (("published", 0.2), ("fast", -0.2)):
        values = [times[name, mode] for name in names]
        places = [place + shift for place in range(len(names))]
        bars = axes.barh(places, values, 0.4, color=COLOURS[mode], label=LABELS[mode])
        axes.bar_label(bars, [f"{value / best:.1f} x" for value in values], padding=3, fontsize=8)
    axes.set_xlim(right=1.15 * max(times.values()))
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("ms a frame")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper right", fontsize=8, frameon=False)


if __name__ == "__main__":
    main(sys.argv[1])
