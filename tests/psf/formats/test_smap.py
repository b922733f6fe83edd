"""SMAP's splines against the analytic spot and against SMAP's own way of reading them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.io import loadmat, savemat

from napari_dilatedloc.config import GaussianPSFConfig
from napari_dilatedloc.psf.formats.errors import PSFFileError
from napari_dilatedloc.psf.formats.smap import read_smap, write_smap
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.psf.spline import spline_from_volume

SIDE, SLICES, DZ_NM, Z0 = 31, 37, 25.0, 16
CENTRE = SIDE // 2


def smap_table(pieces: NDArray[np.float64]) -> NDArray[np.float32]:
    """coeff as SMAP stores it: (row, column, slice, 64), the power along rows counting fastest."""
    slices, rows, columns = pieces.shape[:3]
    table = np.empty((rows, columns, slices, 64), dtype=np.float32)
    for pz in range(4):
        for py in range(4):
            for px in range(4):
                number = 16 * pz + 4 * px + py
                table[..., number] = pieces[:, :, :, pz, py, px].transpose(1, 2, 0)
    return table


@pytest.fixture(scope="module")
def table(layouts: Any) -> NDArray[np.float32]:
    # the objective rises from slice to slice, so the emitter sinks; z = 0 is knot z0 from 0
    z_nm = -(np.arange(SLICES) - Z0) * DZ_NM
    return smap_table(layouts.pieces(layouts.volume(z_nm, SIDE, (CENTRE, CENTRE))))


def cspline(coeff: Any) -> dict[str, Any]:
    return {"coeff": coeff, "x0": CENTRE + 1.0, "z0": float(Z0), "dz": DZ_NM}


def smap_value(table: NDArray[np.float32], first: float, second: float, third: float) -> float:
    """What SMAP's fitter gets at a place (knots from 0, first axis first): C order of its loops."""
    place = np.array([first, second, third])
    voxel = np.clip(np.floor(place).astype(int), 0, np.array(table.shape[:3]) - 1)
    d1, d2, d3 = place - voxel
    delta = [d3**i * d2**j * d1**k for i in range(4) for j in range(4) for k in range(4)]
    return float(np.dot(delta, table[tuple(voxel)]))


@pytest.mark.parametrize("kind", ["old", "v7.3"])
@pytest.mark.parametrize("place", ["SXY cell", "SXY", "cspline_psf_model", "cspline"])
def test_reads_every_layout(
    table: NDArray[np.float32], layouts: Any, tmp_path: Path, kind: str, place: str
) -> None:
    path = tmp_path / "bead_3dcal.mat"
    in_cell = place == "SXY cell"
    if kind == "old":
        struct = cspline(layouts.cell(table) if in_cell else table)
    else:
        struct = cspline([table] if in_cell else table)
    variables = {"SXY": {"cspline": struct}} if "SXY" in place else {place: struct}
    if kind == "old":
        savemat(path, variables)
    else:
        layouts.write_v73(path, variables)
    psf = read_smap(path, pixel_size_nm=100)
    assert psf.config.roi_size == SIDE - 4
    assert psf.config.z_range_nm == pytest.approx((-(SLICES - 1 - Z0) * DZ_NM, Z0 * DZ_NM))
    layouts.assert_is_spot(psf)


def test_z_direction_down_turns_z(table: NDArray[np.float32], layouts: Any, tmp_path: Path) -> None:
    path = tmp_path / "bead_3dcal.mat"
    savemat(path, {"cspline": cspline(table)})
    layouts.assert_is_spot(read_smap(path, pixel_size_nm=100, z_direction="down"), z_sign=-1)


def test_agrees_with_smaps_own_reading(table: NDArray[np.float32], tmp_path: Path) -> None:
    path = tmp_path / "bead_3dcal.mat"
    savemat(path, {"cspline": cspline(table)})
    psf = read_smap(path, pixel_size_nm=100)
    random = np.random.default_rng(3)
    z_nm = random.uniform(-300, 300, 40)
    y, x = random.uniform(-0.5, 0.5, (2, 40))
    row, column = random.integers(0, psf.config.roi_size, (2, 40))
    rois = psf.rois(*(torch.from_numpy(value) for value in (z_nm, y, x))).numpy()
    got = rois[np.arange(40), row, column]
    half = psf.config.roi_size // 2
    expected = [
        smap_value(table, CENTRE + r - half - dy, CENTRE + c - half - dx, -z / DZ_NM + Z0)
        for z, dy, dx, r, c in zip(z_nm, y, x, row, column, strict=True)
    ]
    np.testing.assert_allclose(got, expected, atol=1e-3 * rois.max(), rtol=0)


