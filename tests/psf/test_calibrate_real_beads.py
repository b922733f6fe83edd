"""Calibration from the bead stacks of others."""

import numpy as np
import pytest
import tifffile
import torch

from napari_dilatedloc.psf.calibrate import calibrate_beads

# Challenge bead stack: x, y in nm from the corner of the first pixel (shared/data/README.md)
CHALLENGE_NM = np.array(
    [
        [2505.05, 2037.59],
        [2884.62, 11951.79],
        [4350.96, 7104.01],
        [9083.09, 11139.64],
        [9343.40, 2825.09],
        [12267.77, 6216.89],
    ]
)
CHALLENGE = CHALLENGE_NM[:, ::-1] / 100 - 0.5  # y, x in px


@pytest.mark.slow
def test_challenge_beads(data_dir):
    """Public bead stack: alignment agrees with the known places, and z grows with the slice."""
    stack = tifffile.imread(data_dir / "challenge-2016-AS" / "beads_AS_151z.tif")
    calibration = calibrate_beads(stack, pixel_size_nm=100, z_step_nm=10)
    assert [bead.kept for bead in calibration.beads] == [True] * 6
    found = np.array([[bead.y, bead.x] for bead in calibration.beads])
    found = found[np.abs(found[:, None] - CHALLENGE).sum(-1).argmin(0)]
    apart_nm = 100 * (found - CHALLENGE)
    assert (apart_nm - apart_nm.mean(0)).std() < 1.0  # beads agree with each other
    assert np.abs(apart_nm.mean(0)).max() < 70  # the stack's own offset of the spot
    assert all(bead.correlation > 0.99 for bead in calibration.beads)
    assert max(abs(bead.z_nm) for bead in calibration.beads) < 3
    z = torch.tensor([-400.0, 400.0])
    rois = calibration.psf.rois(z, 0 * z, 0 * z)
    pixels = (torch.arange(25.0) - 12) ** 2
    wide_y, wide_x = (rois.sum(2) * pixels).sum(1), (rois.sum(1) * pixels).sum(1)
    assert wide_y[0] > wide_x[0]
    assert wide_y[1] < wide_x[1]


def test_real_tetrapod_bead(data_dir):
    stack = tifffile.imread(data_dir / "tetrapod-beads" / "tetrapod_bead_stack.tiff")
    calibration = calibrate_beads(stack, pixel_size_nm=110, z_step_nm=100, roi_size=61)
    assert [bead.kept for bead in calibration.beads] == [True]
    assert calibration.z_range_nm == pytest.approx((-2650, 2650))
    bead = calibration.beads[0]
    row, column = round(bead.y), round(bead.x)
    rois = calibration.psf.rois(
        torch.tensor([-1450.0, 1550.0]),
        torch.full((2,), bead.y - row),
        torch.full((2,), bead.x - column),
    )
    for index, roi in zip((12, 42), rois, strict=True):
        image = stack[index, row - 30 : row + 31, column - 30 : column + 31].astype(float)
        assert np.corrcoef(image.ravel(), roi.numpy().ravel())[0, 1] > 0.99


def test_real_vortex_bead(data_dir):
    stack = tifffile.imread(data_dir / "vortex-bead" / "bead180_oil.tif")
    calibration = calibrate_beads(stack, pixel_size_nm=65, z_step_nm=20, roi_size=25)
    assert [bead.kept for bead in calibration.beads] == [True]


def test_real_tetrapod_anywhere_in_the_stack(data_dir):
    """Shifted within its frame the tetrapod is centred on the same place, near its middle."""
    stack = tifffile.imread(data_dir / "tetrapod-beads" / "tetrapod_bead_stack.tiff")
    settings = {"pixel_size_nm": 110, "z_step_nm": 100, "roi_size": 51}
    here = calibrate_beads(stack, **settings).beads[0]
    moved = np.pad(stack, ((0, 0), (0, 31), (0, 0)))[:, 31:, :]
    moved = np.pad(moved, ((0, 0), (0, 0), (28, 0)))
    there = calibrate_beads(moved, **settings).beads[0]
    assert (there.y + 31, there.x - 28) == pytest.approx((here.y, here.x), abs=0.02)
    light = stack.astype(float).sum(0)
    grid_y, grid_x = np.mgrid[: stack.shape[1], : stack.shape[2]]
    middle = (light * grid_y).sum() / light.sum(), (light * grid_x).sum() / light.sum()
    assert (here.y, here.x) == pytest.approx(middle, abs=0.6)
