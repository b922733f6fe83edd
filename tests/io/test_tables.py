"""Tables in foreign formats: origin, axis order, frame base, units, and what is wrong with them."""

import json

import h5py
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_dilatedloc.io.tables import (
    FORMATS,
    TableError,
    can_read,
    read_table,
    read_truth,
    write_table,
    write_truth,
)
from napari_dilatedloc.table import Emitters, Localizations, TableInfo

INFO = TableInfo(pixel_size_nm=110.0, shape=(32, 48), n_frames=20)
SUFFIXES = (".csv", ".hdf5", ".h5", ".parquet", ".mat")


def table(n=50, seed=0):
    rng = np.random.default_rng(seed)
    return Localizations(
        frame=rng.integers(0, 20, n),
        x=rng.uniform(-0.5, 47.5, n),
        y=rng.uniform(-0.5, 31.5, n),
        z_nm=rng.uniform(-700, 700, n),
        photons=rng.uniform(100, 9000, n),
        bg=rng.uniform(5, 150, n),
        prob=rng.uniform(0.5, 1, n),
        sigma_x=rng.uniform(0.02, 0.3, n),
        sigma_y=rng.uniform(0.02, 0.3, n),
        sigma_z_nm=rng.uniform(5, 90, n),
        sigma_photons=rng.uniform(5, 90, n),
    )


def assert_same(a, b, names=None, **tolerance):
    for name in names or a.column_names():
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), err_msg=name, **tolerance)


@pytest.mark.parametrize("suffix", [".hdf5", ".h5", ".parquet"])
def test_our_own_and_picasso_keep_every_bit(tmp_path, suffix):
    files = write_table(tmp_path / f"locs{suffix}", table(), INFO)
    assert all(file.is_file() for file in files)
    read, info = read_table(files[0])
    assert_same(read, table(), rtol=0, atol=0)
    assert info == INFO


def test_thunderstorm_round_trip(tmp_path):
    path = tmp_path / "locs.csv"
    assert write_table(path, table(), INFO) == [path]
    read, info = read_table(path, pixel_size_nm=110.0)
    same = ["frame", "x", "y", "z_nm", "photons", "bg", "sigma_z_nm"]
    assert_same(read, table(), same, rtol=2e-6, atol=1e-4 / 110)
    assert_same(read, table(), ["prob"], atol=1e-5)
    mean = (table().sigma_x + table().sigma_y) / 2
    np.testing.assert_allclose(read.sigma_x, mean, rtol=1e-5)
    np.testing.assert_array_equal(read.sigma_x, read.sigma_y)
    assert np.isnan(read.sigma_photons).all()
    assert info == TableInfo(pixel_size_nm=110.0)


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    x=st.floats(-0.5, 4000, width=32),
    y=st.floats(-0.5, 4000, width=32),
    frame=st.integers(0, 10**6),
    pixel=st.floats(20, 400),
    suffix=st.sampled_from(SUFFIXES),
)
def test_position_and_frame_survive(tmp_path, x, y, frame, pixel, suffix):
    path = tmp_path / f"locs{suffix}"
    one = Localizations.from_columns(frame=[frame], x=[x], y=[y], sigma_x=[0.1], sigma_y=[0.1])
    write_table(path, one, TableInfo(pixel_size_nm=pixel))
    read, _ = read_table(path, pixel_size_nm=pixel)
    assert read.frame[0] == frame
    # a CSV holds hundredths of a picometre, the rest of the error is that of float32
    np.testing.assert_allclose([read.x[0], read.y[0]], [x, y], rtol=1e-6, atol=1e-6)


def test_thunderstorm_columns_origin_and_base(tmp_path):
    """The centre of the first pixel lies at half a pixel, the first frame is 1."""
    one = table(1).replace(frame=[0], x=[0.0], y=[2.0], sigma_x=[0.1], sigma_y=[0.2], prob=[0.75])
    path = tmp_path / "locs.csv"
    write_table(path, one, TableInfo(pixel_size_nm=100.0))
    header, row = path.read_text().splitlines()
    assert header == (
        '"id","frame","x [nm]","y [nm]","z [nm]","intensity [photon]","offset [photon]",'
        '"uncertainty_xy [nm]","uncertainty_z [nm]","detection_probability"'
    )
    values = dict(zip(header.replace('"', "").split(","), map(float, row.split(",")), strict=True))
    assert values["id"] == 1
    assert values["frame"] == 1
    assert values["x [nm]"] == 50.0
    assert values["y [nm]"] == 250.0
    assert values["z [nm]"] == pytest.approx(one.z_nm[0], abs=1e-3)
    assert values["uncertainty_xy [nm]"] == pytest.approx(15.0, abs=1e-4)
    assert values["detection_probability"] == 0.75


