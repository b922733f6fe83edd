import numpy as np
import pytest
import tifffile

from napari_dilatedloc.camera_maps import CameraMaps, CameraMapsError, load_camera_maps

SHAPE = (5, 7)
GIVEN = {"e_per_adu": 0.5, "qe": 0.8}


@pytest.fixture
def planes():
    """Offset (ADU), variance (ADU^2), gain (ADU/e) and relative QE, each (Y, X)."""
    rng = np.random.default_rng(0)
    offset = 100 + rng.normal(0, 2, SHAPE)
    variance = rng.uniform(1, 9, SHAPE)
    variance[2, 3] = 4000.0  # a hot pixel
    gain = rng.uniform(1.9, 2.4, SHAPE)
    return np.stack([offset, variance, gain, rng.uniform(0.9, 1.1, SHAPE)])


def check(maps, planes, relative_qe=True):
    offset, variance, gain, rqe = planes
    assert maps.baseline == pytest.approx(offset, rel=1e-5)
    assert maps.e_per_adu == pytest.approx(1 / gain, rel=1e-5)
    assert maps.read_noise_e == pytest.approx(np.sqrt(variance) / gain, rel=1e-5)
    if relative_qe:
        assert maps.qe == pytest.approx(0.8 * rqe, rel=1e-5)
    else:
        assert maps.qe is None


def test_npz_in_our_units(tmp_path, planes):
    offset, variance, gain, rqe = planes
    path = tmp_path / "chip.npz"
    noise = np.sqrt(variance) / gain
    np.savez(path, baseline=offset, e_per_adu=1 / gain, read_noise_e=noise, qe=0.8 * rqe)
    check(load_camera_maps(path, **GIVEN), planes)


def test_npz_with_a_variance_and_a_relative_efficiency(tmp_path, planes):
    offset, variance, gain, rqe = planes
    path = tmp_path / "chip.npz"
    np.savez(path, baseline=offset, e_per_adu=1 / gain, variance_adu2=variance, relative_qe=rqe)
    check(load_camera_maps(path, **GIVEN), planes)


def test_a_variance_alone_takes_the_gain_of_the_settings(tmp_path):
    path = tmp_path / "chip.npz"
    np.savez(path, variance_adu2=np.full(SHAPE, 9.0))
    maps = load_camera_maps(path, **GIVEN)
    assert maps.read_noise_e == pytest.approx(np.full(SHAPE, 1.5))
    assert maps.baseline is None


@pytest.mark.parametrize("count", [3, 4])
def test_tiff_planes(tmp_path, planes, count):
    path = tmp_path / "chip.tif"
    tifffile.imwrite(path, planes[:count].astype(np.float32), photometric="minisblack")
    check(load_camera_maps(path, **GIVEN), planes, relative_qe=count == 4)


def test_storm_analysis_layouts(tmp_path, planes):
    np.save(tmp_path / "old.npy", planes[:3].transpose(0, 2, 1))  # counts columns first
    check(load_camera_maps(tmp_path / "old.npy", **GIVEN), planes, relative_qe=False)
    np.save(tmp_path / "new.npy", planes)
    check(load_camera_maps(tmp_path / "new.npy", **GIVEN), planes)


def test_storm_analysis_file(data_dir):
    maps = load_camera_maps(data_dir / "storm-analysis" / "calib.npy", e_per_adu=0.5, qe=0.8)
    assert maps.baseline.shape == (256, 256)
    assert np.all(maps.baseline == 0)
    assert np.all(maps.e_per_adu == 1)  # 1 ADU per electron, variance 1 ADU^2
    assert np.all(maps.read_noise_e == 1)


def test_hot_pixels_stay(tmp_path, planes):
    np.save(tmp_path / "chip.npy", planes)
    noise = load_camera_maps(tmp_path / "chip.npy", **GIVEN).read_noise_e
    assert noise.argmax() == 2 * SHAPE[1] + 3


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"baseline": np.full(SHAPE, np.nan)}, "baseline must be finite"),
        ({"baseline": np.full(SHAPE, -1.0)}, "baseline must be finite and at least 0"),
        ({"e_per_adu": np.zeros(SHAPE)}, "e_per_adu must be finite and above 0"),
        ({"variance_adu2": np.full(SHAPE, -4.0)}, "variance_adu2 must be finite"),
        ({"read_noise_e": np.full(SHAPE, np.inf)}, "read_noise_e must be finite"),
        ({"qe": np.full(SHAPE, 1.5)}, "qe must be finite and between 0 and 1"),
        ({"relative_qe": np.zeros(SHAPE)}, "relative_qe must be finite"),
        ({"baseline": np.ones(5)}, r"must have shape \(Y, X\)"),
        ({"offset": np.ones(SHAPE)}, "rename its arrays"),
        ({}, "got nothing"),
        ({"qe": np.ones(SHAPE), "relative_qe": np.ones(SHAPE)}, "both qe and relative_qe"),
        ({"baseline": np.ones(SHAPE), "e_per_adu": np.ones((5, 6))}, "one shape"),
        ({"variance_adu2": np.ones(SHAPE), "e_per_adu": np.ones((5, 6))}, "cut them"),
        ({"baseline": np.array([{}], dtype=object)}, "cannot read"),
    ],
)
def test_impossible_maps_are_refused_in_a_sentence(tmp_path, arrays, said):
    path = tmp_path / "chip.npz"
    np.savez(path, **arrays)
    with pytest.raises(CameraMapsError, match=said) as caught:
        load_camera_maps(path, **GIVEN)
    assert "chip.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_files_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(CameraMapsError, match="no file of camera maps"):
        load_camera_maps(tmp_path / "absent.npz", **GIVEN)
    with pytest.raises(CameraMapsError, match=r"must be \.npz, \.npy or \.tif"):
        load_camera_maps(tmp_path / "chip.mat", **GIVEN)
    for suffix in (".npz", ".npy", ".tif"):
        path = tmp_path / f"broken{suffix}"
        path.write_bytes(b"no maps at all")
        with pytest.raises(CameraMapsError, match="cannot read"):
            load_camera_maps(path, **GIVEN)
    np.save(tmp_path / "flat.npy", np.ones(SHAPE))
    with pytest.raises(CameraMapsError, match="3 or 4 planes"):
        load_camera_maps(tmp_path / "flat.npy", **GIVEN)
    np.save(tmp_path / "pickled.npy", np.array([np.ones(SHAPE), 2], dtype=object))
    with pytest.raises(CameraMapsError, match=r"numpy\.savez"):
        load_camera_maps(tmp_path / "pickled.npy", **GIVEN)


def test_maps_made_by_hand_are_checked_too():
    with pytest.raises(CameraMapsError, match="e_per_adu"):
        CameraMaps(e_per_adu=np.zeros(SHAPE, dtype=np.float32))
