"""The report of a calibration: a page for people, a picture for talks, numbers for programs."""

from __future__ import annotations

import base64
import io
import json
import math
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dilatedloc.config import PixelNoise
from napari_dilatedloc.files import replacing
from napari_dilatedloc.psf.beads import Bead
from napari_dilatedloc.psf.calibration import Calibration
from napari_dilatedloc.psf.crlb import Crlb, crlb
from napari_dilatedloc.psf.verdicts import Retrieval, Verdict, judge
from napari_dilatedloc.psf.widths import spot_widths

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Z_POINTS = 41
_COLOURS = {"ok": "#1a7f37", "warning": "#9a6700", "problem": "#c1272d"}
_STYLE = """
body{font-family:system-ui,sans-serif;max-width:1500px;margin:1.5em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;font-size:.92em}td,th{padding:.25em .7em;text-align:right;
border-bottom:1px solid #ddd}td.text,th.text{text-align:left}img{width:100%}
.badge{color:#fff;border-radius:4px;padding:.1em .5em;font-size:.85em;display:inline-block;
min-width:5.5em;text-align:center}
li{list-style:none;margin:.4em 0}ul{padding:0}.no{color:#c1272d}
"""


def write_report(
    folder_or_path: str | Path,
    calibration: Calibration,
    *,
    retrieval: Retrieval | None = None,
    photons: float = 5000.0,
    bg: float = 50.0,
    noise: PixelNoise | None = None,
) -> list[Path]:
    """Write the report.

    Parameters
    ----------
    folder_or_path : str or Path
        A folder, which is made if missing and gets ``report.html``, ``report.png`` and
        ``report.json``; or a path ending in ``.html`` or ``.png``, whose name all three get.
    calibration : Calibration
        Result of `calibrate.calibrate_beads`.
    retrieval : Retrieval, optional
        Vectorial model fitted to the same beads.
    photons, bg : float
        For the CRLB: photons of an emitter, background in photons per pixel.
    noise : PixelNoise, optional
        For the CRLB: noise of the camera; default: shot noise alone.

    Returns
    -------
    list of Path
        The page (it holds the picture), the picture and the numbers.
    """
    target = Path(folder_or_path)
    if target.suffix.lower() in (".html", ".png"):
        folder, stem = target.parent, target.stem
    else:
        folder, stem = target, "report"
        folder.mkdir(parents=True, exist_ok=True)
    verdicts = judge(calibration, retrieval=retrieval)
    bounds = _bounds(calibration, retrieval, photons, bg, noise or PixelNoise())
    from napari_dilatedloc.psf.report_figure import report_figure

    picture = _png(report_figure(calibration, retrieval, bounds, photons, bg))
    numbers = report_numbers(calibration, verdicts, bounds, retrieval, photons, bg)
    files = {
        folder / f"{stem}.html": _page(calibration, verdicts, retrieval, picture).encode(),
        folder / f"{stem}.png": picture,
        folder / f"{stem}.json": json.dumps(numbers, indent=1, allow_nan=False).encode(),
    }
    for path, content in files.items():
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    return list(files)


def report_numbers(
    calibration: Calibration,
    verdicts: tuple[Verdict, ...],
    bounds: dict[str, Crlb],
    retrieval: Retrieval | None,
    photons: float,
    bg: float,
) -> dict[str, Any]:
    """All numbers of a report as plain values; what is not finite is None."""
    config = calibration.psf.config
    names = ("measured_y", "measured_x", "modelled_y", "modelled_x")
    widths = [*spot_widths(calibration.measured)[:2], *spot_widths(calibration.modelled)[:2]]
    numbers: dict[str, Any] = {
        "verdicts": [vars(verdict) for verdict in verdicts],
        "pixel_size_nm": config.pixel_size_nm,
        "roi_size": config.roi_size,
        "z_step_nm": calibration.z_step_nm,
        "z_range_nm": list(calibration.z_range_nm),
        "slices": calibration.n_slices,
        "z_direction": "down" if calibration.falling else "up",
        "residual": calibration.residual,
        "beads_used": len(calibration.kept),
        "beads": [{"number": i, **vars(b)} for i, b in enumerate(calibration.beads, start=1)],
        "z_nm": calibration.z_nm.tolist(),
        "slice_residual": calibration.slice_residual.tolist(),
        "light": calibration.measured.sum(axis=(1, 2)).tolist(),
        "width_nm": {
            name: (config.pixel_size_nm * width).tolist()
            for name, width in zip(names, widths, strict=True)
        },
        "crlb": {
            "photons": photons,
            "bg": bg,
            **{model: bound.to_dict() for model, bound in bounds.items()},
        },
    }
    if retrieval is not None:
        numbers["retrieval"] = {
            "zernike": [
                {"n": n, "m": m, "nm_rms": value, "sigma_nm": sigma}
                for (n, m, value), sigma in zip(
                    retrieval.psf.config.zernike_nm, retrieval.zernike_sigma_nm, strict=True
                )
            ],
            "residual": retrieval.residual,
            "z_offset_nm": retrieval.z_offset_nm,
            "z_scale": retrieval.z_scale,
            "z_scale_sigma": retrieval.z_scale_sigma,
            "drift_y_nm": retrieval.drift_nm[0],
            "drift_x_nm": retrieval.drift_nm[1],
        }
    plain: dict[str, Any] = _plain(numbers)
    return plain


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value


