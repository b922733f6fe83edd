"""Vector fits: layouts, units, and the Li lab's axes against their own model, written out here."""

from __future__ import annotations

from itertools import pairwise
from math import factorial, pi, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.io import savemat

from napari_dilatedloc.psf.formats.errors import PSFFileError
from napari_dilatedloc.psf.formats.vectorfit import from_li_lab, read_vectorfit
from napari_dilatedloc.psf.vectorial import VectorialPSF

Array = NDArray[np.float64]
ABERRATIONS = np.array(
    [[2, -2, 30], [2, 2, -40], [3, -1, 25], [3, 1, 35], [4, 0, -20], [3, -3, 15], [3, 3, -22],
     [4, -4, 18], [4, 4, 12], [5, -5, 14], [5, 5, -11], [6, 2, 9], [2, 0, 13]],
    dtype=float,
)  # fmt: skip
ZERNIKEFIT: dict[str, Any] = {
    "NA": 1.35, "refmed": 1.406, "refcov": 1.525, "refimm": 1.406, "lambda": 680.0,
    "pixelSizeX": 110.0, "pixelSizeY": 110.0, "sizeX": 27.0, "sizeY": 27.0, "sizeZ": 21.0,
    "dz": 50.0, "Npupil": 64.0, "psfrescale": 0.5,
}  # fmt: skip


