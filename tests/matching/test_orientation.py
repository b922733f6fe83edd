"""A movie turned against its PSF, where the PSF's images can tell."""

import pytest

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.config import (
    GaussianPSFConfig,
    SCMOSConfig,
    SimulationConfig,
    VectorialPSFConfig,
)
from napari_dilatedloc.matching.look import look_at
from napari_dilatedloc.matching.orientation import find_orientation
from napari_dilatedloc.matching.sample import take_sample
from napari_dilatedloc.matching.templates import template_bank
from napari_dilatedloc.psf.compile import compile_psf
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.psf.vectorial import VectorialPSF
from napari_dilatedloc.simulation.simulator import simulate_movie

CAMERA = SCMOSConfig()
OPTICS = VectorialPSFConfig(pixel_size_nm=100.0, roi_size=17, z_range_nm=(-500.0, 500.0))


def filmed(psf):
    simulation = SimulationConfig(
        density_per_um2=(0.15, 0.15), photons=(2000.0, 6000.0), bg=(30.0, 30.0)
    )
    return simulate_movie(psf, CAMERA, simulation, frames=50, size=(48, 40), seed=2)[0]


def orientation(movie, psf):
    sample, bank = take_sample(movie, build_camera(CAMERA)), template_bank(psf)
    return find_orientation(sample, look_at(sample, psf, bank).fit, psf, bank)


@pytest.fixture(scope="module")
def coma():
    """Astigmatism and coma off the axes: all eight ways look different."""
    zernike = ((2, 2, 60.0), (3, 1, 60.0), (3, -1, 30.0))
    psf = compile_psf(VectorialPSF(OPTICS.replace(zernike_nm=zernike)))
    return psf, filmed(psf)


@pytest.mark.parametrize(
    ("turn", "name"),
    [
        (lambda m: m, None),
        (lambda m: m[:, ::-1], "mirrored in y"),
        (lambda m: m[:, :, ::-1], "mirrored in x"),
        (lambda m: m.transpose(0, 2, 1), "mirrored, x and y swapped"),
        # rows become columns from right to left: what pointed up points right
        (lambda m: m.transpose(0, 2, 1)[:, :, ::-1], "turned a quarter clockwise"),
    ],
)
def test_each_way_is_told(coma, turn, name):
    psf, movie = coma
    found = orientation(turn(movie).copy(), psf)
    assert found.best == name
    assert found.spots > 50
    assert len(found.telling) == 7
    assert (found.share > 0.7) == (name is not None)


def test_swapped_astigmatism_shows_if_the_two_sides_of_the_focus_differ():
    zernike = ((2, 2, 70.0), (4, 0, 60.0))
    psf = compile_psf(VectorialPSF(OPTICS.replace(zernike_nm=zernike)))
    movie = filmed(psf)
    assert orientation(movie, psf).best is None
    best = orientation(movie.transpose(0, 2, 1).copy(), psf).best
    # astigmatism is its own mirror image in x and in y: a swap and quarter turns are alike
    assert best in (
        "mirrored, x and y swapped",
        "mirrored along the other diagonal",
        "turned a quarter clockwise",
        "turned a quarter anticlockwise",
    )


def test_a_psf_whose_swap_is_z_turned_around_tells_nothing():
    psf = compile_psf(GaussianPSF(GaussianPSFConfig(roi_size=17)))
    found = orientation(filmed(psf).transpose(0, 2, 1).copy(), psf)
    assert found.telling == ()
    assert found.like_z_turned
    assert found.best is None