def test_thunderstorm_in_2d_has_no_z(tmp_path):
    flat = Localizations.from_columns(frame=[0], x=[1.0], y=[2.0], photons=[500.0])
    path = tmp_path / "locs.csv"
    write_table(path, flat, INFO)
    header = path.read_text().splitlines()[0]
    assert "z [nm]" not in header
    assert "nan" not in path.read_text().lower()
    assert np.isnan(read_table(path, pixel_size_nm=110)[0].z_nm).all()


def test_picasso_columns_and_metadata(tmp_path):
    """Picasso: px from the centre of the first pixel, frames from 0, z in nm, metadata twice."""
    files = write_table(tmp_path / "locs.hdf5", table(), INFO)
    assert [file.name for file in files] == ["locs.hdf5", "locs.yaml"]
    with h5py.File(files[0]) as file:
        locs = file["locs"][()]
        embedded = json.loads(file["metadata"][()])
    assert {"frame", "x", "y", "photons", "bg", "lpx", "lpy", "z", "lpz"} <= set(locs.dtype.names)
    assert locs.dtype["frame"] == np.uint32
    np.testing.assert_array_equal(locs["x"], table().x)
    np.testing.assert_array_equal(locs["frame"], table().frame)
    np.testing.assert_array_equal(locs["lpz"], table().sigma_z_nm)
    documents = list(yaml.safe_load_all(files[1].read_text()))
    assert documents == embedded
    assert documents[0]["Generated by"].startswith("napari-dilatedloc")
    assert documents[0] | {"Generated by": ""} == {
        "Generated by": "",
        "Width": 48,
        "Height": 32,
        "Frames": 20,
        "Pixelsize": 110.0,
    }
    files[1].unlink()
    assert read_table(files[0])[1] == INFO  # from /metadata alone


def test_picasso_never_gets_nan(tmp_path):
    """Picasso drops each row with a NaN in any column."""
    path = tmp_path / "locs.hdf5"
    flat = Localizations.from_columns(frame=[0, 3], x=[1.0, 5.2], y=[2.0, 1.0])
    write_table(path, flat, TableInfo(pixel_size_nm=100.0))
    with h5py.File(path) as file:
        locs = file["locs"][()]
    assert all(np.isfinite(locs[name]).all() for name in locs.dtype.names)
    info = read_table(path)[1]
    assert info.shape == (3, 6)
    assert info.n_frames == 4


def test_picasso_without_pixel_size(tmp_path):
    path = write_table(tmp_path / "locs.hdf5", table(), INFO)[0]
    with h5py.File(path, "a") as file:
        del file["metadata"]
    path.with_suffix(".yaml").write_text("Width: 48\n---\nHeight: 32\nx: !!python/tuple [1, 2]\n")
    with pytest.raises(TableError, match="Pixelsize"):
        read_table(path)
    assert read_table(path, pixel_size_nm=90)[1] == TableInfo(90.0, (32, 48))


def test_real_picasso_file(data_dir):
    path = data_dir / "tables/picasso/testdata_locs.hdf5"
    assert can_read(path)
    read, info = read_table(path)
    assert len(read) == 564
    assert info.shape == (32, 32)
    assert info.pixel_size_nm == 130
    assert info.n_frames == 1000
    assert read.x[0] == np.float32(5.618027)
    assert read.frame[0] == 11
    assert read.sigma_x[0] == pytest.approx(0.01806209)


def test_real_thunderstorm_file(data_dir):
    """Its header is quoted once more as a whole, and frames are floats."""
    path = data_dir / "tables/locan/Thunderstorm_dstorm_data.csv"
    assert can_read(path)
    read, _ = read_table(path, pixel_size_nm=100.0)
    assert read.frame[0] == 2000
    np.testing.assert_allclose(read.x[0], 1320.109670647555 / 100 - 0.5, rtol=1e-6)
    np.testing.assert_allclose(read.y[0], 26344.7124618434 / 100 - 0.5, rtol=1e-6)
    np.testing.assert_allclose(read.sigma_x[0], 0.2293255, rtol=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "tables/locan/Elyra_dstorm_data.txt",
        "tables/picasso/testdata.raw",
        "storm-analysis/test_truth.csv",
        "tetrapod-beads/tetrapod_bead_stack.tiff",
    ],
)
def test_other_files_are_left_to_others(data_dir, name):
    assert not can_read(data_dir / name)
    with pytest.raises(TableError, match=r"lacks the columns|no table"):
        read_table(data_dir / name, pixel_size_nm=100)


