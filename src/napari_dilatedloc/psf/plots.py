"""Pictures of what a PSF can do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_dilatedloc.files import replacing
from napari_dilatedloc.psf.crlb import Crlb

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POSITIONS = (("x_nm", "x", "tab:blue"), ("y_nm", "y", "tab:orange"), ("z_sigma_nm", "z", "tab:red"))


def plot_crlb(axis: Axes, crlb: Crlb) -> None:
    """Draw the bounds of x, y and z over z into a matplotlib axis; infinite ones leave a gap."""
    style = "-" if len(crlb.z_nm) > 1 else "o"
    for name, label, colour in POSITIONS:
        axis.plot(crlb.z_nm, getattr(crlb, name), style, label=label, color=colour)
    axis.set_xlabel("z (nm)")
    axis.set_ylabel("CRLB, standard deviation (nm)")
    axis.set_ylim(bottom=0)
    axis.legend()


def save_crlb(path: Path, crlb: Crlb, title: str) -> None:
    """Write a picture of the bounds, .png, .pdf or .svg; whole or not at all."""
    from matplotlib.figure import Figure  # slow to import, and seldom needed

    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = figure.subplots()
    plot_crlb(axis, crlb)
    axis.set_title(title)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150)
