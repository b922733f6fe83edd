"""PSF commands on files as users have them."""

import json

import numpy as np
import pytest
import tifffile
import torch

from napari_dilatedloc.config import VectorialPSFConfig
from napari_dilatedloc.psf.build import load_psf
from napari_dilatedloc.psf.optics import build_optics
from napari_dilatedloc.psf.presets import PRESETS
from napari_dilatedloc.psf.spline import SplinePSF
from napari_dilatedloc.psf.vectorial import VectorialPSF

OPTICS = VectorialPSFConfig(
    pixel_size_nm=110.0,
    na=1.35,
    n_medium=1.4,
    n_immersion=1.4,
    n_pupil=24,
    roi_size=25,
    scan="stage",
)
PHASE = ("--method", "phase", "--na", 1.35, "--wavelength-nm", 670)


@pytest.fixture(scope="module")
def beads(tmp_path_factory):
    """Two beads of an astigmatic microscope, 13 slices of 120 nm."""
    z = torch.arange(-6, 7, dtype=torch.float64) * 120
    optics = build_optics(OPTICS, ((2, 2),))
    blur = (torch.tensor(0.6), torch.tensor(0.6))
    rois = optics.rois(z, z * 0, z * 0, torch.tensor([60.0], dtype=torch.float64), blur)
    stack = np.full((13, 40, 70), 50.0)
    for left in (7, 40):
        stack[:, 7:32, left : left + 25] += 1e5 * rois.numpy()
    path = tmp_path_factory.mktemp("beads") / "beads.tif"
    noisy = np.random.default_rng(0).poisson(stack).astype(np.uint16)
    tifffile.imwrite(path, noisy, photometric="minisblack")
    return path


def common(beads, out):
    return ("calibrate", beads, "--pixel-size-nm", 110, "--z-step-nm", 120, "--out", out)


def test_several_stacks_give_one_spline_for_smap(run, beads, tmp_path):
    out = tmp_path / "psf_3dcal.mat"
    call = ("calibrate", beads, *common(beads, out)[1:], "--roi-size", 15, "--json")
    status, text, err = run(*call)
    assert status == 0, err
    figures = json.loads(text)
    assert figures["beads_used"] == 4
    assert {verdict["level"] for verdict in figures["verdicts"]} <= {"ok", "warning", "problem"}
    psf = load_psf(out, pixel_size_nm=110)
    assert isinstance(psf, SplinePSF)
    assert psf.config.roi_size == 15


def test_phase_retrieval_with_a_report(run, beads, tmp_path):
    out, report = tmp_path / "psf.h5", tmp_path / "report"
    options = ("--roi-size", 15, "--n-medium", 1.4, "--n-immersion", 1.4, "--report", report)
    status, text, err = run(*common(beads, out), *PHASE, *options, "--bead", "19,52", "--json")
    assert status == 0, err
    figures = json.loads(text)
    sizes = {(n, m): nm for n, m, nm in figures["zernike_nm"]}
    assert sizes[2, 2] == pytest.approx(60.0, abs=4.0)
    assert figures["beads_used"] == 1
    assert figures["model_residual"] < 0.03
    psf = load_psf(out)
    assert isinstance(psf, VectorialPSF)
    assert psf.config.na == 1.35
    assert {path.suffix for path in report.iterdir()} == {".html", ".png", ".json"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--na", 1.4), "--na only count for --method phase"),
        (("--method", "phase"), "needs --na and --wavelength-nm"),
        ((*PHASE, "--n-immersion", 1.2), "na must be smaller than n_cover and n_immersion"),
        (("--bead", "3"), "--bead must be 2 numbers"),
        (("--roi-size", 8), "odd"),
    ],
)
def test_options_that_do_not_fit(run, beads, tmp_path, options, sentence):
    status, _, err = run(*common(beads, tmp_path / "psf.h5"), *options)
    assert status == 2
    assert sentence in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []


def test_built_in_psfs_are_listed(run):
    status, out, _ = run("psfs", "--json")
    assert status == 0
    rows = {row["name"]: row for row in json.loads(out)}
    assert set(rows) == set(PRESETS)
    assert rows["tetrapod-6um"]["z_range_nm"] == [-3000, 3000]


def test_convert_to_smap_and_back(run, tmp_path):
    assert run("convert-psf", "astigmatism", tmp_path / "a_3dcal.mat")[0] == 0
    back = ("convert-psf", tmp_path / "a_3dcal.mat", tmp_path / "a.h5", "--pixel-size-nm", 108)
    status, out, err = run(*back)
    assert status == 0, err
    assert "spline" in out
    z = torch.tensor([-300.0, 0.0, 300.0])
    exact, again = load_psf("astigmatism"), load_psf(tmp_path / "a.h5")
    cut = (exact.config.roi_size - again.config.roi_size) // 2
    expected = exact.rois(z, z * 0, z * 0)[:, cut:-cut, cut:-cut]
    found = again.rois(z, z * 0, z * 0)
    scale = (expected * found).sum() / (found * found).sum()
    assert (scale * found - expected).abs().max() < 0.01 * expected.max()
    status, _, err = run("convert-psf", tmp_path / "nothing.mat", tmp_path / "b.h5")
    assert status == 2
    assert "no such file" in err


def test_a_phase_mask_with_its_microscope(run, tmp_path, data_dir):
    """The printed mask of the mitochondria movie makes a spot with lobes that turn with z."""
    mask = data_dir / "tetrapod-real" / "mask_tetrapod_printed.mat"
    optics = tmp_path / "optics.yaml"
    optics.write_text(
        "kind: vectorial\nna: 1.45\nn_medium: 1.33\nn_cover: 1.518\nn_immersion: 1.518\n"
        "pixel_size_nm: 110\nroi_size: 41\ndepth_nm: 2000\nz_range_nm: [-1500, 1500]\n"
    )
    status, _, err = run("convert-psf", mask, tmp_path / "psf.h5")
    assert status == 2
    assert "--optics" in err
    status, _, err = run("convert-psf", mask, tmp_path / "psf.h5", "--optics", optics)
    assert status == 0, err
    z = torch.tensor([-1200.0, 1200.0])
    first, last = load_psf(tmp_path / "psf.h5").rois(z, z * 0, z * 0)
    assert first.max() < 0.05
    overlap = (first * last).sum() / (first.norm() * last.norm())
    assert overlap < 0.6
