"""Voxels of a volume that is shown: where they lie, how large they are, how many at most."""

import numpy as np
import pytest

from napari_dilatedloc import render
from napari_dilatedloc.table import Localizations

PIXEL_NM = 110.0


def some(n, side=20.0, sigma_nm=16.0, sigma_z_nm=40.0):
    generator = np.random.default_rng(2)
    y, x = generator.uniform(3, side, (2, n))
    return Localizations.from_columns(
        frame=np.zeros(n),
        x=x,
        y=y,
        z_nm=generator.uniform(-400, 500, n),
        sigma_x=np.full(n, sigma_nm / PIXEL_NM),
        sigma_y=np.full(n, sigma_nm / PIXEL_NM),
        sigma_z_nm=np.full(n, sigma_z_nm),
    )


def test_voxels_are_half_the_precision_and_all_light_is_in():
    table = some(300)
    grid = render.VoxelGrid.around(table, PIXEL_NM)
    assert grid.voxel_nm == pytest.approx((20, 8, 8))
    assert grid.coarser == 1
    image = np.stack(list(render.planes(table, grid.view, grid.z_range_nm, grid.z_step_nm)))
    assert image.shape == grid.size
    # 3 sigmas of margin hold 99.7 % of the outermost ones
    assert image.sum() == pytest.approx(300, rel=0.003)


@pytest.mark.parametrize(("most", "longest"), [(10_000, 2048), (10**9, 40), (3_000, 9)])
def test_a_large_field_has_larger_voxels(most, longest):
    table = some(300)
    grid = render.VoxelGrid.around(table, PIXEL_NM, most_voxels=most, longest_side=longest)
    planes, rows, columns = grid.size
    assert planes * rows * columns <= most
    assert max(grid.size) <= longest
    assert grid.coarser > 1.5
    assert grid.coarser == pytest.approx(max(grid.voxel_nm[0] / 20, grid.voxel_nm[1] / 8))
    # no coarser than it has to be
    assert planes * rows * columns > 0.7 * most or max(grid.size) > 0.9 * longest
    image = np.stack(list(render.planes(table, grid.view, grid.z_range_nm, grid.z_step_nm)))
    assert image.sum() == pytest.approx(300, rel=0.003)


def test_the_bound_holds_for_a_whole_chip():
    table = some(1000, side=2048.0, sigma_nm=8.0, sigma_z_nm=20.0)
    grid = render.VoxelGrid.around(table, PIXEL_NM)
    assert np.prod(grid.size, dtype=float) * 4 <= 256 * 2**20
    assert max(grid.size) <= 2048


def test_one_molecule_has_a_volume_and_none_is_said():
    one = some(1)
    grid = render.VoxelGrid.around(one, PIXEL_NM)
    image = np.stack(list(render.planes(one, grid.view, grid.z_range_nm, grid.z_step_nm)))
    z, y, x = np.unravel_index(np.argmax(image), image.shape)
    middle = [size // 2 for size in image.shape]
    assert np.abs(np.array([z, y, x]) - middle).max() <= 1
    flat = Localizations.from_columns(frame=[0], x=[3], y=[4])
    with pytest.raises(ValueError, match="a volume needs z"):
        render.VoxelGrid.around(flat, PIXEL_NM)
