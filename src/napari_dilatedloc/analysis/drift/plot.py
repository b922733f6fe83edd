"""Pictures of drift."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_dilatedloc.analysis.drift.result import Drift
from napari_dilatedloc.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"x": "tab:blue", "y": "tab:orange", "z": "tab:red"}


def drift_figure(drift: Drift, pixel_size_nm: float) -> Figure:
    """Drift over frames, and its path in the plane coloured by frame.

    Parameters
    ----------
    drift : Drift
        What to draw; z is left out where it is 0 throughout.
    pixel_size_nm : float
        Camera pixel: the axes are in nm.
    """
    from matplotlib.figure import Figure  # slow to import, and seldom needed

    figure = Figure(figsize=(9, 4), dpi=110, layout="constrained")
    over_time, path = figure.subplots(1, 2, width_ratios=[3, 2])
    nm = drift.to_nm(pixel_size_nm)
    for column, (name, colour) in zip(nm.T, COLOURS.items(), strict=True):
        if name != "z" or column.any():
            over_time.plot(column, color=colour, label=name, lw=1.5)
    over_time.axhline(0, color="0.7", lw=0.8, zorder=0)
    over_time.set(xlabel="frame", ylabel="drift / nm", title=f"drift by {drift.method}")
    over_time.margins(x=0)
    over_time.legend(loc="best", frameon=False)
    shown = path.scatter(nm[:, 0], nm[:, 1], c=range(len(nm)), s=3, cmap="viridis", linewidths=0)
    path.set(xlabel="x / nm", ylabel="y / nm", title="path in the plane")
    path.set_aspect("equal", adjustable="datalim")
    path.invert_yaxis()  # as in the image
    figure.colorbar(shown, ax=path, label="frame", shrink=0.8)
    return figure


def save_drift_figure(path: str | Path, drift: Drift, pixel_size_nm: float) -> None:
    """Write the picture, .png, .svg or .pdf; whole or not at all."""
    figure = drift_figure(drift, pixel_size_nm)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150)
