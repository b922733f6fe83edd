"""Linking beside Picasso's on the same tables; not part of the test suite.

Run it in an environment of its own, that has Picasso, with this project's source on the path::

    python -m venv peers
    peers/bin/pip install picassosr
    PYTHONPATH=src peers/bin/python tests/oracles/compare_link.py

Both link the same table with the same distance and dark frames in turn, so that what else the
machine does meets both alike; process CPU time counts, the first turn (compilation by numba) does
not. The rules differ: ours takes the closest pairs first.
"""

import argparse
import time
from statistics import median

import numpy as np
import pandas as pd
from picasso.postprocess import link as picasso_link

from napari_dilatedloc.analysis.linking import link
from napari_dilatedloc.config.linking import LinkingConfig
from napari_dilatedloc.table import Localizations, TableInfo

PIXEL_NM = 100.0


def blinking(rows, frames, side, seed=0):
    """Molecules that shine once, for 5 frames on average, of which one in ten is missed."""
    rng = np.random.default_rng(seed)
    on = rng.geometric(1 / 5, int(rows / 4.5))
    molecule = np.repeat(np.arange(len(on)), on)
    since = np.arange(len(molecule)) - np.repeat(np.cumsum(on) - on, on)
    frame = since + rng.integers(0, frames, len(on))[molecule]
    y, x = rng.uniform(0, side, (2, len(on)))[:, molecule]
    sigma = rng.uniform(6, 18, len(molecule)) / PIXEL_NM
    table = Localizations.from_columns(
        frame=frame,
        y=y + rng.normal(size=len(frame)) * sigma,
        x=x + rng.normal(size=len(frame)) * sigma,
        photons=rng.exponential(1000, len(frame)),
        bg=np.full(len(frame), 10.0),
        sigma_y=sigma,
        sigma_x=sigma,
    )
    found = rng.random(len(frame)) > 0.1
    return table[found].sorted_by_frame(), len(np.unique(molecule[found]))


def by_picasso(table, distance_px, dark_frames, info):
    """Rows linked by Picasso; it wants widths of spots too."""
    columns = {name: getattr(table, name) for name in ("frame", "x", "y", "photons", "bg")}
    columns |= {"sx": np.ones_like(table.x), "sy": np.ones_like(table.x)}
    columns |= {"lpx": table.sigma_x, "lpy": table.sigma_y}
    return picasso_link(
        pd.DataFrame(columns),
        info,
        r_max=distance_px,
        max_dark_time=dark_frames,
        remove_ambiguous_lengths=False,
    )


def shared(ours, theirs):
    """Share of Picasso's rows that we have with the same first frame, photons and count."""
    one = pd.DataFrame(
        {"frame": ours.frame, "n": ours.extra["linked"], "photons": ours.photons.round()}
    )
    other = pd.DataFrame(
        {"frame": theirs["frame"], "n": theirs["n"], "photons": theirs["photons"].round()}
    )
    return len(one.merge(other.astype(one.dtypes))) / len(other)


def main():
    """Print rows, photons and CPU seconds of both."""
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--frames", type=int, nargs="*", default=[20_000, 2000])
    options.add_argument("--field-um", type=float, default=50.0)
    options.add_argument("--distance-nm", type=float, default=60.0)
    options.add_argument("--dark-frames", type=int, default=1)
    options.add_argument("--repeats", type=int, default=3)
    asked = options.parse_args()
    side = round(asked.field_um * 1e3 / PIXEL_NM)
    config = LinkingConfig(distance_nm=asked.distance_nm, dark_frames=asked.dark_frames)
    for frames in asked.frames:
        table, molecules = blinking(asked.rows, frames, side)
        info = TableInfo(PIXEL_NM, (side, side), frames + 200)
        meta = [{"Width": side, "Height": side, "Frames": frames + 200, "Pixelsize": PIXEL_NM}]
        distance = asked.distance_nm / PIXEL_NM
        works = {
            "ours": lambda table=table, info=info: link(table, info, config)[0],
            "Picasso": lambda table=table, meta=meta, distance=distance: by_picasso(
                table, distance, asked.dark_frames, meta
            ),
        }
        seconds, results = {name: [] for name in works}, {}
        for _ in range(asked.repeats + 1):
            for name, work in works.items():
                start = time.process_time()
                results[name] = work()
                seconds[name].append(time.process_time() - start)
        total = table.photons.sum(dtype=float)
        print(f"{len(table)} rows in {frames} frames, {molecules} molecules", flush=True)
        for name, found in results.items():
            photons = np.asarray(found.photons, float).sum() / total
            print(
                f"  {name:<8} {len(found):8} rows, photons {photons:.7f} of those before, "
                f"{median(seconds[name][1:]):6.2f} s of CPU"
            )
        ratio = median(seconds["ours"][1:]) / median(seconds["Picasso"][1:])
        alike = shared(results["ours"], results["Picasso"])
        print(f"  ours takes {ratio:.2f} of Picasso's time; {alike:.2%} of its rows are ours too")


if __name__ == "__main__":
    main()
