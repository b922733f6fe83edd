"""Rendering beside Picasso's on the same table; not part of the test suite.

Run it in an environment of its own, that has Picasso, with this project's source on the path::

    python -m venv peers
    peers/bin/pip install picassosr
    PYTHONPATH=src peers/bin/python tests/oracles/compare_render.py

Both draw the same table in turn, so that what else the machine does meets both alike; process CPU
time counts, the first turn (compilation by numba) does not. Picasso cuts Gaussians at 3 standard
deviations and samples them at pixel centres, ours are integrated over pixels: images are compared
by their correlation.
"""

import argparse
import time
from statistics import median

import numpy as np
import pandas as pd
from picasso.render import render as picasso_render

from napari_dilatedloc import render
from napari_dilatedloc.table import Localizations

PIXEL_NM = 100.0
PRECISION_NM = 12.0


def make_table(rows, side, seed=0):
    """Localizations all over a field; precisions are spread log-normally about 12 nm."""
    rng = np.random.default_rng(seed)
    sigma = rng.lognormal(np.log(PRECISION_NM / PIXEL_NM), 0.4, rows).astype(np.float32)
    return Localizations.from_columns(
        frame=np.arange(rows),
        y=rng.uniform(0, side - 1, rows),
        x=rng.uniform(0, side - 1, rows),
        sigma_y=sigma * rng.uniform(0.8, 1.25, rows),
        sigma_x=sigma,
    )


def main():
    """Print CPU seconds of both, their ratio and the correlation of the images."""
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--field-um", type=float, default=50.0)
    options.add_argument("--pixel-nm", type=float, default=10.0)
    options.add_argument("--repeats", type=int, default=5)
    asked = options.parse_args()
    side = round(asked.field_um * 1e3 / PIXEL_NM)
    table = make_table(asked.rows, side)
    # Picasso counts from the border of the first pixel as it draws
    locs = pd.DataFrame(
        {
            "frame": table.frame,
            "x": table.x + np.float32(0.5),
            "y": table.y + np.float32(0.5),
            "lpx": table.sigma_x,
            "lpy": table.sigma_y,
        }
    )
    info = [{"Width": side, "Height": side, "Frames": 1, "Pixelsize": PIXEL_NM}]
    scale = PIXEL_NM / asked.pixel_nm
    works = {
        "histogram": (None, lambda: render.histogram(table, (side, side), scale)),
        "gaussian": (
            "gaussian_iso",
            lambda: render.gaussian(table, (side, side), scale, isotropic=True),
        ),
        "gaussian-xy": ("gaussian", lambda: render.gaussian(table, (side, side), scale)),
    }
    for name, (blur, ours) in works.items():

        def theirs(blur=blur):
            return picasso_render(locs, info, disp_px_size=asked.pixel_nm, blur_method=blur)[1]

        likeness = np.corrcoef(ours().ravel(), theirs().ravel())[0, 1]
        seconds = {"ours": [], "Picasso": []}
        for _ in range(asked.repeats):
            for who, work in (("ours", ours), ("Picasso", theirs)):
                start = time.process_time()
                work()
                seconds[who].append(time.process_time() - start)
        ours_s, theirs_s = median(seconds["ours"]), median(seconds["Picasso"])
        print(
            f"{name:>12}  ours {ours_s:.3f} s, Picasso {theirs_s:.3f} s CPU, "
            f"Picasso / ours {theirs_s / ours_s:.2f}, correlation {likeness:.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