def test_reference_off_the_middle_and_between_pixels(layouts: Any, tmp_path: Path) -> None:
    z_nm = -(np.arange(SLICES) - Z0) * DZ_NM
    pixels = np.arange(SIDE)
    values = layouts.spot(
        z_nm[:, None, None], pixels[:, None] - 14.25, (pixels - 14.25)[None, None, :]
    )
    struct = {**cspline(smap_table(layouts.pieces(values))), "x0": 15.25}
    path = tmp_path / "shifted_3dcal.mat"
    savemat(path, {"cspline": struct})
    psf = read_smap(path, pixel_size_nm=100)
    assert psf.config.roi_size == 2 * 14 + 1 - 4
    layouts.assert_is_spot(psf, tolerance=5e-3)  # moved by a spline, which knows no more knots


def test_mirrored_columns(layouts: Any, tmp_path: Path) -> None:
    path = tmp_path / "em_3dcal.mat"
    z_nm = -(np.arange(SLICES) - Z0) * DZ_NM
    mirrored = layouts.volume(z_nm, SIDE, (CENTRE, CENTRE))[:, :, ::-1]
    savemat(path, {"SXY": {"cspline": cspline(smap_table(layouts.pieces(mirrored))), "EMon": 1.0}})
    layouts.assert_is_spot(read_smap(path, pixel_size_nm=100, mirror_x=True))


def test_scale_of_the_file_is_kept_near_one_photon(
    table: NDArray[np.float32], tmp_path: Path
) -> None:
    zero = torch.zeros(1, dtype=torch.float64)
    sums = []
    for factor in (0.8, 1000.0):
        savemat(tmp_path / "s.mat", {"cspline": cspline(table * np.float32(factor))})
        psf = read_smap(tmp_path / "s.mat", pixel_size_nm=100)
        sums.append(float(psf.rois(zero, zero, zero).sum()))
    assert sums == pytest.approx([0.8, 1.0], rel=2e-3)