def test_real_challenge_truth(data_dir):
    path = data_dir / "challenge-2016-AS/truth_frames01-32.csv"
    truth = read_truth(path, pixel_size_nm=100.0)
    assert len(truth) == 48
    assert truth.frame[:2].tolist() == [5, 6]
    np.testing.assert_allclose(truth.x[0], 12.4539, rtol=1e-6)
    np.testing.assert_allclose(truth.y[0], 60.18141, rtol=1e-6)
    assert truth.z_nm[0] == np.float32(572.108)
    assert truth.id[0] == truth.id[1]
    positions = {*zip(truth.x.tolist(), truth.y.tolist(), strict=True)}
    assert truth.id.max() + 1 == len(positions)
    as_table, _ = read_table(path, pixel_size_nm=100.0)
    np.testing.assert_array_equal(as_table.x, truth.x)


def test_truth_is_bright_where_the_movie_is(data_dir):
    """Settles origin, axis order and frame base together: wrong ones fall on background."""
    from napari_dilatedloc.io.movie import open_movie

    folder = data_dir / "challenge-2016-AS"
    movie = open_movie(folder / "MT0.N1.LD-AS_frames01-32.tif").data.compute().astype(float)
    truth = read_truth(folder / "truth_frames01-32.csv", pixel_size_nm=100.0)

    # the axis order of the table against the other, and the frame base against its neighbours
    def brightness(frame, row, column):
        rows, columns = np.rint(row).astype(int), np.rint(column).astype(int)
        inside = (frame >= 0) & (frame < 32) & (rows < 64) & (columns < 64)
        return np.mean(movie[frame[inside], rows[inside], columns[inside]])

    ours = brightness(truth.frame, truth.y, truth.x)
    assert ours > 1.5 * brightness(truth.frame, truth.x, truth.y)
    assert ours > 1.1 * brightness(truth.frame + 1, truth.y, truth.x)
    assert ours > 1.1 * brightness(truth.frame - 1, truth.y, truth.x)


def test_thunderstorm_truth_in_2d(data_dir):
    truth = read_truth(data_dir / "deep-storm-2d/positions_demo1.csv", pixel_size_nm=100.0)
    assert len(truth) == 4956
    assert np.isnan(truth.z_nm).all()
    np.testing.assert_allclose(truth.x[0], 0.17843, atol=1e-5)
    assert truth.frame[0] == 0


def test_truth_round_trip(tmp_path):
    path = tmp_path / "truth.csv"
    truth = Emitters(
        frame=[0, 1, 1],
        x=[0.0, 0.0, 7.25],
        y=[3.5, 3.5, 1.0],
        z_nm=[-50, -50, 200],
        photons=[900, 1000, 55],
        id=[4, 4, 2],
    )
    write_truth(path, truth, 100.0)
    lines = path.read_text().splitlines()
    assert lines[0] == "Ground-truth,frame,xnano,ynano,znano,intensity "
    assert lines[1].split(",")[:3] == ["1", "1", "50.00000"]
    read = read_truth(path, pixel_size_nm=100.0)
    assert_same(read, truth.replace(id=[0, 0, 1]), atol=1e-6)
    assert can_read(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_empty_table(tmp_path, suffix):
    path = tmp_path / f"locs{suffix}"
    write_table(path, Localizations.empty(), INFO)
    read, _ = read_table(path, pixel_size_nm=110)
    assert len(read) == 0
    assert can_read(path)


def test_empty_truth(tmp_path):
    path = tmp_path / "truth.csv"
    write_truth(path, Emitters.empty(), 100.0)
    assert len(read_truth(path, pixel_size_nm=100.0)) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a,b,c\n1,2,3\n", r"lacks the columns frame"),
        ('"frame","x [nm]"\n1,2\n', r"lacks the columns"),
        ('"frame","x [nm]","y [nm]"\n1,2,abc\n', "no numbers"),
        ('"frame","x [nm]","y [nm]"\n1,2,3\n2,5\n', r"y \[nm\] in row 2"),
        ("frame,xnano,ynano\n1,2,3\n", "lacks the columns znano, intensity"),
        ("frame,xnano,ynano,znano,intensity\n0,2,3,4,5\n", "frames from 1"),
        ("\xff\xfe\x00", "no text"),
    ],
)
def test_bad_csv(tmp_path, text, message):
    path = tmp_path / "locs.csv"
    path.write_bytes(text.encode("latin-1"))
    for read in (read_table, read_truth):
        if read is read_truth and message in ("is empty", "lacks the columns frame"):
            message = "no ground truth|is empty|lacks"
        with pytest.raises(TableError) as caught:
            read(path, pixel_size_nm=100.0)
        assert "\n" not in str(caught.value).strip()
        if read is read_table:
            assert caught.match(message)


