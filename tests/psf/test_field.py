import pytest
import torch

from napari_dilatedloc.config import FieldPSFConfig
from napari_dilatedloc.psf.build import load_psf, save_psf
from napari_dilatedloc.psf.compile import compile_psf, largest_difference
from napari_dilatedloc.psf.field import FieldPSF, mixing_error, refined
from napari_dilatedloc.psf.presets import PRESETS
from napari_dilatedloc.psf.spline import FieldSplinePSF
from napari_dilatedloc.psf.vectorial import VectorialPSF

OPTICS = PRESETS["astigmatism"].replace(roi_size=15, n_pupil=32, z_range_nm=(-300.0, 300.0))
MAP = torch.tensor([[[0.0, 0.0], [20.0, 30.0]], [[40.0, 0.0], [60.0, -30.0]]])
CONFIG = FieldPSFConfig(
    optics=OPTICS, modes=((2, -2), (3, 1)), rows_px=(0.0, 100.0), columns_px=(0.0, 200.0)
)


@pytest.fixture(scope="module")
def field():
    return FieldPSF(CONFIG, MAP)


def at(*places):
    return torch.tensor(places, dtype=torch.float64)


def rois(psf, place, z=150.0):
    z_nm = torch.full((len(place),), z, dtype=torch.float64)
    return psf.rois(z_nm, z_nm * 0 + 0.2, z_nm * 0 - 0.1, place)


def local(*sizes):
    added = tuple((n, m, v) for (n, m), v in zip(CONFIG.modes, sizes, strict=True))
    return VectorialPSF(OPTICS.replace(zernike_nm=(*OPTICS.zernike_nm, *added)))


def test_each_place_has_its_own_aberrations(field):
    places = at((0, 0), (0, 200), (100, 0), (50, 100), (25, 200))
    expected = [local(0, 0), local(20, 30), local(40, 0), local(30, 0), local(30, 15)]
    found = rois(field, places)
    for roi, place, psf in zip(found, places, expected, strict=True):
        torch.testing.assert_close(roi[None], rois(psf, place[None]))


def test_beyond_the_map_its_border_counts(field):
    torch.testing.assert_close(
        rois(field, at((-50, 0), (100, 900))), rois(field, at((0, 0), (100, 200)))
    )


def test_without_a_place_the_middle_counts(field):
    z = torch.tensor([0.0, 80.0], dtype=torch.float64)
    expected = field.rois(z, z * 0, z * 0, at((50, 100), (50, 100)))
    torch.testing.assert_close(field.rois(z, z * 0, z * 0), expected)


def test_file_round_trip(tmp_path, field):
    again = load_psf(save_psf(tmp_path / "field.h5", field))
    assert again.config == field.config
    torch.testing.assert_close(again.zernike_nm, field.zernike_nm)


@pytest.fixture(scope="module")
def compiled(field):
    return compile_psf(field)


def test_compiled_field_agrees_everywhere(field, compiled, tmp_path):
    assert isinstance(compiled, FieldSplinePSF)
    assert largest_difference(compiled, field, probes=100, seed=5) < 0.01
    places = torch.rand(60, 2, generator=torch.Generator().manual_seed(0)).double() * at((100, 200))
    exact, fast = rois(field, places), rois(compiled, places)
    assert ((exact - fast).abs().amax((1, 2)) / exact.amax((1, 2))).max() < 0.01
    again = load_psf(save_psf(tmp_path / "compiled.h5", compiled))
    torch.testing.assert_close(rois(again, places), fast)


def test_refining_keeps_the_map_and_ends(field):
    fine = refined(field)
    assert len(fine.config.rows_px) * len(fine.config.columns_px) > 4
    assert mixing_error(fine) < 0.008 < mixing_error(field)
    places = at((10, 30), (77, 150))
    torch.testing.assert_close(rois(fine, places), rois(field, places))


def test_maps_that_do_not_fit_their_grid_are_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 2, 2\)"):
        FieldPSF(CONFIG, MAP[:, :, :1])
    with pytest.raises(ValueError, match="rows_px must grow"):
        FieldPSF(CONFIG.replace(rows_px=(100.0, 0.0)), MAP)


def test_movies_are_simulated_with_the_place_on_the_chip(compiled):
    """The corners of one frame show the spots of the corners of the map."""
    from napari_dilatedloc.simulation.emitters import EmitterBatch
    from napari_dilatedloc.simulation.simulator import render_emitters

    two = torch.zeros(2, dtype=torch.int64)
    y, x = torch.tensor([0.0, 100.0]), torch.tensor([0.0, 200.0])
    batch = EmitterBatch(two, two, torch.arange(2), y, x, torch.full((2,), 150.0), torch.ones(2))
    frame = render_emitters(compiled, batch, 1, 1, (101, 201))[0, 0]
    z = torch.full((2,), 150.0)
    expected = compiled.rois(z, z * 0, z * 0, torch.stack([y, x], dim=1))
    torch.testing.assert_close(frame[:8, :8], expected[0, 7:, 7:])
    torch.testing.assert_close(frame[-8:, -8:], expected[1, :8, :8])
    moved = render_emitters(compiled, batch, 1, 1, (101, 201), torch.tensor([[100.0, 200.0]]))
    torch.testing.assert_close(moved[0, 0, :8, :8], expected[1, 7:, 7:])
