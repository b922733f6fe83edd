"""Tables that other programs wrote: what their numbers mean, checked against what lies beside."""

import json
import logging

import h5py
import numpy as np
import pytest
import tifffile
from scipy.io import savemat

from napari_dilatedloc.io.tables import (
    TableError,
    can_read,
    needs_pixel_size,
    read_info,
    read_parts,
    read_table,
    write_table,
)
from napari_dilatedloc.table import Localizations, TableInfo

INFO = TableInfo(pixel_size_nm=100.0)
LOCAN = "tables/locan"


def test_smap_pixels_count_from_one(data_dir):
    """Its own xpix, in MATLAB's pixels, says where a localization lies on the movie."""
    path = data_dir / LOCAN / "smap_dstorm_data.mat"
    assert can_read(path)
    assert not needs_pixel_size(path)
    read, info = read_table(path)
    assert info == TableInfo(104.0, (256, 256), 1000)
    np.testing.assert_allclose(read.x, read.extra["xpix"] - 1, atol=3e-5)
    np.testing.assert_allclose(read.y, read.extra["ypix"] - 1, atol=3e-5)
    np.testing.assert_allclose(read.sigma_x, read.extra["xpixerr"], rtol=1e-5)
    np.testing.assert_allclose(read.sigma_z_nm, read.extra["zerr"], rtol=1e-6)
    assert read.frame.min() == 0
    assert len(read) == 4884
    with h5py.File(path) as file:
        loc = file["saveloc/loc"]
        np.testing.assert_array_equal(read.photons, loc["phot"][0])
        known = {"frame", "xnm", "ynm", "znm", "phot", "photerr", "bg", "xnmerr", "ynmerr"}
        assert read.extra.keys() == set(loc) - known - {"locprecnm", "locprecznm"}
        rms = np.sqrt((loc["xnmerr"][0] ** 2 + loc["ynmerr"][0] ** 2) / 2)
        np.testing.assert_allclose(rms, loc["locprecnm"][0], rtol=1e-5)  # why it may be left out


def test_smap_pixels_that_are_not_square_keep_nm_from_the_region(tmp_path, caplog):
    """A region that begins at pixels 10, 20 of 100 x 125 nm; one spot in its first pixel."""
    movie = {"cam_pixelsize_um": [0.1, 0.125], "roi": [10, 20, 64, 32]}
    loc = {"frame": [1.0, 1.0], "xnm": [1100.0, 1300.0], "ynm": [21 * 125.0, 24 * 125.0]}
    path = tmp_path / "a_sml.mat"
    savemat(path, {"saveloc": {"loc": loc, "file": {"info": movie}}})
    read, info = read_table(path)
    assert info.pixel_size_nm == 100
    np.testing.assert_allclose(read.x * 100, [0, 200], atol=1e-3)
    np.testing.assert_allclose(read.y * 100, [0, 375], atol=1e-3)
    assert "100 x 125 nm" in caplog.text


def test_smap_written_by_us_has_the_structure_of_its_own(data_dir, tmp_path):
    own = data_dir / LOCAN / "smap_dstorm_data.mat"
    table, info = read_table(own)
    ours = write_table(tmp_path / "ours_sml.mat", table, info)[0]
    with h5py.File(own) as theirs, h5py.File(ours) as file:
        assert theirs.userblock_size == file.userblock_size
        assert file["fileformat/name"][()].tolist() == theirs["fileformat/name"][()].tolist()
        for place in ("saveloc", "saveloc/loc", "saveloc/file", "saveloc/file/info"):
            assert file[place].attrs["MATLAB_class"] == theirs[place].attrs["MATLAB_class"]
            fields = file[place].attrs["MATLAB_fields"]
            assert {b"".join(name.tolist()).decode() for name in fields} == set(file[place])
        for name, column in theirs["saveloc/loc"].items():
            assert file["saveloc/loc"][name].shape == column.shape
            got, want = file["saveloc/loc"][name][()], column[()]
            assert file["saveloc/loc"][name].attrs["MATLAB_class"] in (b"single", b"double")
            np.testing.assert_allclose(got, want, rtol=2e-6, atol=2e-2 * (name[1:] == "nm"))
        roi = file["saveloc/file/info/roi"]
        np.testing.assert_array_equal(roi, theirs["saveloc/file/info/roi"])
    assert ours.read_bytes()[:19] == own.read_bytes()[:19] == b"MATLAB 7.3 MAT-file"
    assert ours.read_bytes()[124:128] == own.read_bytes()[124:128]


