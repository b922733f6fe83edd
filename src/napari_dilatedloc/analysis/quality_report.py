"""The quality report of a table: a page for people, a picture for talks, numbers for programs."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from napari_dilatedloc.analysis.quality import Quality
from napari_dilatedloc.files import replacing
from napari_dilatedloc.table import Localizations, TableInfo

_STYLE = """
body{font-family:system-ui,sans-serif;max-width:1600px;margin:1.5em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;font-size:.92em}td,th{padding:.25em .7em;text-align:left;
border-bottom:1px solid #ddd}td.number{text-align:right}img{width:100%}
.badge{color:#fff;border-radius:4px;padding:.1em .5em;font-size:.85em;display:inline-block;
min-width:5.5em;text-align:center}li{list-style:none;margin:.4em 0}ul{padding:0}
"""

_NAMES = {
    "photons": ("photons", ""),
    "bg": ("background a pixel", ""),
    "prob": ("probability", ""),
    "z_nm": ("z", "nm"),
    "sigma_lateral_nm": ("predicted lateral precision", "nm"),
    "sigma_z_nm": ("predicted axial precision", "nm"),
}


def write_quality(
    folder_or_path: str | Path, found: Quality, table: Localizations, info: TableInfo
) -> list[Path]:
    """Write the report.

    Parameters
    ----------
    folder_or_path : str or Path
        A folder, which is made if missing and gets ``report.html``, ``report.png`` and
        ``report.json``; or a path ending in ``.html``, whose name all three get.
    found : Quality
        Result of `quality.quality`.
    table, info : Localizations, TableInfo
        What it was found of, for the image.

    Returns
    -------
    list of Path
        The page (it holds the picture), the picture and the numbers.
    """
    from napari_dilatedloc.analysis.quality_figure import quality_figure

    target = Path(folder_or_path)
    if target.suffix.lower() == ".html":
        folder, stem = target.parent, target.stem
    else:
        folder, stem = target, "report"
        folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    quality_figure(found, table, info).savefig(buffer, format="png")
    picture = buffer.getvalue()
    files = {
        folder / f"{stem}.html": _page(found, picture).encode(),
        folder / f"{stem}.png": picture,
        folder / f"{stem}.json": json.dumps(found.to_dict(), indent=1, allow_nan=False).encode(),
    }
    for path, content in files.items():
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    return list(files)


def _page(found: Quality, picture: bytes) -> str:
    image = base64.b64encode(picture).decode("ascii")
    return (
        "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>Quality of localizations</title><style>{_STYLE}</style></head><body>"
        f"<h1>Quality of localizations</h1><p>{_summary(found)}</p>"
        f"<ul>{_warnings(found)}</ul>"
        f"<img alt='Image, resolution, precision, photons' src='data:image/png;base64,{image}'>"
        f"<h2>Distributions</h2>{_distributions(found)}{_recipe(found)}</body></html>\n"
    )


def _summary(found: Quality) -> str:
    parts = [
        f"{found.localizations:,} localizations in {found.frames:,} frames; "
        f"camera pixel {found.pixel_size_nm:g} nm"
    ]
    if found.frc is not None:
        side_um = found.frc.side_nm / 1e3
        parts.append(
            f"ring correlation over {side_um:.1f} µm with {found.frc.used:,} localizations"
        )
    shift = found.shift
    if shift is not None:
        parts.append(
            f"second half of the movie beside the first by y {shift.y_nm:+.1f} ± "
            f"{shift.noise_y_nm:.1f} nm, x {shift.x_nm:+.1f} ± {shift.noise_x_nm:.1f} nm"
        )
    return "; ".join(parts) + "."


def _warnings(found: Quality) -> str:
    if not found.warnings:
        return "<li><span class='badge' style='background:#1a7f37'>ok</span> nothing odd</li>"
    badge = "<span class='badge' style='background:#9a6700'>warning</span>"
    return "".join(f"<li>{badge} {escape(sentence)}</li>" for sentence in found.warnings)


def _distributions(found: Quality) -> str:
    rows = []
    for name, one in found.distributions.items():
        said, unit = _NAMES[name]
        cells = "".join(f"<td class='number'>{v:.4g}</td>" for v in (one.median, one.low, one.high))
        rows.append(f"<tr><td>{said}</td>{cells}<td>{unit}</td></tr>")
    head = "<tr><th></th><th>median</th><th>5%</th><th>95%</th><th></th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _recipe(found: Quality) -> str:
    if not found.recipe:
        return ""
    rows = "".join(
        f"<tr><td>{escape(step.name)}</td><td>{escape(_settings(step.settings))}</td>"
        f"<td class='number'>{step.rows:,}</td></tr>"
        for step in found.recipe
    )
    head = "<tr><th>step</th><th>settings</th><th>rows afterwards</th></tr>"
    return f"<h2>What was done to the table</h2><table>{head}{rows}</table>"


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in settings.items())