@pytest.mark.parametrize("kind", ["old", "v7.3"])
def test_pixel_size_from_parameters(
    table: NDArray[np.float32], layouts: Any, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "bead_3dcal.mat"
    size = np.array([[0.127, 0.117]])
    struct = {"cspline": cspline(table)}
    if kind == "old":
        savemat(path, {"SXY": struct, "parameters": {"pixelsize": layouts.cell(size)}})
    else:
        layouts.write_v73(path, {"SXY": struct, "parameters": {"pixelsize": [size]}})
    assert read_smap(path).config.pixel_size_nm == pytest.approx(127)
    assert read_smap(path, pixel_size_nm=110).config.pixel_size_nm == 110


@pytest.mark.parametrize("kind", ["old", "v7.3"])
def test_regions_and_channels_are_chosen_by_number(
    table: NDArray[np.float32], layouts: Any, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "many_3dcal.mat"
    flat = np.zeros_like(table)
    if kind == "old":
        first, second = cspline(flat), cspline(layouts.cell(flat, table))
        regions = np.empty((1, 2), dtype=[("cspline", object)])
        regions["cspline"][0, 0], regions["cspline"][0, 1] = first, second
        savemat(path, {"SXY": regions})
    else:
        both = ({"cspline": cspline(flat)}, {"cspline": cspline([flat, table])})
        layouts.write_v73(path, {"SXY": both})
    layouts.assert_is_spot(read_smap(path, pixel_size_nm=100, part=1, channel=1))
    with pytest.raises(PSFFileError, match=r"part from 0 to 1 for the 2 elements of SXY, got None"):
        read_smap(path, pixel_size_nm=100)
    with pytest.raises(PSFFileError, match=r"channel from 0 to 1 .* got 7; say which"):
        read_smap(path, pixel_size_nm=100, part=1, channel=7)


def broken(struct: dict[str, Any], **changes: Any) -> dict[str, Any]:
    kept = {name: value for name, value in {**struct, **changes}.items() if value is not None}
    return {"cspline": kept}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coeff": np.ones((5, 5, 5, 27))}, r"expected coeff of shape \(Y, X, Z, 64\), got \(5, 5"),
        ({"dz": 0.0}, r"expected z0 and a positive dz .* dz 0.0"),
        ({"z0": None}, r"expected z0 and a positive dz .* z0 None"),
        ({"coeff": np.zeros((14, 14, 5, 64))}, r"expected light in the PSF"),
        ({"coeff": np.full((14, 14, 5, 64), np.nan)}, r"with NaN in it; calibrate again"),
        ({"x0": 3.0}, r"expected at least 11 px round the emitter at \(2.0, 2.0\)"),
    ],
)
def test_one_sentence_for_each_broken_spline(
    table: NDArray[np.float32], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "broken_3dcal.mat"
    savemat(path, broken(cspline(table[:, :, 10:20]), **changes))
    with pytest.raises(PSFFileError, match=message):
        read_smap(path, pixel_size_nm=100)


def test_one_sentence_for_other_files(table: NDArray[np.float32], tmp_path: Path) -> None:
    path = tmp_path / "file.mat"
    with pytest.raises(PSFFileError, match="no such file"):
        read_smap(path)
    path.write_bytes(b"no MATLAB file at all")
    with pytest.raises(PSFFileError, match="is not a MATLAB file"):
        read_smap(path)
    savemat(path, {"cspline": cspline(table)}, do_compression=True)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(PSFFileError, match="is not a MATLAB file"):
        read_smap(path)
    savemat(path, {"saveloc": {"loc": 1.0}})
    with pytest.raises(PSFFileError, match=r"expected a cubic spline .* got the variables saveloc"):
        read_smap(path)
    savemat(path, {"cspline": cspline(table)})
    with pytest.raises(PSFFileError, match="does not say how large a camera pixel is"):
        read_smap(path)
    with pytest.raises(PSFFileError, match="pixel_size_nm must be positive, got -1"):
        read_smap(path, pixel_size_nm=-1)
    with pytest.raises(PSFFileError, match="z_direction must be up or down, got 'left'"):
        read_smap(path, pixel_size_nm=100, z_direction="left")  # type: ignore[arg-type]


def test_written_spline_reads_back_to_itself(layouts: Any, tmp_path: Path) -> None:
    z_nm = np.arange(-400, 501, 30.0)
    psf = spline_from_volume(
        layouts.volume(z_nm, 25, (12, 12)), pixel_size_nm=108, z_min_nm=-400, z_step_nm=30
    )
    path = write_smap(tmp_path / "ours_3dcal.mat", psf)
    back = read_smap(path)
    assert back.config.z_range_nm == pytest.approx(psf.config.z_range_nm)
    assert back.config.z_min_nm == pytest.approx(psf.config.z_min_nm)
    assert back.config.roi_size == psf.config.roi_size
    assert back.config.z_step_nm == psf.config.z_step_nm
    torch.testing.assert_close(back.coefficients, psf.coefficients, atol=1e-7, rtol=1e-5)


def test_written_file_is_what_smap_and_decode_expect(layouts: Any, tmp_path: Path) -> None:
    z_nm = np.arange(-400, 501, 30.0)
    psf = spline_from_volume(
        layouts.volume(z_nm, 25, (12, 12)), pixel_size_nm=108, z_min_nm=-400, z_step_nm=30
    )
    path = write_smap(tmp_path / "ours_3dcal.mat", psf)
    loaded = loadmat(path, struct_as_record=False, squeeze_me=True)  # as DECODE does
    spline = loaded["SXY"].cspline
    assert spline.coeff.shape == (24, 24, 30, 64)
    assert spline.coeff.dtype == np.float32
    assert np.all(loaded["SXY"].Xrange == [-np.inf, np.inf])
    assert loaded["parameters"].pixelsize == pytest.approx([0.108, 0.108])
    random = np.random.default_rng(5)
    for z, y, x in random.uniform((-350, -0.5, -0.5), (450, 0.5, 0.5), (20, 3)):
        place = (torch.tensor([value], dtype=torch.float64) for value in (z, y, x))
        roi = psf.rois(*place)[0].numpy()
        row, column = random.integers(0, 21, 2)
        reference = spline.x0 - 1
        value = smap_value(
            spline.coeff,
            reference + row - 10 - y,
            reference + column - 10 - x,
            -z / spline.dz + spline.z0,
        )
        assert value == pytest.approx(roi[row, column], abs=1e-3 * roi.max())


def test_a_formula_is_sampled_and_written(tmp_path: Path) -> None:
    psf = GaussianPSF(GaussianPSFConfig(roi_size=25, z_range_nm=(-400, 400)))
    back = read_smap(write_smap(tmp_path / "gaussian_3dcal.mat", psf))
    assert back.config.roi_size == 21
    assert back.config.z_range_nm == pytest.approx((-400, 400))
    z_nm = torch.tensor([-333.0, 12.0, 287.0], dtype=torch.float64)
    y = torch.tensor([0.4, -0.2, 0.1], dtype=torch.float64)
    expected = psf.rois(z_nm, y, -y)[:, 2:-2, 2:-2]
    torch.testing.assert_close(
        back.rois(z_nm, y, -y), expected, atol=0.01 * float(expected.max()), rtol=0
    )


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "kept_3dcal.mat"
    path.write_bytes(b"old")

    class Broken(GaussianPSF):
        def rois(self, *args: Any, **kwargs: Any) -> torch.Tensor:
            raise RuntimeError("no light")

    with pytest.raises(RuntimeError, match="no light"):
        write_smap(path, Broken())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