def test_missing_pixel_size(tmp_path):
    path = write_table(tmp_path / "locs.csv", table(), INFO)[0]
    with pytest.raises(TableError, match="give pixel_size_nm"):
        read_table(path)
    with pytest.raises(TableError, match="must be positive"):
        read_table(path, pixel_size_nm=-1)


def test_frame_zero_in_thunderstorm_is_told(tmp_path, caplog):
    path = tmp_path / "locs.csv"
    path.write_text('"frame","x [nm]","y [nm]"\n0,50,150\n1,50,150\n')
    read, _ = read_table(path, pixel_size_nm=100.0)
    assert read.frame.tolist() == [0, 1]
    assert "frame 0" in caplog.text


def test_bad_files(tmp_path):
    with pytest.raises(TableError, match="no such file"):
        read_table(tmp_path / "absent.csv")
    assert not can_read(tmp_path / "absent.csv")
    with pytest.raises(TableError, match=r"expected \.csv"):
        write_table(tmp_path / "locs.txt", table(), INFO)
    cut = write_table(tmp_path / "locs.h5", table(5000), INFO)[0]
    cut.write_bytes(cut.read_bytes()[:3000])
    assert not can_read(cut)
    with pytest.raises(TableError, match="damaged"):
        read_table(cut)
    future = write_table(tmp_path / "future.h5", table(), INFO)[0]
    with h5py.File(future, "a") as file:
        file.attrs["version"] = 2
    with pytest.raises(TableError, match="version 2"):
        read_table(future)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_failed_write_leaves_the_old_file(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"locs{suffix}"
    files = {file: file.read_bytes() for file in write_table(path, table(), INFO)}

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr("napari_dilatedloc.io.csv_rows.text_of", fail)
    monkeypatch.setattr("h5py.File.create_dataset", fail)
    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", fail)
    with pytest.raises(OSError, match="full"):
        write_table(path, table(3), INFO)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == files


def test_kind_overrules_suffix(tmp_path):
    path = tmp_path / "locs.dat"
    write_table(path, table(), INFO, kind="native")
    assert read_table(path)[1] == INFO


@pytest.mark.parametrize("size", [0.0, -100.0, float("nan")])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_pixel_size_that_is_none_is_refused_by_every_format(tmp_path, suffix, size):
    path = write_table(tmp_path / f"locs{suffix}", table(), INFO)[0]
    with pytest.raises(TableError, match="pixel_size_nm must be positive"):
        read_table(path, pixel_size_nm=size)


@pytest.mark.parametrize("frame", [[3e9], [np.nan], [-(2**31) - 1], np.array([2**32], "u8")])
def test_frames_that_are_no_int32_do_not_become_others(frame):
    with pytest.raises(ValueError, match="column frame must hold whole numbers"):
        Localizations.from_columns(frame=frame, x=[1], y=[1])


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_without_a_position_spoil_no_file(tmp_path, kind, bad, caplog):
    """Texts leave them out and say so; a whole table of them stays a table."""
    path = tmp_path / "locs.dat"
    for x in ([1, bad, 3], [bad] * 3):
        lost = table(3).replace(x=x)
        write_table(path, lost, INFO, kind=kind)
        read, _ = read_table(path, pixel_size_nm=110.0)
        there = np.isfinite(lost.x)
        np.testing.assert_allclose(read.x[np.isfinite(read.x)], lost.x[there], rtol=1e-6)
        assert len(read) in (there.sum(), 3)
        assert (len(read) == 3) != ("without a finite position" in caplog.text)
