"""Every kind of TIFF a microscope or ImageJ leaves behind, whole and damaged."""

import gc
import logging
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_dilatedloc.io import movie as movie_module
from napari_dilatedloc.io.frames import FrameStack, RawFrames
from napari_dilatedloc.io.layout import open_file
from napari_dilatedloc.io.movie import MovieError, open_movie, write_movie


def frames(n=12, height=20, width=30, dtype=np.uint16, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 250, (n, height, width)).astype(dtype)


def assert_reads(path, expected, pixel_size_nm=None):
    movie = open_movie(path)
    assert movie.data.shape == expected.shape
    assert movie.data.dtype == expected.dtype.newbyteorder("=")
    read = movie.data.compute()
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, expected)
    if pixel_size_nm is None:
        assert movie.pixel_size_nm is None
    else:
        assert movie.pixel_size_nm == pytest.approx(pixel_size_nm, rel=1e-4)


@pytest.mark.parametrize("suffix", [".tif", ".tiff", ".TIF"])
@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<i2", "u1", "<f4", ">f4"])
def test_types_and_byte_orders(tmp_path, suffix, dtype):
    path = tmp_path / f"movie{suffix}"
    expected = frames(dtype=np.dtype(dtype))
    order = ">" if dtype.startswith(">") else "<"
    tifffile.imwrite(path, expected, byteorder=order, photometric="minisblack")
    assert_reads(path, expected)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zlib", "predictor": True},
        {"tile": (16, 16)},
        {"compression": "lzw"},
        {"rowsperstrip": 3},
        {"bigtiff": True},
        {"compression": "packbits"},
    ],
)
def test_storage(tmp_path, options):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, frames(), photometric="minisblack", **options)
    assert_reads(path, frames())


@pytest.mark.parametrize("metadata", [None, {}])
@pytest.mark.parametrize("contiguous", [False, True])
def test_written_frame_by_frame(tmp_path, metadata, contiguous):
    path = tmp_path / "movie.tif"
    with tifffile.TiffWriter(path) as writer:
        for frame in frames():
            writer.write(frame, metadata=metadata, contiguous=contiguous)
    assert_reads(path, frames())


@pytest.mark.parametrize("axes", ["TYX", "ZYX"])
def test_imagej_stack_with_pixel_size(tmp_path, axes):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(
        path,
        frames(),
        imagej=True,
        resolution=(1 / 0.108, 1 / 0.108),
        metadata={"axes": axes, "unit": "um"},
    )
    assert_reads(path, frames(), 108.0)


def test_imagej_hyperstack_on_one_page(tmp_path):
    """ImageJ stores movies over 4 GB as one page that is followed by all frames."""
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, frames(), imagej=True, truncate=True, metadata={"axes": "TYX"})
    with tifffile.TiffFile(path) as tif:
        assert len(tif.pages) == 1
    assert_reads(path, frames())
    os.truncate(path, path.stat().st_size - 100)
    with pytest.raises(MovieError, match="truncated"):
        open_movie(path)


def test_sparse_imagej_movie_over_4_gib(tmp_path):
    """Frames beyond 2^32 bytes, on disk as a hole that takes no space."""
    path = tmp_path / "big.tif"
    side, n = 2048, 520
    first = np.zeros((n, 64, 64), np.uint16)
    tifffile.imwrite(
        path, first, imagej=True, truncate=True, metadata={"axes": "TYX"}, byteorder=">"
    )
    with tifffile.TiffFile(path, mode="r+") as tif:
        page = tif.pages.first
        offset = page.dataoffsets[0]
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            page.tags[name].overwrite(side)
        page.tags["StripByteCounts"].overwrite(side * side * 2)
    last = np.arange(side * side, dtype=">u2").reshape(side, side)
    with path.open("r+b") as file:
        file.seek(offset + (n - 1) * side * side * 2)
        file.write(last.tobytes())
    movie = open_movie(path)
    assert movie.data.shape == (n, side, side)
    assert movie.data.nbytes > 2**32
    np.testing.assert_array_equal(movie.data[n - 1].compute(), last.astype(np.uint16))


def test_ome_pixel_size_and_singleton_axes(tmp_path):
    path = tmp_path / "movie.ome.tif"
    tifffile.imwrite(
        path,
        frames()[:, None, None],
        ome=True,
        photometric="minisblack",
        metadata={"axes": "TZCYX", "PhysicalSizeX": 0.1, "PhysicalSizeXUnit": "µm"},
    )
    assert_reads(path, frames(), 100.0)


@pytest.mark.parametrize(
    ("resolution", "unit", "expected"),
    [((72, 72), "INCH", None), ((1e5, 1e5), "CENTIMETER", 100.0), ((1, 1), "CENTIMETER", None)],
)
def test_plain_resolution(tmp_path, resolution, unit, expected):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, frames(), resolution=resolution, resolutionunit=unit)
    assert_reads(path, frames(), expected)
    assert open_movie(path, pixel_size_nm=65).pixel_size_nm == 65