@pytest.mark.parametrize("holder", ["file", "info"])
def test_smap_of_matlab_5(tmp_path, holder):
    """A region of the camera shifts positions; Picasso's export keeps it in saveloc.info."""
    movie = {"cam_pixelsize_um": [0.1, 0.1], "roi": [10, 20, 64, 32], "numberOfFrames": 9.0}
    loc = {
        "frame": np.array([[1.0], [9.0]]),
        "xnm": np.array([[1100.0], [1250.0]]),
        "ynm": np.array([[2100.0], [2200.0]]),
        "locprecnm": np.array([[12.0], [8.0]]),
        "channel": np.array([[0.0], [1.0]]),
        "comment": "no number",
    }
    beside = {"file": {"info": movie}} if holder == "file" else {"info": movie}
    savemat(tmp_path / "a_sml.mat", {"saveloc": {"loc": loc, **beside}})
    path = tmp_path / "a_sml.mat"
    assert can_read(path)
    read, info = read_table(path)
    assert info == TableInfo(100.0, (32, 64), 9)
    assert read.frame.tolist() == [0, 8]
    np.testing.assert_allclose(read.x, [0, 1.5], atol=1e-6)
    np.testing.assert_allclose(read.y, [0, 1], atol=1e-6)
    np.testing.assert_allclose(read.sigma_y, [0.12, 0.08])
    assert list(read.extra) == ["channel"]
    other = tmp_path / "psf.mat"
    savemat(other, {"SXY": {"a": 1}})
    assert not can_read(other)


def test_smap_gets_a_precision_for_every_row(tmp_path, caplog):
    """Without one it would drop the row; read back it is unknown again."""
    table = Localizations.from_columns(
        frame=[0, 1], x=[1, 2], y=[1, 2], sigma_x=[0.1, np.nan], sigma_y=[0.2, np.nan]
    )
    path = write_table(tmp_path / "a_sml.mat", table, INFO)[0]
    assert "1 localizations without precision" in caplog.text
    with h5py.File(path) as file:
        assert np.isfinite(file["saveloc/loc/locprecnm"]).all()
        assert "znm" not in file["saveloc/loc"]
    np.testing.assert_allclose(read_table(path)[0].sigma_x, table.sigma_x)


def test_decode_turns_axes_and_keeps_nm(data_dir, caplog):
    path = data_dir / LOCAN / "decode_dstorm_data.h5"
    read, info = read_table(path)
    with h5py.File(path) as file:
        xyz, sigma = file["data/xyz"][()], file["data/xyz_sig"][()]
    assert info.pixel_size_nm == 117
    assert caplog.text.count("117 x 127 nm") == 1
    np.testing.assert_array_equal(read.x, xyz[:, 1])
    np.testing.assert_allclose(read.y * 117, xyz[:, 0] * 127, rtol=1e-6)
    np.testing.assert_array_equal(read.z_nm, xyz[:, 2])
    np.testing.assert_array_equal(read.sigma_x, sigma[:, 1])
    np.testing.assert_array_equal(read.frame[:3], [294, 370, 1896])
    assert read.extra == {}
    square, _ = read_table(path, pixel_size_nm=100.0)
    np.testing.assert_array_equal(square.y, xyz[:, 0])
    assert len(read_table(data_dir / LOCAN / "decode_dstorm_data_empty.h5")[0]) == 0