def radial(n: int, m: int, rho: Array) -> Array:
    return np.sum(
        [
            (-1) ** k * factorial(n - k) * rho ** (n - 2 * k)
            / (factorial(k) * factorial((n + m) // 2 - k) * factorial((n - m) // 2 - k))
            for k in range((n - m) // 2 + 1)
        ],
        axis=0,
    )  # fmt: skip


def li_lab_image(z_nm: float, y_nm: float, x_nm: float, objstage0: float, side: int) -> Array:
    """Their model with matrices for the chirp-z: pupil x runs along rows, phi = atan2(y, x), the
    emitter's y belongs to rows. Point samples without blur, divided by their sum."""
    fit, count = ZERNIKEFIT, 64
    na, wave = fit["NA"], fit["lambda"]
    grid = (np.arange(count) - (count - 1) / 2) * 2 / count
    xpupil, ypupil = np.meshgrid(grid, grid, indexing="ij")
    rho, phi = np.hypot(xpupil, ypupil), np.arctan2(ypupil, xpupil)
    cosine = {
        name: np.sqrt(1 - (rho * na / fit[name]) ** 2 + 0j)
        for name in ("refmed", "refcov", "refimm")
    }
    layers = [(fit[name], cosine[name]) for name in ("refmed", "refcov", "refimm")]
    fresnel_p: Any = 1
    fresnel_s: Any = 1
    for (n1, c1), (n2, c2) in pairwise(layers):
        fresnel_p = fresnel_p * 2 * n1 * c1 / (n1 * c2 + n2 * c1)
        fresnel_s = fresnel_s * 2 * n1 * c1 / (n1 * c1 + n2 * c2)
    cos_med = cosine["refmed"]
    p = fresnel_p * np.array(
        [cos_med * np.cos(phi), cos_med * np.sin(phi), -np.sqrt(1 - cos_med**2)]
    )
    s = fresnel_s * np.array([-np.sin(phi), np.cos(phi), 0 * phi])
    fields = np.concatenate([np.cos(phi) * p - np.sin(phi) * s, np.sin(phi) * p + np.cos(phi) * s])
    amplitude = (rho < 1) * np.sqrt(cosine["refimm"]) / cos_med
    wavefront = np.zeros_like(rho)
    for n, m, nm in ABERRATIONS:
        norm = sqrt(2 * (n + 1) / (1 + (m == 0)))
        angle = np.cos(m * phi) if m >= 0 else np.sin(-m * phi)
        wavefront += nm * norm * radial(int(n), abs(int(m)), rho) * angle
    k = 2 * pi / wave
    zemit0 = -objstage0 / fit["refimm"] * fit["refmed"]
    phase = k * wavefront - k * na * (y_nm * xpupil + x_nm * ypupil)
    phase = phase + k * fit["refmed"] * cos_med * (z_nm + zemit0)
    phase = phase + k * fit["refimm"] * cosine["refimm"] * objstage0
    pupil = amplitude * np.exp(1j * phase) * fields
    pixels = (np.arange(side) - side // 2) * fit["pixelSizeX"]
    to_image = np.exp(1j * k * na * pixels[:, None] * grid)
    image = np.sum(np.abs(to_image @ pupil @ to_image.T) ** 2, axis=0)
    return image / image.sum()


def test_images_are_those_of_the_li_lab(tmp_path: Path) -> None:
    path = tmp_path / "fit.mat"
    fitted = {
        "na": 1.35, "wavelength": 680.0, "refmed": 1.406, "refcov": 1.525, "refimm": 1.406,
        "zernike_mode": ABERRATIONS[:, :2], "zernike_coef": ABERRATIONS[:, 2],
        "objstage0": -400.0, "pixel_size_xy": np.array([110.0, 110.0]),
        "otf_rescale_xy": np.array([0.0, 0.0]), "npupil": 64.0, "psf_size": 27.0,
    }  # fmt: skip
    savemat(path, {"psf_params_fitted": fitted})
    psf = VectorialPSF(read_vectorfit(path))
    # ours integrates over pixels, theirs takes the value at the pixel's centre: compare ours with
    # the mean of theirs over 5 x 5 places of the pixel
    steps = (np.arange(5) - 2) / 5
    for z_nm, y, x in ((250.0, 0.3, -0.2), (-300.0, -0.4, 0.1)):
        expected = np.mean(
            [
                li_lab_image(z_nm, (y + dy) * 110, (x + dx) * 110, -400, 27)
                for dy in steps
                for dx in steps
            ],
            axis=0,
        )
        place = (torch.tensor([value], dtype=torch.float64) for value in (z_nm, y, x))
        got = psf.rois(*place)[0].numpy()
        got = got / got.sum()
        np.testing.assert_allclose(got, expected, atol=0.02 * expected.max(), rtol=0)
        for wrong in (expected.T, expected[::-1], expected[:, ::-1], expected[::-1, ::-1]):
            assert np.abs(got - wrong).max() > 0.1 * expected.max()


@pytest.mark.parametrize("kind", ["old", "v7.3"])
@pytest.mark.parametrize("place", ["SXY", "vector_psf_model"])
def test_reads_both_matlab_layouts(layouts: Any, tmp_path: Path, kind: str, place: str) -> None:
    path = tmp_path / "bead_3dcal.mat"
    variables: dict[str, Any] = {"SXY": {"zernikefit": {**ZERNIKEFIT, "aberrations": ABERRATIONS}}}
    if place == "vector_psf_model":
        fit = {
            **ZERNIKEFIT,
            "wavelength": 680.0,
            "psfSizeX": 27.0,
            "zrang": np.array([-550.0, 550]),
        }
        for name in ("lambda", "sizeX", "sizeY", "sizeZ", "dz"):
            del fit[name]
        variables = {"vector_psf_model": {"zernikefit": fit, "aberrations": ABERRATIONS}}
    if kind == "old":
        savemat(path, variables)
    else:
        layouts.write_v73(path, variables)
    config = read_vectorfit(path, depth_nm=800)
    assert (config.na, config.wavelength_nm, config.pixel_size_nm) == (1.35, 680, 110)
    assert (config.n_medium, config.n_cover, config.n_immersion) == (1.406, 1.525, 1.406)
    assert (config.roi_size, config.n_pupil, config.depth_nm) == (27, 64, 800)
    assert config.z_range_nm == ((-550, 550) if place == "vector_psf_model" else (-500, 500))
    expected = from_li_lab((int(n), int(m), nm) for n, m, nm in ABERRATIONS)
    assert config.zernike_nm == expected


def test_waves_and_nm(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "bead_3dcal.mat"
    table = np.array([[2, 2, 0.1], [3, 1, -0.05]])
    savemat(path, {"SXY": {"zernikefit": {**ZERNIKEFIT, "aberrations": table}}})
    in_waves = read_vectorfit(path, unit="waves")
    assert in_waves.zernike_nm == ((2, 2, pytest.approx(-68)), (3, -1, pytest.approx(-34)))
    assert read_vectorfit(path).zernike_nm[0][2] == pytest.approx(-0.1)
    assert "if they are waves, say so" in caplog.text


def test_depth_is_the_paraxial_focus(tmp_path: Path) -> None:
    path = tmp_path / "fit.mat"
    fit = {**ZERNIKEFIT, "aberrations": ABERRATIONS, "refimm": 1.518, "objStage0": -1000.0}
    savemat(path, {"SXY": {"zernikefit": fit}})
    assert read_vectorfit(path).depth_nm == pytest.approx(1000 * 1.406 / 1.518)


def test_turning_the_axes_transposes_the_wavefront() -> None:
    grid = np.linspace(-1, 1, 31)
    y, x = np.meshgrid(grid, grid, indexing="ij")

    def wavefront(modes: Any) -> Array:
        rho, phi = np.hypot(y, x), np.arctan2(y, x)
        return np.sum(
            [
                nm * radial(n, abs(m), rho) * (np.cos(m * phi) if m >= 0 else np.sin(-m * phi))
                for n, m, nm in modes
            ],
            axis=0,
        )

    modes = tuple(
        (n, m, 1.0 + n + 0.3 * m) for n in range(9) for m in range(-n, n + 1, 2)
    )  # every azimuthal frequency to 8
    np.testing.assert_allclose(wavefront(from_li_lab(modes)), wavefront(modes).T, atol=1e-9)
    assert from_li_lab(from_li_lab(modes)) == modes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pixelSizeY": 120.0}, r"expected square pixels, got 110.0 x 120.0 nm"),
        ({"refcov": None}, r"expected the number refcov among the optics"),
        ({"NA": 1.6}, r"na must be smaller than n_cover"),
        ({"aberrations": np.ones((21, 2))}, r"rows of n, m, nm, got \(21, 2\)"),
        ({"aberrations": None}, r"expected a vectorial fit .* got the variables SXY"),
    ],
)
def test_one_sentence_for_each_broken_fit(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "bead_3dcal.mat"
    fit = {**ZERNIKEFIT, "aberrations": ABERRATIONS, **changes}
    kept = {name: value for name, value in fit.items() if value is not None}
    savemat(path, {"SXY": {"zernikefit": kept}})
    with pytest.raises(PSFFileError, match=message):
        read_vectorfit(path)
