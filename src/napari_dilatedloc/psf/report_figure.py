"""The picture of a calibration report: spots through z, widths, CRLB, beads, aberrations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_dilatedloc.psf.calibration import BeadImages, Calibration, model_images
from napari_dilatedloc.psf.crlb import Crlb
from napari_dilatedloc.psf.report_beads import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    drift,
    frame,
    likeness,
    places,
)
from napari_dilatedloc.psf.verdict import Retrieval
from napari_dilatedloc.psf.widths import spot_widths

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

Array = NDArray[np.float64]
PLANES = 9


def report_figure(
    calibration: Calibration,
    retrieval: Retrieval | None,
    bounds: dict[str, Crlb],
    photons: float,
    bg: float,
) -> Figure:
    """All panels on one page.

    Parameters
    ----------
    calibration : Calibration
        What to show.
    retrieval : Retrieval, optional
        Fitted vectorial model: its images and Zernike coefficients are shown too.
    bounds : dict of str to Crlb
        CRLB(z) by name of the model.
    photons, bg : float
        What `bounds` was computed for.
    """
    from matplotlib.figure import Figure  # slow to import, and seldom needed

    blocks = [_bead_block(calibration)]
    if retrieval is not None:
        blocks.append(_retrieval_block(retrieval))
    heights = [5.2] * len(blocks) + [4.2, 4.9]
    figure = Figure(figsize=(15, sum(heights)), dpi=100, layout="constrained")
    parts = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, (title, images) in zip(parts, blocks, strict=False):
        _through_z(part, title, images, calibration.psf.config.pixel_size_nm)
    curves = parts[-2].subplots(1, 3)
    _widths(curves[0], calibration, retrieval)
    _bounds(curves[1], bounds, photons, bg)
    _light(curves[2], calibration)
    beads = parts[-1].subplots(1, 3)
    places(beads[0], calibration)
    likeness(beads[1], calibration)
    if retrieval is not None:
        _zernike(beads[2], retrieval)
    else:
        drift(beads[2], calibration)
    return figure


Block = tuple[str, list[tuple[str, Array, Array]]]
"""A title, and for each row its label, z in nm (Z,) and images (Z, R, R)."""


def _bead_block(calibration: Calibration) -> Block:
    """A typical kept bead as recorded, and the model where the bead is."""
    order = sorted(calibration.images, key=lambda seen: calibration.beads[seen.bead].correlation)
    seen = order[len(order) // 2]
    measured, modelled = bead_and_model(calibration, seen)
    low, high = calibration.z_range_nm
    inside = (seen.z_nm >= low - 1e-6) & (seen.z_nm <= high + 1e-6)
    z_nm = seen.z_nm[inside]
    return (
        f"Bead {seen.bead + 1} as recorded and the spline model at its place, z in nm",
        [
            (f"bead {seen.bead + 1}", z_nm, measured[inside]),
            ("spline model", z_nm, modelled[inside]),
        ],
    )


def bead_and_model(calibration: Calibration, seen: BeadImages) -> tuple[Array, Array]:
    """Images (K, R, R) of a kept bead without background, and of the model at its place, ADU."""
    bead = calibration.beads[seen.bead]
    offset = bead.y - round(bead.y), bead.x - round(bead.x)
    modelled = bead.photons * model_images(calibration.psf, seen.z_nm, *offset)
    return seen.images.astype(np.float64) - bead.bg, modelled


def _retrieval_block(retrieval: Retrieval) -> Block:
    return (
        "Measured spot and the fitted vectorial model, z in nm",
        [
            ("measured", retrieval.z_nm, np.asarray(retrieval.measured, dtype=np.float64)),
            ("vectorial", retrieval.z_nm, np.asarray(retrieval.modelled, dtype=np.float64)),
        ],
    )


def _through_z(
    part: SubFigure, title: str, rows: list[tuple[str, Array, Array]], pixel_size_nm: float
) -> None:
    """Measured, model and difference at planes over the whole range; one grey scale a plane."""
    (_, z_nm, measured), (_, _, modelled) = rows
    planes = np.unique(np.linspace(0, len(z_nm) - 1, PLANES).round().astype(int))
    axes = part.subplots(3, len(planes), squeeze=False)
    peaks = np.maximum(measured[planes].max(axis=(1, 2)), 1e-300)
    differ = (measured[planes] - modelled[planes]) / peaks[:, None, None]
    limit = max(0.05, float(np.ceil(20 * np.quantile(np.abs(differ), 0.999)) / 20))
    for column, plane in enumerate(planes):
        grey: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": peaks[column]}
        axes[0, column].imshow(measured[plane], **grey)
        axes[1, column].imshow(modelled[plane], **grey)
        shown = axes[2, column].imshow(differ[column], cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes[0, column].set_title(
            f"{z_nm[plane]:+.0f}" if abs(z_nm[plane]) >= 0.5 else "0", fontsize=11
        )
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    for row, name in enumerate((rows[0][0], rows[1][0], "difference")):
        axes[row, 0].set_ylabel(name, fontsize=11)
    _scale_bar(axes[0, 0], measured.shape[1], pixel_size_nm)
    bar = part.colorbar(shown, ax=axes[2, :].tolist(), shrink=0.9, pad=0.01)
    bar.set_label("of the plane's peak", fontsize=9)
    bar.set_ticks([-limit, 0, limit], labels=[f"-{limit:.0%}", "0", f"+{limit:.0%}"])
    part.suptitle(f"{title} (each plane from 0 to its measured peak)", fontsize=12)


def _scale_bar(axis: Any, side: int, pixel_size_nm: float) -> None:
    """Bar of half a micrometre or more, a fifth to half of the image."""
    lengths = [500.0, 1000.0, 2000.0, 5000.0]
    length = next((n for n in lengths if n >= 0.2 * side * pixel_size_nm), lengths[-1])
    end = side - 0.5 - 0.06 * side
    row = side - 0.5 - 0.08 * side
    axis.plot([end - length / pixel_size_nm, end], [row, row], color="white", lw=3)
    axis.text(
        end - length / pixel_size_nm / 2,
        row - 0.04 * side,
        f"{length / 1000:g} µm",
        color="white",
        ha="center",
        va="bottom",
        fontsize=9,
    )


def _widths(axis: Any, calibration: Calibration, retrieval: Retrieval | None) -> None:
    """Measured widths as points, of the models as lines."""
    pixel_size_nm = calibration.psf.config.pixel_size_nm
    measured = spot_widths(calibration.measured)
    modelled = spot_widths(calibration.modelled)
    fitted = spot_widths(np.asarray(retrieval.modelled)) if retrieval is not None else None
    every = max(1, len(calibration.z_nm) // 60)
    for index, (name, colour) in enumerate((("y", BLUE), ("x", ORANGE))):
        axis.plot(
            calibration.z_nm[::every],
            measured[index][::every] * pixel_size_nm,
            "o",
            ms=4,
            mfc="none",
            color=colour,
            label=f"$\\sigma_{name}$ measured",
        )
        axis.plot(
            calibration.z_nm,
            modelled[index] * pixel_size_nm,
            color=colour,
            label=f"$\\sigma_{name}$ spline",
        )
        if retrieval is not None and fitted is not None:
            axis.plot(
                retrieval.z_nm,
                fitted[index] * pixel_size_nm,
                "--",
                color=colour,
                label=f"$\\sigma_{name}$ vectorial",
            )
    frame(axis, "Spot width", "z (nm)", "width (nm, standard deviation)")
    axis.set_ylim(bottom=0)
    axis.legend(fontsize=9, ncols=2)


def _bounds(axis: Any, bounds: dict[str, Crlb], photons: float, bg: float) -> None:
    """CRLB of y, x and z; the second model dashed."""
    for (model, bound), style in zip(bounds.items(), ("-", "--"), strict=False):
        for name, values, colour in (
            ("y", bound.y_nm, BLUE),
            ("x", bound.x_nm, ORANGE),
            ("z", bound.z_sigma_nm, GREEN),
        ):
            label = f"{name} {model}" if len(bounds) > 1 else name
            axis.plot(bound.z_nm, values, style, color=colour, label=label)
    frame(
        axis,
        f"Best possible precision (CRLB), {photons:g} photons, {bg:g} per px",
        "z (nm)",
        "standard deviation (nm)",
    )
    values = np.concatenate([sigma for bound in bounds.values() for sigma in _sigmas(bound)])
    finite = values[np.isfinite(values)]
    axis.set_ylim(0, 1.2 * float(np.quantile(finite, 0.98)) if len(finite) else 1.0)
    axis.legend(fontsize=9, ncols=len(bounds))


def _sigmas(bound: Crlb) -> tuple[Array, Array, Array]:
    return bound.y_nm, bound.x_nm, bound.z_sigma_nm


def _light(axis: Any, calibration: Calibration) -> None:
    """Light in the ROI and residual, slice by slice."""
    z_nm = calibration.z_nm
    lines = axis.plot(
        z_nm, calibration.measured.sum(axis=(1, 2)), color=GREY, label="light in the ROI"
    )
    frame(axis, "Brightness and residual", "z (nm)", "light in the ROI (1 near z = 0)")
    axis.set_ylim(0, 1.35 * float(calibration.measured.sum(axis=(1, 2)).max()))
    right = axis.twinx()
    lines += right.plot(
        z_nm, 100 * calibration.slice_residual, color=RED, label="beads minus average (rms)"
    )
    right.set_ylabel("residual (% of the peak)", color=RED)
    right.tick_params(axis="y", labelcolor=RED)
    top = 100 * np.nanmax(np.append(calibration.slice_residual, 0.0))
    right.set_ylim(0, max(1.0, 2 * float(top)))
    axis.legend(handles=lines, fontsize=9, loc="upper right", ncols=2)


def _zernike(axis: Any, retrieval: Retrieval) -> None:
    """Coefficients with error bars of one standard deviation."""
    modes = retrieval.psf.config.zernike_nm
    places = np.arange(len(modes))
    values = [value for _, _, value in modes]
    axis.bar(places, values, color=BLUE, yerr=retrieval.zernike_sigma_nm, capsize=3, ecolor="k")
    axis.set_xticks(places, [f"{n},{m}" for n, m, _ in modes], rotation=90, fontsize=9)
    axis.axhline(0, color="k", lw=0.8)
    total = float(np.sqrt(np.sum(np.square(values))))
    frame(
        axis,
        f"Aberrations, {total:.0f} nm rms in all",
        "Zernike mode n,m",
        "coefficient (nm rms)",
    )
