"""Drift correction beside Picasso's and COMET's on the same tables; not part of the test suite.

Run it in an environment of its own, that has Picasso (and, if wanted, COMET), with this project's
source on the path::

    python -m venv peers
    peers/bin/pip install picassosr comet-smlm pyarrow pydantic pyyaml
    PYTHONPATH=src peers/bin/python tests/oracles/compare_drift.py --repeats 5

Each method corrects the same table again and again in turn, so that what else the machine does
meets all alike; process CPU time counts, the first turn (compilation by numba) does not.
"""

import argparse
import importlib.util
import time
from statistics import median

import numpy as np
import pandas as pd
from picasso import aim as picasso_aim
from picasso import postprocess

from napari_dilatedloc.analysis.drift.estimate import estimate_drift
from napari_dilatedloc.analysis.drift.result import Drift
from napari_dilatedloc.benchmark.drift import residual_nm, simulate_drift
from napari_dilatedloc.config.drift import DriftConfig


def picasso_table(sample):
    """The table and its metadata as Picasso holds them; it takes z in nm."""
    table, info = sample.table, sample.info
    locs = pd.DataFrame(
        {
            "frame": table.frame,
            "x": table.x,
            "y": table.y,
            "photons": table.photons,
            "sx": np.ones_like(table.x),
            "sy": np.ones_like(table.x),
            "bg": table.bg,
            "lpx": table.sigma_x,
            "lpy": table.sigma_y,
            "z": table.z_nm,
        }
    )
    height, width = info.shape
    meta = {"Frames": info.n_frames, "Width": width, "Height": height}
    return locs, [{**meta, "Pixelsize": info.pixel_size_nm}]


def by_picasso(sample, method, segmentation):
    """Drift as Picasso finds it; its RCC does x and y only."""
    locs, meta = picasso_table(sample)
    size = sample.info.pixel_size_nm
    if method == "aim":
        _, _, drift = picasso_aim.aim(
            locs, meta, segmentation, intersect_d=20 / size, roi_r=60 / size
        )
    else:
        drift, _ = postprocess.undrift(locs, meta, segmentation, display=False)
    z = drift["z"] if "z" in drift else np.zeros(len(drift))
    return Drift(drift["x"].to_numpy(), drift["y"].to_numpy(), np.asarray(z), f"picasso {method}")


def ours(method):
    """Our drift, default settings."""
    return lambda sample: estimate_drift(sample.table, sample.info, DriftConfig(method=method))


def main():
    """Print residuals and times of every method."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--localizations", type=int, default=100_000)
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--size-px", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[], help="names of methods, such as 'aim'")
    options = parser.parse_args()
    methods = {
        "aim": ours("aim"),
        "picasso aim 100": lambda sample: by_picasso(sample, "aim", 100),
        "picasso aim 50": lambda sample: by_picasso(sample, "aim", 50),
        "rcc": ours("rcc"),
        "picasso rcc 250": lambda sample: by_picasso(sample, "rcc", 250),
    }
    if importlib.util.find_spec("comet"):
        methods["comet"] = ours("comet")
    methods = {name: work for name, work in methods.items() if name in (options.only or methods)}
    for seed in range(options.seeds):
        sample = simulate_drift(
            options.localizations, options.frames, seed=seed, size_px=options.size_px
        )
        times = {name: [] for name in methods}
        for turn in range(options.repeats + 1):
            for name, work in methods.items():
                start = time.process_time()
                found = work(sample)
                times[name].append(time.process_time() - start)
                if turn == 0:
                    left = residual_nm(found, sample)
                    text = ", ".join(f"{axis} {value:.2f}" for axis, value in left.items())
                    print(f"seed {seed}  {name:<16} residual rms in nm: {text}", flush=True)
        least = median(times["aim"][1:]) if "aim" in times else 1.0
        for name, taken in times.items():
            print(
                f"seed {seed}  {name:<16} {median(taken[1:]):8.2f} s of CPU, "
                f"{median(taken[1:]) / least:6.1f} times aim",
                flush=True,
            )


if __name__ == "__main__":
    main()