def write_parts(folder, n_parts=3, n=5, ome_for_all=False):
    """Parts base.ome.tif, base_1.ome.tif, ... of one movie; returns the movie."""
    movie = frames(n * n_parts)
    for i in range(n_parts):
        name = "cell_MMStack_Pos0" + (f"_{i}" if i else "") + ".ome.tif"
        part = movie[i * n : (i + 1) * n]
        tifffile.imwrite(
            folder / name, part, ome=ome_for_all, photometric="minisblack", metadata={"axes": "TYX"}
        )
    return movie


@pytest.mark.parametrize("ome_for_all", [False, True])
def test_parts_are_joined_by_name(tmp_path, ome_for_all):
    movie = write_parts(tmp_path, ome_for_all=ome_for_all)
    assert_reads(tmp_path / "cell_MMStack_Pos0.ome.tif", movie)
    assert_reads(tmp_path, movie)  # the folder holds one movie


def test_parts_are_joined_by_ome_metadata(tmp_path):
    """Names out of order, the OME-XML of the first file tells the order."""
    movie = frames(6)
    names = ["root.ome.tif", "zz.ome.tif", "aa.ome.tif"]
    uuids = [f"urn:uuid:00000000-0000-0000-0000-00000000000{i}" for i in range(3)]
    data = "".join(
        f'<TiffData FirstT="{t}" IFD="{t % 2}" PlaneCount="1"><UUID FileName="{names[t // 2]}">'
        f"{uuids[t // 2]}</UUID></TiffData>"
        for t in range(6)
    )
    pixels = (
        '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="30" SizeY="20" '
        'SizeZ="1" SizeC="1" SizeT="6" PhysicalSizeX="160" PhysicalSizeXUnit="nm">'
        '<Channel ID="C:0" SamplesPerPixel="1"/>' + data + "</Pixels>"
    )
    for i, name in enumerate(names):
        xml = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
            f' UUID="{uuids[i]}"><Image ID="Image:0">{pixels}</Image></OME>'
        )
        with tifffile.TiffWriter(tmp_path / name, ome=False) as writer:
            for k in range(2):
                writer.write(
                    movie[2 * i + k],
                    metadata=None,
                    contiguous=False,
                    description=xml if k == 0 else None,
                )
    assert_reads(tmp_path / "root.ome.tif", movie, 160.0)
    (tmp_path / "aa.ome.tif").unlink()
    (tmp_path / "zz.ome.tif").rename(tmp_path / "aa.ome.tif")
    with pytest.raises(MovieError, match="missing"):
        open_movie(tmp_path / "root.ome.tif").data.compute()


def test_parts_of_other_size_are_an_error(tmp_path):
    write_parts(tmp_path)
    tifffile.imwrite(tmp_path / "cell_MMStack_Pos0_1.ome.tif", frames(3, 8, 8))
    with pytest.raises(MovieError, match="parts differ"):
        open_movie(tmp_path / "cell_MMStack_Pos0.ome.tif")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_folder_in_natural_order(tmp_path, compression):
    expected = frames(12)
    for i, frame in enumerate(expected, start=1):
        tifffile.imwrite(tmp_path / f"{i}.tif", frame, compression=compression)
    (tmp_path / "notes.txt").write_text("not a frame")
    assert_reads(tmp_path, expected)


def test_folder_with_a_truncated_or_strange_frame(tmp_path):
    for i, frame in enumerate(frames(4)):
        tifffile.imwrite(tmp_path / f"{i}.tif", frame)
    tifffile.imwrite(tmp_path / "2.tif", frames(1, 40, 40)[0])
    with pytest.raises(MovieError, match=r"2\.tif holds"):
        open_movie(tmp_path).data.compute()
    os.truncate(tmp_path / "2.tif", 300)
    with pytest.raises(MovieError, match=r"2\.tif is truncated"):
        open_movie(tmp_path)


def test_folder_without_movie(tmp_path):
    with pytest.raises(MovieError, match=r"no \.tif"):
        open_movie(tmp_path)
    for name in "ab":
        tifffile.imwrite(tmp_path / f"{name}.tif", frames())
    with pytest.raises(MovieError, match="2 TIFF files"):
        open_movie(tmp_path)


def test_blocks_hold_many_frames_and_a_slice_reads_little(tmp_path, monkeypatch):
    path = tmp_path / "movie.tif"
    expected = frames(200, 64, 64)
    tifffile.imwrite(path, expected, photometric="minisblack")
    monkeypatch.setattr(movie_module, "BLOCK_BYTES", 64 * 64 * 2 * 50)
    movie = open_movie(path)
    assert movie.data.chunks == ((50, 50, 50, 50), (64,), (64,))
    read = []
    original = RawFrames.fill

    def counting(self, start, out):
        read.append(len(out))
        return original(self, start, out)

    monkeypatch.setattr(RawFrames, "fill", counting)
    np.testing.assert_array_equal(movie.data[120].compute(scheduler="sync"), expected[120])
    assert read == [1]
    read.clear()
    part = movie.data[40:60, 5:9].compute(scheduler="sync")
    np.testing.assert_array_equal(part, expected[40:60, 5:9])
    assert sum(read) == 20