def test_decode_written_by_us_has_the_structure_of_its_own(data_dir, tmp_path):
    path = data_dir / LOCAN / "decode_dstorm_data.h5"
    table, info = read_table(path)
    ours = write_table(tmp_path / "ours.h5", table, info, kind="decode")[0]
    with h5py.File(path) as theirs, h5py.File(ours) as file:
        assert set(file["data"]) == set(theirs["data"])
        for name, column in theirs["data"].items():
            assert file["data"][name].shape == column.shape
            assert file["data"][name].dtype == column.dtype
        np.testing.assert_array_equal(file["data/xyz"][:, 1:], theirs["data/xyz"][:, 1:])
        assert file["meta"].attrs["xy_unit"] == "px"


def test_decode_csv_in_nm(tmp_path):
    columns = "x,y,z,phot,frame_ix,id,prob,bg,x_cr,y_cr,comment"
    said = json.dumps({"xy_unit": "nm", "px_size": [100.0, 100.0]})
    head = f'# DECODE EmitterSet\n# {{"version": "0.10.0"}}\n# {said}\n{columns}\n'
    path = tmp_path / "a.csv"
    path.write_text(head + "200,350,-5,900,0,7,0.5,10,4,9,ok\n250,300,5,,2,-1,1,11,4,9,ok\n")
    read, info = read_table(path)
    assert info == INFO
    np.testing.assert_allclose(read.y, [2, 2.5])
    np.testing.assert_allclose(read.x, [3.5, 3])
    assert np.isnan(read.photons[1])
    assert read.extra["id"].tolist() == [7, -1]
    np.testing.assert_allclose(read.extra["x_cr"], 9 / 100**2)  # along our x, px²
    np.testing.assert_allclose(read.extra["y_cr"], 4 / 100**2)
    path.write_text(head.replace('"nm"', '"um"') + "1,1,1,1,1,1,1,1,1,1,1\n")
    with pytest.raises(TableError, match="expected px or nm"):
        read_table(path)
    path.write_text("# DECODE EmitterSet\n#\n# nothing\nx,y\n")
    with pytest.raises(TableError, match="no unit in its third line"):
        read_table(path)


def test_rapidstorm_counts_from_the_centre_of_the_first_pixel(data_dir):
    """Its spots on the movie it came from, and a greatest position that makes its 128 pixels."""
    folder = data_dir / LOCAN
    path = folder / "rapidSTORM_from_images.txt"
    assert needs_pixel_size(path)
    read, info = read_table(path, pixel_size_nm=133.5)
    movie = tifffile.imread(folder / "images.tif").astype(float)
    assert info.shape == movie.shape[1:]
    assert np.isnan(read.photons).all()  # counts of a camera are none
    assert read.extra["Amplitude-0-0"][0] == pytest.approx(2213.93)
    assert read_info(path, pixel_size_nm=100.0).shape is None  # not its pixel size
    misses = []
    for frame, y, x in zip(read.frame, read.y, read.x, strict=True):
        row, column = round(float(y)), round(float(x))
        if frame < len(movie) and 3 <= row < 125 and 3 <= column < 125:
            spot = movie[frame, row - 3 : row + 4, column - 3 : column + 4]
            spot = np.clip(spot - np.percentile(spot, 30), 0, None)
            offset = np.arange(-3, 4)
            misses.append(
                (
                    y - row - spot.sum(1) @ offset / spot.sum(),
                    x - column - spot.sum(0) @ offset / spot.sum(),
                )
            )
    assert len(misses) == 4
    assert np.abs(np.mean(misses, axis=0)).max() < 0.2  # half a pixel would be 0.5


