"""Isolated molecules: alone, at their planes, and measured against the bound."""

import numpy as np
import pytest
import torch

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.config import GaussianPSFConfig, SCMOSConfig
from napari_dilatedloc.psf.crlb import crlb
from napari_dilatedloc.psf.gaussian import GaussianPSF
from napari_dilatedloc.simulation.emitters import EmitterBatch
from napari_dilatedloc.training.isolated import make_isolated_set, measure_isolated

PSF = GaussianPSF(GaussianPSFConfig(roi_size=15, z_range_nm=(-600, 600)))
CAMERA = build_camera(SCMOSConfig())


def make(**changes):
    return make_isolated_set(PSF, CAMERA, **{"window": 3, "planes": 5, "per_plane": 40, **changes})


def test_molecules_are_alone_in_space_and_time():
    data = make()
    movies, frames, height, width = data.adu.shape
    assert (frames, height % 16, width % 16) == (3, 0, 0)
    assert len(data.truth) == 200
    for movie in range(movies):
        here = data.truth[data.truth.frame == movie]
        row, col = np.round(here.y), np.round(here.x)
        apart = np.maximum(np.abs(row[:, None] - row), np.abs(col[:, None] - col))
        assert (apart[~np.eye(len(here), dtype=bool)] >= 15).all()
        assert min(row.min(), col.min()) >= 7
        assert max(row.max(), col.max()) < height - 7
    photons = CAMERA.to_photons(data.adu)
    dark, lit = photons[:, [0, 2]].mean(), photons[:, 1].mean()
    assert float(dark) == pytest.approx(50, rel=0.005)
    per_movie = 5000 * len(data.truth) / movies / height / width
    assert float(lit - dark) == pytest.approx(per_movie, rel=0.1)  # a ROI cuts some photons off


def test_planes_and_phases_are_even():
    data = make(per_plane=100)
    assert data.z_nm.tolist() == [-600, -300, 0, 300, 600]
    assert np.bincount(data.plane).tolist() == [100] * 5
    assert np.allclose(data.truth.z_nm, data.z_nm[data.plane])
    for values in (data.truth.x, data.truth.y):
        counts = np.histogram(np.mod(values + 0.5, 1), 5, (0, 1))[0]
        assert np.sum((counts - 100) ** 2 / 100) < 18.5  # chi-square, 4 degrees, p = 0.001


def test_bounds_are_those_of_the_psf():
    data = make(planes=3)
    centred = crlb(PSF, data.z_nm, 5000, 50, CAMERA.noise)
    assert data.crlb_x_nm == pytest.approx(centred.x_nm, rel=0.03)
    assert data.crlb_z_nm == pytest.approx(centred.z_sigma_nm, rel=0.03)
    noisier = make_isolated_set(PSF, CAMERA, window=3, planes=3, per_plane=1, photons=1250, bg=50)
    assert (noisier.crlb_x_nm > 2 * data.crlb_x_nm).all()


def test_errors_as_large_as_the_bound_have_ratio_one(oracle_model):
    data = make(per_plane=200)
    model, _ = oracle_model()
    model.network.announce_isolated(data)
    bound_px = torch.tensor(np.hypot(data.crlb_x_nm, data.crlb_y_nm) / 2**0.5 / 100).float()
    bound_z = torch.tensor(data.crlb_z_nm).float()
    planes = torch.tensor(data.z_nm).float()

    def sigmas(truth):
        plane = (truth.z_nm[:, None] - planes).abs().argmin(1)
        return 1.2 * bound_px[plane], bound_z[plane]

    model.network.sigmas = sigmas
    result = measure(model, data)
    assert result.detected.tolist() == [1.0] * 5
    assert result.rmse_over_crlb_lateral == pytest.approx(1.2, rel=0.06)
    assert result.rmse_over_crlb_axial == pytest.approx(1.0, rel=0.08)
    assert (np.abs(result.bias_x_nm) < 4 * result.rmse_x_nm / 200**0.5).all()
    assert result.central.tolist() == [False, True, True, True, False]
    assert result.to_dict()["z_nm"] == [-600, -300, 0, 300, 600]


def test_what_is_not_found_is_nan_and_not_silently_good(oracle_model):
    data = make(per_plane=10)
    model, _ = oracle_model()
    nothing = torch.zeros(0, dtype=torch.long)
    empty = EmitterBatch(nothing, nothing, nothing, *(torch.zeros(0),) * 4)
    model.network.announce(empty, len(data.adu))
    result = measure(model, data)
    assert result.detected.tolist() == [0.0] * 5
    assert np.isnan(result.rmse_over_crlb_lateral)
    assert result.to_dict()["rmse_x_nm"] == [None] * 5


def test_same_seed_same_set_and_wrong_sizes_are_refused():
    assert torch.equal(make().adu, make().adu)
    assert not torch.equal(make().adu, make(seed=2).adu)
    with pytest.raises(ValueError, match="at least 1"):
        make(planes=0)


def measure(model, data):
    return measure_isolated(
        model.network, data, camera=CAMERA, scaling=model.info.scaling, threshold=0.5
    )
