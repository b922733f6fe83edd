"""Check what `make demo` wrote: `check_demo.py [FOLDER]` exits with 1 at the first fault."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import tifffile

from napari_dilatedloc.io.tables import read_table

MIN_JACCARD = 0.8
MAX_LATERAL_NM = 60.0
MAX_AXIAL_NM = 120.0


def require(ok: object, message: str) -> None:
    """End the program with a message unless `ok`."""
    if not ok:
        sys.exit(f"demo check failed: {message}")


def check_report(path: Path) -> int:
    """Figures of the report lie within their bounds; returns the number of localizations."""
    report = json.loads(path.read_text(encoding="utf-8"))
    bounds = {
        "localizations": (1, math.inf),
        "jaccard": (MIN_JACCARD, 1.0),
        "rmse_lateral_nm": (0.0, MAX_LATERAL_NM),
        "rmse_axial_nm": (0.0, MAX_AXIAL_NM),
        "frames_per_second": (1e-9, math.inf),
    }
    for name, (low, high) in bounds.items():
        require(name in report, f"{path.name} lacks {name}, has {sorted(report)}")
        value = report[name]
        require(
            isinstance(value, int | float) and low <= value <= high,
            f"{name} must lie in {low:g} ... {high:g}, got {value!r}",
        )
    return int(report["localizations"])


def check_tables(folder: Path, rows: int) -> None:
    """Both tables hold the reported number of rows and agree on positions."""
    require((folder / "localizations.yaml").stat().st_size > 0, "localizations.yaml is empty")
    picasso, info = read_table(folder / "localizations.hdf5")
    require(info.pixel_size_nm > 0, "localizations.yaml has no pixel size")
    # A CSV does not know its pixel size; with the right one both tables hold the same positions.
    thunderstorm, _ = read_table(folder / "localizations.csv", pixel_size_nm=info.pixel_size_nm)
    for name, table in (("hdf5", picasso), ("csv", thunderstorm)):
        require(len(table) == rows, f"the {name} has {len(table)} rows, the report says {rows}")
    for name, within in (("frame", 0), ("x", 0.01), ("y", 0.01), ("z_nm", 1.0)):
        values = (np.sort(getattr(table, name)) for table in (picasso, thunderstorm))
        apart = np.abs(np.subtract(*values)).max()
        require(apart <= within, f"CSV and HDF5 differ by {apart:g} in {name}")


def check_images(folder: Path) -> None:
    """Require content and a pixel size in the TIFF, and that the PNG is one."""
    with tifffile.TiffFile(folder / "super_resolution.tif") as tif:
        image = tif.asarray()
        page = tif.pages.first
        unit = (tif.imagej_metadata or {}).get("unit")
        resolution = page.tags.get("XResolution")
        require(resolution is not None, "super_resolution.tif has no XResolution")
        pixels, length = resolution.value
    nm = {"nm": 1.0, "um": 1e3, "µm": 1e3, "\\u00B5m": 1e3, "micron": 1e3}.get(str(unit))
    require(nm is not None, f"super_resolution.tif has the unit {unit!r}, not nm or um")
    pixel_size_nm = length / pixels * (nm or 0.0)
    require(0.5 <= pixel_size_nm <= 100, f"super_resolution.tif has pixels of {pixel_size_nm} nm")
    require(np.isfinite(image).all() and image.max() > 0, "super_resolution.tif is empty")
    head = (folder / "super_resolution.png").read_bytes()[:8]
    require(head == b"\x89PNG\r\n\x1a\n", "super_resolution.png is not a PNG")


def main() -> None:
    """Check one output folder of the demo."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo-out")
    names = ("report.json", "localizations.csv", "localizations.hdf5", "localizations.yaml")
    for name in (*names, "super_resolution.tif", "super_resolution.png"):
        require((folder / name).is_file(), f"{folder / name} is missing")
    rows = check_report(folder / "report.json")
    check_tables(folder, rows)
    check_images(folder)
    sys.stdout.write(f"demo check passed: {folder}, {rows} localizations\n")


if __name__ == "__main__":
    main()
