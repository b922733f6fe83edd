"""Drift as a CSV with its units in the header: ``frame,dx_nm,dy_nm,dz_nm``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_dilatedloc.analysis.drift.result import Drift
from napari_dilatedloc.files import replacing

HEADER = "frame,dx_nm,dy_nm,dz_nm"


def save_drift(path: str | Path, drift: Drift, pixel_size_nm: float) -> None:
    """Write one line a frame, from 0; the file appears whole or not at all.

    Parameters
    ----------
    path : str or Path
        CSV.
    drift : Drift
        What to write.
    pixel_size_nm : float
        Camera pixel, since the file is in nm.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "drift.csv"
    >>> save_drift(path, Drift([0, 0.1], [0, -0.2], [0, 30], "aim"), pixel_size_nm=100)
    >>> print(path.read_text().splitlines()[2])
    1,10.0000,-20.0000,30.0000
    >>> load_drift(path, pixel_size_nm=100).x.tolist()
    [0.0, 0.1]
    """
    rows = np.column_stack([np.arange(len(drift)), drift.to_nm(pixel_size_nm)])
    with replacing(path) as temporary:
        np.savetxt(
            temporary, rows, ["%d"] + ["%.4f"] * 3, delimiter=",", header=HEADER, comments=""
        )


def load_drift(path: str | Path, pixel_size_nm: float) -> Drift:
    """Read what `save_drift` wrote; its method is ``"file"``.

    Raises
    ------
    ValueError
        One sentence: no such file, another header, no numbers, frames that are missing.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"no such file: {path}; check the path")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    header = lines[0].strip().lower() if lines else ""
    if header != HEADER:
        raise ValueError(
            f"{path.name} must begin with {HEADER!r}, got {header[:60]!r}; take a file that "
            "drift correction wrote"
        )
    try:
        rows = np.array([[float(part) for part in line.split(",")] for line in lines[1:] if line])
        rows = rows.reshape(-1, 4)
    except ValueError as error:
        raise ValueError(
            f"{path.name} must have four numbers a line ({error}); take an undamaged file"
        ) from error
    if not np.array_equal(rows[:, 0], np.arange(len(rows))):
        raise ValueError(
            f"{path.name} must have every frame from 0 on, in order; it has {len(rows)} lines and "
            "some are missing or double"
        )
    return Drift.from_nm(rows[:, 1:], pixel_size_nm, "file", {"file": path.name})
