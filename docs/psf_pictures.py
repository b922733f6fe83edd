"""Make the pictures of docs/psf.md; look at them afterwards.

``python docs/psf_pictures.py [NAME ...]``; without names all. Those of real beads need the folder
of third-party data in DILATEDLOC_DATA.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import tifffile
import torch
from matplotlib.figure import Figure

from napari_dilatedloc.config import VectorialPSFConfig
from napari_dilatedloc.psf.calibrate import calibrate_beads
from napari_dilatedloc.psf.compile import compile_psf
from napari_dilatedloc.psf.crlb import crlb
from napari_dilatedloc.psf.design import design_pupil, mean_bound_nm
from napari_dilatedloc.psf.design_figure import design_figure
from napari_dilatedloc.psf.plots import plot_crlb
from napari_dilatedloc.psf.presets import PRESETS
from napari_dilatedloc.psf.report import write_report
from napari_dilatedloc.psf.retrieval import retrieve
from napari_dilatedloc.psf.vectorial import VectorialPSF
from napari_dilatedloc.psf.verdicts import judge

IMAGES = Path(__file__).parent / "images"
DATA = Path(os.environ.get("DILATEDLOC_DATA", "../shared/data"))
SHOWN = 7
OIL = VectorialPSFConfig(n_cover=1.518, n_immersion=1.518, n_medium=1.33)
STACKS = {
    "challenge": (
        "challenge-2016-AS/beads_AS_151z.tif",
        {"pixel_size_nm": 100, "z_step_nm": 10, "roi_size": 25},
        OIL.replace(na=1.49, wavelength_nm=660, n_medium=1.518),
        12.2,  # 6.1 ADU a photon, twice for the electron multiplication
    ),
    "tetrapod": (
        "tetrapod-beads/tetrapod_bead_stack.tiff",
        {"pixel_size_nm": 110, "z_step_nm": 100, "roi_size": 61},
        OIL.replace(na=1.49, wavelength_nm=605),
        1.0,
    ),
    "oil": (
        "vortex-bead/bead180_oil.tif",
        {"pixel_size_nm": 65, "z_step_nm": 88, "roi_size": 25},
        OIL.replace(na=1.47, wavelength_nm=596, n_medium=1.518),
        1.0,
    ),
}


def presets() -> None:
    """Spots of the built-in PSFs through z, and their bounds."""
    figure = Figure(figsize=(12, 9.2), layout="constrained")
    rows = figure.subfigures(len(PRESETS), 1)
    for row, (name, config) in zip(rows, PRESETS.items(), strict=True):
        axes = row.subplots(1, SHOWN + 1, width_ratios=[1] * SHOWN + [2.2])
        z = torch.linspace(*config.z_range_nm, SHOWN)
        rois = VectorialPSF(config).rois(z, z * 0, z * 0).numpy()
        for axis, z_nm, roi in zip(axes, z.tolist(), rois, strict=False):
            axis.imshow(roi, cmap="gray")
            axis.set_title(f"{z_nm:+.0f} nm", fontsize=8)
            axis.set_axis_off()
        planes = np.linspace(*config.z_range_nm, 41)
        plot_crlb(axes[-1], crlb(compile_psf(VectorialPSF(config)), planes, 5000, 50))
        axes[-1].set_ylabel("CRLB (nm)")
        axes[-1].legend(loc="upper center", ncols=3, fontsize=7, frameon=False)
        axes[-1].set_ylim(top=1.2 * axes[-1].get_ylim()[1])
        row.suptitle(f"{name}, {config.roi_size} px of {config.pixel_size_nm:.0f} nm", fontsize=10)
    figure.savefig(IMAGES / "psf-presets.png", dpi=90)


def conventions() -> None:
    """What a model with a turned z or a mirrored x leaves behind."""
    z = torch.tensor([-500.0, -250.0, 0.0, 250.0, 500.0])
    right = VectorialPSF(PRESETS["saddle-point"]).rois(z, z * 0, z * 0).numpy()
    models = {"right": right, "z turned": right[::-1], "x mirrored": right[:, :, ::-1]}
    figure = Figure(figsize=(11, 4.4))
    figure.subplots_adjust(0.04, 0.02, 0.99, 0.94, 0.08, 0.08)
    axes = figure.subplots(len(models) + 1, 2 * len(z) + 1, width_ratios=[1] * 5 + [0.2] + [1] * 5)
    for axis in axes.ravel():
        axis.set_axis_off()
    for column, z_nm in enumerate(z.tolist()):
        axes[0, column].imshow(right[column], cmap="gray")
        axes[0, column].set_title(f"{z_nm:+.0f} nm", fontsize=9)
    axes[0, 0].text(-3, 15, "measured", rotation=90, va="center", ha="right")
    axes[1, 8].set_title("measured minus model", fontsize=9)
    for row, (name, model) in zip(axes[1:], models.items(), strict=True):
        row[0].text(-3, 15, name, rotation=90, va="center", ha="right")
        for column in range(len(z)):
            limit = right[column].max()
            row[column].imshow(model[column], cmap="gray")
            row[column + 6].imshow(
                right[column] - model[column], cmap="RdBu_r", vmin=-limit, vmax=limit
            )
    figure.savefig(IMAGES / "psf-conventions.png", dpi=80)


def stack(name: str) -> None:
    """Calibrate one real stack both ways; keep the report's picture, print the figures."""
    path, settings, optics, gain = STACKS[name]
    calibration = calibrate_beads(tifffile.imread(DATA / path), **settings)
    retrieval = retrieve(calibration, optics, adu_per_photon=gain)
    target = IMAGES / f"calibration-{name}.png"
    for file in write_report(target, calibration, retrieval=retrieval):
        if file.suffix != ".png":
            file.unlink()
    figures = {
        "beads": f"{len(calibration.kept)} of {len(calibration.beads)}",
        "residual": retrieval.residual,
        "na": retrieval.psf.config.na,
        "z_scale": (retrieval.z_scale, retrieval.z_scale_sigma),
        "drift_nm": retrieval.drift_nm,
        "blur_px": (retrieval.psf.config.blur_y_px, retrieval.psf.config.blur_x_px),
        "zernike_nm": [(n, m, round(v, 1)) for n, m, v in retrieval.psf.config.zernike_nm],
        "verdicts": [
            v.sentence for v in judge(calibration, retrieval=retrieval) if v.level != "ok"
        ],
    }
    print(name, json.dumps(figures, indent=2))


def design_3um() -> None:
    """A pupil designed for 3 um beside the published tetrapod and astigmatism, on its optics."""
    published = PRESETS["tetrapod-3um"]
    *_, last = design_pupil(published.replace(zernike_nm=()), photons=2000, bg=20)
    pupils = {
        "design": last.config,
        "published tetrapod": published,
        "astigmatism": published.replace(zernike_nm=PRESETS["astigmatism"].zernike_nm),
    }
    for photons, bg in ((2000, 20), (5000, 50)):
        for name, config in pupils.items():
            print(f"{photons} photons on {bg}: {name} {mean_bound_nm(config, photons, bg):.2f} nm")
    design_figure(pupils, 2000, 20).savefig(IMAGES / "design-3um.png", dpi=90)


PICTURES = {
    "presets": presets,
    "conventions": conventions,
    **{f"calibration-{name}": lambda name=name: stack(name) for name in STACKS},
    "design-3um": design_3um,
}

if __name__ == "__main__":
    for chosen in sys.argv[1:] or PICTURES:
        PICTURES[chosen]()
