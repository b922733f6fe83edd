"""DECODE's parameters, old and new layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from napari_dilatedloc.config import EMCCDConfig, GaussianPSFConfig, SCMOSConfig
from napari_dilatedloc.psf.formats.decode import read_decode
from napari_dilatedloc.psf.formats.errors import PSFFileError
from napari_dilatedloc.psf.formats.smap import write_smap
from napari_dilatedloc.psf.gaussian import GaussianPSF

CAMERA = {
    "baseline": 100.0, "e_per_adu": 45.0, "em_gain": 300.0, "px_size": [100.0, 100.0],
    "qe": 0.95, "read_sigma": 74.4, "spur_noise": 0.002,
}  # fmt: skip
OLD: dict[str, Any] = {
    "Camera": CAMERA,
    "InOut": {"calibration_file": "cal/bead_3dcal.mat", "experiment_out": None},
    "HyperParameter": {"emitter_label_photon_min": 120.0},
    "Simulation": {
        "bg_uniform": [90, 150],
        "emitter_av": 25,
        "emitter_extent": [[-0.5, 39.5], [-0.5, 39.5], [-750, 700]],
        "intensity_mu_sig": [10000.0, 3000.0],
        "lifetime_avg": 2.5,
    },
}
NEW: dict[str, Any] = {
    "Camera": {0: CAMERA},
    "Paths": {"calibration": "cal/bead_3dcal.mat"},
    "Target": {"filter": {"phot": [120.0, None]}},
    "Simulation": {
        "bg": {0: {"uniform": [90, 150]}},
        "emitter_avg": 25,
        "emitter_extent": {"x": [-0.5, 39.5], "y": [-0.5, 39.5], "z": [-750, 700]},
        "intensity": {"mean": 10000.0, "std": 3000.0},
        "lifetime_avg": 2.5,
    },
}


def write(path: Path, values: Any) -> Path:
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.mark.parametrize("values", [OLD, NEW], ids=["0.10", "0.11"])
def test_reads_both_layouts(tmp_path: Path, values: dict[str, Any]) -> None:
    parameters = read_decode(write(tmp_path / "param.yaml", values))
    assert parameters.camera == EMCCDConfig(
        baseline=100, e_per_adu=45, em_gain=300, qe=0.95, read_noise_e=74.4, spurious_e=0.002
    )
    assert parameters.pixel_size_nm == 100
    assert parameters.calibration == tmp_path / "cal" / "bead_3dcal.mat"
    simulation = parameters.simulation
    assert simulation.bg == (90, 150)
    assert simulation.z_range_nm == (-750, 700)
    assert simulation.lifetime_frames == 2.5
    assert simulation.min_photons == 120
    assert simulation.density_per_um2 == pytest.approx((25 / 16, 25 / 16))
    low, high = simulation.photons
    drawn = np.random.default_rng(0).uniform(low, high, 200_000)
    assert drawn.mean() == pytest.approx(10000, rel=0.01)
    assert drawn.std() == pytest.approx(3000, rel=0.01)


@pytest.mark.parametrize("gain", [None, 0, 1])
def test_no_gain_is_an_scmos(tmp_path: Path, gain: int | None) -> None:
    values = {**OLD, "Camera": {**CAMERA, "em_gain": gain}}
    camera = read_decode(write(tmp_path / "param.yaml", values)).camera
    assert isinstance(camera, SCMOSConfig)
    assert camera.e_per_adu == 45
    assert camera.read_noise_e == 74.4


def test_what_is_left_open_has_our_defaults(tmp_path: Path) -> None:
    values = {"Camera": {"baseline": 100, "e_per_adu": 0.5}, "Simulation": {"bg_uniform": 20}}
    parameters = read_decode(write(tmp_path / "param.yaml", values))
    assert parameters.camera.qe == 1
    assert parameters.pixel_size_nm is None
    assert parameters.calibration is None
    assert parameters.simulation.bg == (20, 20)
    assert parameters.simulation.z_range_nm is None
    with pytest.raises(PSFFileError, match="names no calibration file"):
        parameters.psf()


def test_psf_beside_the_yaml(tmp_path: Path) -> None:
    (tmp_path / "cal").mkdir()
    psf = GaussianPSF(GaussianPSFConfig(pixel_size_nm=100, z_range_nm=(-400, 400)))
    write_smap(tmp_path / "cal" / "bead_3dcal.mat", psf)
    back = read_decode(write(tmp_path / "param.yaml", OLD)).psf()
    assert back.config.pixel_size_nm == 100
    z_nm = torch.tensor([-300.0, 300.0], dtype=torch.float64)
    zero = torch.zeros_like(z_nm)
    expected = psf.rois(z_nm, zero, zero)[:, 2:-2, 2:-2]
    torch.testing.assert_close(back.rois(z_nm, zero, zero), expected, atol=1e-4, rtol=0)


def test_one_sentence_for_each_broken_file(tmp_path: Path) -> None:
    path = tmp_path / "param.yaml"
    cases = [
        ({"Simulation": {}}, "DECODE's parameters with the part Camera, got Simulation"),
        ({"Camera": {"qe": 0.9}}, "got no baseline, e_per_adu; fill them in"),
        ({"Camera": {**CAMERA, "qe": 9}}, "Camera: qe: .* got 9"),
        ({"Camera": {**CAMERA, "px_size": [100, 110]}}, "square pixels, got"),
        ({**OLD, "Simulation": {"bg_uniform": [150, 90]}}, r"bg must be \(low, high\)"),
    ]
    for values, message in cases:
        with pytest.raises(PSFFileError, match=message):
            read_decode(write(path, values))
    with pytest.raises(PSFFileError, match="is not a readable YAML file"):
        read_decode(tmp_path / "absent.yaml")