def test_rapidstorm_with_photons_z_and_errors(tmp_path):
    fields = [
        ("Position-0-0", "nanometer"),
        ("Position-1-0", "nanometer"),
        ("Position-2-0", "micrometer"),
        ("ImageNumber-0-0", "frame"),
        ("Amplitude-0-0", "photon"),
        ("PositionUncertainty-0-0", "nanometer"),
        ("PositionUncertainty-1-0", "nanometer"),
    ]
    xml = "".join(f'<field identifier="{name}" unit="{unit}" />' for name, unit in fields)
    path = tmp_path / "a.txt"
    path.write_text(f"# <localizations>{xml}</localizations>\n300 200 0.1 0 5000 10 20\n")
    read, _ = read_table(path, pixel_size_nm=100.0)
    assert (read.x[0], read.y[0], read.z_nm[0], read.photons[0]) == (3, 2, 100, 5000)
    assert (read.sigma_x[0], read.sigma_y[0]) == (np.float32(0.1), np.float32(0.2))
    path.write_text("# <localizations><field></localizations>\n1 2\n")
    assert can_read(path)
    with pytest.raises(TableError, match="no description by rapidSTORM"):
        read_table(path, pixel_size_nm=100.0)


def test_oni(data_dir):
    path = data_dir / LOCAN / "Nanoimager_dstorm_data.csv"
    read, _ = read_table(path, pixel_size_nm=117.0)
    assert len(read) == 14
    assert read.frame[[0, -1]].tolist() == [1548, 0]
    np.testing.assert_allclose(read.x[0], 40918.949219 / 117 - 0.5, rtol=1e-6)
    np.testing.assert_allclose(read.photons[0], 139.828232, rtol=1e-6)
    assert read.extra["Channel"].tolist() == [0] * 9 + [1] * 5


NIKON = (
    "Channel Name\tX\tY\tXc\tYc\tHeight\tArea\tWidth\tPhi\tAx\tBG\tI\tFrame\tLength\tLink\tValid\t"
    "Z\tZc\tPhotons\tLateral Localization Accuracy\tXw\tYw\tXwc\tYwc\n"
    "647\t150\t250\t160\t270\t9\t9\t300\t0\t1\t80\t900\t1\t1\t-1\t1\t40\t30\t2000\t12.5\t1\t2\t3\t4\n"
    "Bleed\t150\t250\t160\t270\t9\t9\t300\t0\t1\t80\t900\t3\t1\t-1\t1\t40\t30\t2000\t12.5\t1\t2\t3\t4\n"
)


def test_nikon_takes_what_is_corrected_for_drift(tmp_path, caplog):
    path = tmp_path / "molecules.txt"
    path.write_text(NIKON)
    read, _ = read_table(path, pixel_size_nm=100.0)
    assert read.frame.tolist() == [0, 2]
    np.testing.assert_allclose([read.x[0], read.y[0], read.z_nm[0]], [1.1, 2.2, 30], rtol=1e-6)
    np.testing.assert_allclose(read.sigma_x, 0.125)
    assert read.extra["X"].tolist() == [150, 150]
    assert {"Height", "BG", "Xwc", "Z"} <= read.extra.keys()
    assert "column Channel Name holds text" in caplog.text


def test_unknown_columns_of_text_are_told_and_numbers_kept(tmp_path, caplog):
    path = tmp_path / "a.csv"
    lines = [f"{i},{i}.5,2,dye,{'' if i % 3 else i}\n" for i in range(1, 2000)]
    lines[1500] = "1501,1.5,2,dye,x\n"
    path.write_text('"frame","x [nm]","y [nm]","label","state",\n' + "".join(lines))
    read = Localizations.concatenate(list(read_parts(path, 300, pixel_size_nm=100.0)))
    assert list(read.extra) == ["state"]
    assert read.extra["state"][2] == 3
    assert np.isnan(read.extra["state"][[0, 1500]]).all()
    assert "column label holds text and is left out" in caplog.text
    assert caplog.text.count("state holds text in some rows") == 1


