"""Make the pictures and figures of results.md.

``python docs/results.py CHALLENGE TETRAPOD DATA`` with the models fine-tuned for the two movies
and the folder of third-party data.
"""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from napari_dilatedloc.evaluation import evaluate, match
from napari_dilatedloc.inference.pipeline import localize
from napari_dilatedloc.io.movie import open_movie
from napari_dilatedloc.io.tables import read_truth
from napari_dilatedloc.network.checkpoint import load_model
from napari_dilatedloc.table import Localizations

IMAGES = Path(__file__).parent / "images"
PIXEL_SIZE_NM = 100.0
SHOWN_FRAMES = (5, 10, 18, 31)
TETRAPOD_PART = (90, 130, 250, 370)  # y0, x0, y1, x1, px


def run(movie, model, config=None):
    """All localizations of a movie."""
    return Localizations.concatenate([b.localizations for b in localize(movie, model, config)])


def challenge(model_path: str, data: Path) -> None:
    """Frames with truth and localizations, errors against z, and the figures as JSON."""
    movie = open_movie(data / "challenge-2016-AS" / "MT0.N1.LD-AS_frames01-32.tif").data.compute()
    path = data / "challenge-2016-AS" / "truth_frames01-32.csv"
    truth = read_truth(path, pixel_size_nm=PIXEL_SIZE_NM)
    found = run(movie, load_model(model_path))
    for shift in (False, True):
        result = evaluate(found, truth, PIXEL_SIZE_NM, remove_shift=shift)
        print(json.dumps(result.to_dict(), indent=2))

    figure, axes = plt.subplots(1, len(SHOWN_FRAMES) + 1, figsize=(15, 3.4), layout="constrained")
    for axis, frame in zip(axes, SHOWN_FRAMES, strict=False):
        draw_frame(axis, movie[frame], found[found.frame == frame], truth[truth.frame == frame])
        axis.set_title(f"frame {frame + 1}")
    i, j = match(found, truth, PIXEL_SIZE_NM)
    axes[-1].plot([-300, 700], [-300, 700], color="0.7", lw=1)
    axes[-1].plot(truth.z_nm[j], found.z_nm[i], "o", ms=4, color="tab:blue")
    axes[-1].set(xlabel="true z / nm", ylabel="found z / nm", title=f"{len(i)} of {len(truth)}")
    axes[-1].set_box_aspect(1)
    figure.savefig(IMAGES / "challenge-as.png", dpi=110)


def tetrapod(model_path: str, data: Path) -> None:
    """A part of a frame of the real tetrapod movie, raw and with localizations coloured by z."""
    movie = open_movie(data / "tetrapod-real" / "mitochondria_frames01-25.tif").data
    found = run(movie, load_model(model_path))
    print(json.dumps({"frames": len(movie), "localizations": len(found)}))
    frame, (y0, x0, y1, x1) = 4, TETRAPOD_PART
    image = np.asarray(movie[frame])
    inside = (found.x >= x0) & (found.x < x1) & (found.y >= y0) & (found.y < y1)
    shown = found[inside & (found.frame == frame)]
    figure, axes = plt.subplots(1, 2, figsize=(13, 4.6), layout="constrained")
    for axis in axes:
        axis.imshow(image, cmap="gray", vmin=image.min(), vmax=np.percentile(image, 99.9))
        axis.set(xlim=(x0 - 0.5, x1 - 0.5), ylim=(y1 - 0.5, y0 - 0.5), xticks=[], yticks=[])
    dots = axes[1].scatter(shown.x, shown.y, c=shown.z_nm, cmap="turbo", s=28, edgecolors="white")
    figure.colorbar(dots, ax=axes[1], label="z / nm")
    axes[0].set_title(f"frame {frame + 1} of {len(movie)}")
    axes[1].set_title(f"{len(shown)} localizations")
    figure.savefig(IMAGES / "tetrapod-real.png", dpi=110)


def draw_frame(axis, image, found, truth=None) -> None:
    """Raw frame with circles for localizations and crosses for the truth."""
    axis.imshow(image, cmap="gray", vmax=np.percentile(image, 99.8))
    axis.plot(found.x, found.y, "o", mfc="none", mec="cyan", ms=12, label="localized")
    if truth is not None:
        axis.plot(truth.x, truth.y, "+", color="tab:red", ms=8, label="truth")
    axis.set_axis_off()


if __name__ == "__main__":
    challenge(sys.argv[1], Path(sys.argv[3]))
    tetrapod(sys.argv[2], Path(sys.argv[3]))
