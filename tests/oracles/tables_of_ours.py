"""Write tables for Picasso and Locan, and read what they wrote; `check_tables.sh` runs it."""

import sys
from pathlib import Path

import numpy as np

from napari_dilatedloc.io.tables import read_table, write_table
from napari_dilatedloc.table import Localizations, TableInfo

SIZE = 108.0
INFO = TableInfo(SIZE, shape=(64, 80), n_frames=500).after("filter", {"where": "x > 0"}, 200)


def table():
    """200 localizations, the same every time."""
    rng = np.random.default_rng(7)
    n = 200
    frame = np.sort(rng.integers(0, 500, n))
    frame[0] = 0  # it is by a frame 0 that we know Picasso's ThunderSTORM export from a true one
    return Localizations(
        frame=frame,
        x=rng.uniform(1, 78, n),
        y=rng.uniform(1, 62, n),
        z_nm=rng.uniform(-500, 500, n),
        photons=rng.uniform(500, 5000, n),
        bg=rng.uniform(5, 50, n),
        prob=rng.uniform(0.5, 1, n),
        sigma_x=rng.uniform(0.05, 0.2, n),
        sigma_y=rng.uniform(0.05, 0.2, n),
        sigma_z_nm=rng.uniform(10, 60, n),
        sigma_photons=rng.uniform(10, 60, n),
        # Picasso's import of ThunderSTORM's tables asks for widths
        extra={
            "group": rng.integers(0, 9, n).astype(np.int32),
            "sigma1 [nm]": rng.uniform(100, 200, n),
            "sigma2 [nm]": rng.uniform(100, 200, n),
        },
    )


def write(folder):
    """Tables of ours in every format that the others read."""
    for name, kind in {
        "ours.hdf5": "picasso",
        "ours.csv": "thunderstorm",
        "ours_sml.mat": "smap",
        "ours_decode.h5": "decode",
    }.items():
        write_table(folder / name, table(), INFO, kind=kind)
    np.savez(
        folder / "truth.npz",
        size=SIZE,
        **{name: getattr(table(), name) for name in Localizations.column_names()},
        group=table().extra["group"],
    )


def read(folder):
    """What Picasso wrote of our table."""
    truth = table()
    added = {"theirs.csv": 0.5, "theirs_sml.mat": 1.0}  # px, which Picasso does not add
    for name in ("theirs.hdf5", "theirs.csv", "theirs_sml.mat"):
        found, info = read_table(folder / name, pixel_size_nm=SIZE)
        shift = added.get(name, 0.0)
        dx = float(np.median(found.x + shift - truth.x))
        worst = float(np.abs(found.x + shift - truth.x).max())
        np.testing.assert_allclose(found.x + shift, truth.x, atol=2e-4, err_msg=name)
        np.testing.assert_allclose(found.y + shift, truth.y, atol=2e-4, err_msg=name)
        np.testing.assert_array_equal(found.frame, truth.frame, err_msg=name)
        np.testing.assert_allclose(found.z_nm, truth.z_nm, atol=1e-3, err_msg=name)
        say = f"we read Picasso's {name}: {len(found)} rows, x {dx:+.1e} px, worst {worst:.1e} px"
        sys.stdout.write(f"{say}, extra {', '.join(found.extra)}, {info.shape}\n")


if __name__ == "__main__":
    {"write": write, "read": read}[sys.argv[1]](Path(sys.argv[2]))