def _bounds(
    calibration: Calibration,
    retrieval: Retrieval | None,
    photons: float,
    bg: float,
    noise: PixelNoise,
) -> dict[str, Crlb]:
    """CRLB over the z range, by name of the model."""
    z_nm = np.linspace(*calibration.z_range_nm, Z_POINTS)
    bounds = {"spline": crlb(calibration.psf, z_nm, photons, bg, noise)}
    if retrieval is not None:
        fitted = crlb(retrieval.psf, z_nm + retrieval.z_offset_nm, photons, bg, noise)
        bounds["vectorial"] = replace(fitted, z_nm=z_nm)  # both as the calibration counts z
    return bounds


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _page(
    calibration: Calibration,
    verdicts: tuple[Verdict, ...],
    retrieval: Retrieval | None,
    picture: bytes,
) -> str:
    image = base64.b64encode(picture).decode("ascii")
    return (
        "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>PSF calibration</title><style>{_STYLE}</style></head><body>"
        f"<h1>PSF calibration</h1><p>{_summary(calibration)}</p>"
        f"<h2>Verdicts</h2><ul>{''.join(_verdict(verdict) for verdict in verdicts)}</ul>"
        f"<img alt='Spots through z, widths, precision, beads' "
        f"src='data:image/png;base64,{image}'>"
        f"<h2>Beads</h2>{_bead_table(calibration.beads)}"
        f"{_zernike_table(retrieval) if retrieval is not None else ''}"
        "</body></html>\n"
    )


def _summary(calibration: Calibration) -> str:
    config = calibration.psf.config
    low, high = calibration.z_range_nm
    return (
        f"{len(calibration.kept)} of {len(calibration.beads)} beads used; ROI {config.roi_size} px "
        f"of {config.pixel_size_nm:g} nm; {calibration.n_slices} slices {calibration.z_step_nm:g} "
        f"nm apart; model from z = {low:.0f} to {high:.0f} nm; beads differ from their average by "
        f"{calibration.residual:.2%} of the peak (rms)."
    )


def _verdict(verdict: Verdict) -> str:
    colour = _COLOURS[verdict.level] if verdict.checked else "#666"
    word = verdict.level if verdict.checked else "not checked"
    return (
        f"<li><span class='badge' style='background:{colour}'>{word}</span> "
        f"<b>{escape(verdict.topic)}</b>: {escape(verdict.sentence)}</li>"
    )


def _bead_table(beads: tuple[Bead, ...]) -> str:
    head: tuple[str, ...] = (
        "bead",
        "stack",
        "y (px)",
        "x (px)",
        "z (nm)",
        "correlation",
        "light (ADU)",
    )
    head += ("light (ADU)", "background (ADU)", "peak / noise", "relative width")
    head += ("drift y (nm)", "drift x (nm)", "fading", "residual")
    rows = []
    for number, bead in enumerate(beads, start=1):
        cells = [
            str(number),
            str(bead.stack + 1),
            *(_number(value, 2) for value in (bead.y, bead.x)),
            _number(bead.z_nm, 0),
            _number(bead.correlation, 4),
            *(_number(value, 0) for value in (bead.photons, bead.bg, bead.snr)),
            _number(bead.size, 3),
            *(_number(value, 0) for value in (bead.drift_y_nm, bead.drift_x_nm)),
            _number(100 * bead.fading, 1, "%"),
            _number(100 * bead.residual, 2, "%"),
        ]
        verdict = "used" if bead.kept else f"rejected: {escape(bead.reason)}"
        style = "text" if bead.kept else "text no"
        rows.append(
            f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}<td class='{style}'>{verdict}</td>"
        )
    heads = "".join(f"<th>{name}</th>" for name in head)
    return f"<table><tr>{heads}<th class='text'>use</th></tr>{'</tr>'.join(rows)}</tr></table>"


def _zernike_table(retrieval: Retrieval) -> str:
    rows = "".join(
        f"<tr><td>{n}</td><td>{m}</td><td>{value:.1f}</td><td>{sigma:.1f}</td></tr>"
        for (n, m, value), sigma in zip(
            retrieval.psf.config.zernike_nm, retrieval.zernike_sigma_nm, strict=True
        )
    )
    return (
        "<h2>Aberrations</h2><table><tr><th>n</th><th>m</th><th>nm rms (Noll)</th>"
        f"<th>standard deviation (nm)</th></tr>{rows}</table>"
    )


def _number(value: float, digits: int, unit: str = "") -> str:
    return f"{value:.{digits}f}{unit}" if math.isfinite(value) else "–"