def test_foreign_columns_with_our_names_are_not_mistaken(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('"frame","x [nm]","y [nm]","bg","sigma_x"\n1,50,50,7,8\n')
    read, _ = read_table(path, pixel_size_nm=100.0)
    assert np.isnan(read.bg).all()
    assert {name: v.tolist() for name, v in read.extra.items()} == {
        "foreign_bg": [7],
        "foreign_sigma_x": [8],
    }


def test_picasso_says_which_columns_it_lost(tmp_path, caplog):
    table = Localizations.from_columns(
        frame=[0, 1], x=[1, 2], y=[1, 2], sigma_x=[1, 1], sigma_y=[1, 1]
    )
    table = table.replace(extra={"group": np.array([1, 2]), "d": np.array([0.5, np.nan])})
    path = write_table(tmp_path / "a.hdf5", table, INFO)[0]
    assert "a.hdf5: d left out" in caplog.text
    assert read_table(path)[0].extra["group"].tolist() == [1, 2]


@pytest.mark.parametrize("text", ["a,b,c\n1,2,3\n", "frame,x,y\n1,2,3\n", "x [nm],y [nm]\n1,2\n"])
def test_a_csv_of_something_else_is_left_to_others(tmp_path, text):
    path = tmp_path / "cells.csv"
    path.write_text(text)
    assert not can_read(path)
    with pytest.raises(TableError, match="lacks the columns frame, x"):
        read_table(path, pixel_size_nm=100.0)


def test_lines_may_end_in_a_carriage_return_alone(tmp_path):
    path = tmp_path / "mac.csv"
    path.write_bytes(b'"frame","x [nm]","y [nm]"\r1,50,50\r2,50,150\r')
    assert read_table(path, pixel_size_nm=100.0)[0].y.tolist() == [0, 1]


@pytest.mark.parametrize("kind", ["thunderstorm", "smap-csv", "decode-csv", "challenge"])
def test_a_text_cut_inside_a_row_is_told(tmp_path, kind):
    table = Localizations.from_columns(frame=[0, 1], x=[1, 2], y=[1, 2], z_nm=[5, 6])
    path = write_table(tmp_path / "a.csv", table, INFO, kind=kind)[0]
    whole = path.read_text()
    path.write_text(whole.removesuffix("\n"))  # as some programs end their files
    assert len(read_table(path, pixel_size_nm=100.0)[0]) == 2
    path.write_text(whole[: whole.rindex(",")])
    with pytest.raises(TableError, match=r"a\.csv ends in the middle of a row"):
        read_table(path, pixel_size_nm=100.0)


@pytest.mark.parametrize("content", [b'a,b\rc,"d\x01\xff', b"", b"\xff\xfea\0,\0", b"\n\n"])
def test_a_look_at_a_strange_file_never_raises(tmp_path, content):
    path = tmp_path / "strange.csv"
    path.write_bytes(content)
    assert not can_read(path)
    with h5py.File(tmp_path / "strange.h5", "w") as file:
        file.attrs["format"] = np.array([1, 2])
    assert not can_read(tmp_path / "strange.h5")


def test_formats_are_known_by_content_not_by_name(tmp_path):
    table = Localizations.from_columns(frame=[0], x=[1], y=[1])
    for kind in ("thunderstorm", "smap-csv", "decode-csv", "challenge"):
        path = write_table(tmp_path / f"{kind}.dat", table, INFO, kind=kind)[0]
        assert read_table(path, pixel_size_nm=100.0)[0].x.tolist() == [1]
    with pytest.raises(TableError, match=r"cannot write a table as nonsense; expected"):
        write_table(tmp_path / "a.csv", table, INFO, kind="nonsense")


def test_log_is_the_only_voice(tmp_path, caplog):
    """Nothing is told of a table that loses nothing."""
    with caplog.at_level(logging.WARNING):
        table = Localizations.from_columns(frame=[0], x=[1], y=[1], sigma_x=[1], sigma_y=[1])
        for suffix in (".csv", ".h5", ".hdf5", ".mat", ".parquet"):
            path = write_table(tmp_path / f"a{suffix}", table, INFO)[0]
            read_table(path, pixel_size_nm=100.0)
    assert caplog.text == ""