@pytest.mark.parametrize(
    "key",
    [
        3,
        -1,
        slice(None),
        slice(2, 9, 3),
        slice(9, 2, -2),
        slice(5, 5),
        (slice(1, 8), 4),
        (slice(None, None, -1), slice(3, 9), slice(None, None, -2)),
    ],
)
def test_slices_over_several_files(tmp_path, key):
    """Against numpy, over the borders of files of three frames."""
    expected = write_parts(tmp_path, n_parts=4, n=3)
    stack = FrameStack(open_file(tmp_path / "cell_MMStack_Pos0.ome.tif")[0])
    np.testing.assert_array_equal(stack[key], expected[key])
    lazy = open_movie(tmp_path).data
    np.testing.assert_array_equal(lazy[key].compute(scheduler="sync"), expected[key])


def test_imagej_stack_whose_axes_nobody_named(tmp_path):
    """tifffile then calls the frames channels."""
    tifffile.imwrite(tmp_path / "movie.tif", frames(), imagej=True)
    assert_reads(tmp_path / "movie.tif", frames())


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_threads_and_no_handle_stays_open(tmp_path, compression):
    path = tmp_path / "movie.tif"
    expected = frames(64)
    tifffile.imwrite(path, expected, photometric="minisblack", compression=compression)
    movie = open_movie(path)
    barrier = threading.Barrier(4)

    def read(i):
        barrier.wait()
        return movie.data[i * 16 : (i + 1) * 16].compute(scheduler="sync")

    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(read, range(4)))
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    again = pickle.loads(pickle.dumps(movie.data))  # for dask's processes
    np.testing.assert_array_equal(again[3].compute(), expected[3])
    if Path("/proc/self/fd").is_dir():
        links = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
        assert str(path) not in links
    path.unlink()  # fails on Windows while a handle is open
    gc.collect()


@pytest.mark.parametrize("n", [1, 12])
@pytest.mark.parametrize("dtype", ["u2", ">u2", "u1", "f4"])
def test_write_and_read_again(tmp_path, n, dtype):
    path = tmp_path / "movie.tif"
    expected = frames(n, dtype=np.dtype(dtype))
    write_movie(path, expected, 117.5)
    assert_reads(path, expected, 117.5)
    if n > 1:
        with tifffile.TiffFile(path) as tif:
            assert tif.is_imagej
            assert tif.imagej_metadata["frames"] == n
            assert tif.imagej_metadata["unit"] == "um"


def test_write_dask_and_bigtiff(tmp_path, monkeypatch):
    write_movie(tmp_path / "a.tif", frames(), 100)
    lazy = open_movie(tmp_path / "a.tif").data.rechunk((5, 20, 30))
    monkeypatch.setattr(movie_module, "IMAGEJ_BYTES", 100)
    write_movie(tmp_path / "b.tif", lazy, 100)
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        assert tif.is_bigtiff
    assert_reads(tmp_path / "b.tif", frames(), 100.0)


def test_failed_write_leaves_nothing(tmp_path):
    path = tmp_path / "movie.tif"
    write_movie(path, frames(), 100)
    before = path.read_bytes()

    class Broken:
        shape, dtype = (4, 20, 30), np.dtype("u2")

        def __getitem__(self, key):
            raise OSError("disk on fire")

    with pytest.raises(OSError, match="fire"):
        write_movie(path, Broken(), 100)
    assert [file.name for file in tmp_path.iterdir()] == ["movie.tif"]
    assert path.read_bytes() == before
    for bad, message in ((frames().astype("c8"), "real"), (frames().astype("i8"), "uint16")):
        with pytest.raises(MovieError, match=message):
            write_movie(path, bad, 100)
    with pytest.raises(MovieError, match="positive"):
        write_movie(path, frames(), 0)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        write_movie(tmp_path / "absent" / "movie.tif", frames(), 100)


REAL = {
    "challenge-2016-AS/MT0.N1.LD-AS_frames01-32.tif": ((32, 64, 64), None),
    "challenge-2016-AS/beads_AS_151z.tif": ((151, 150, 150), None),
    "deep-storm-2d/ArtificialDataset_demo1.tif": ((20, 64, 64), 100.0),
    "tables/locan/images.tif": ((5, 128, 128), None),
    "tetrapod-beads/tetrapod_bead_stack.tiff": ((54, 121, 121), None),
    "tetrapod-real/mitochondria_frames01-25.tif": ((25, 332, 492), None),
    "vortex-bead/bead180_oil.tif": ((51, 31, 31), None),
}


@pytest.mark.parametrize("name", REAL)
def test_real_movies(data_dir, name, caplog):
    shape, size = REAL[name]
    with caplog.at_level(logging.WARNING):
        movie = open_movie(data_dir / name)
    assert not caplog.records
    assert movie.data.shape == shape
    assert movie.pixel_size_nm == size
    np.testing.assert_array_equal(movie.data.compute(), tifffile.imread(data_dir / name))
