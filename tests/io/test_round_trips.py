"""read(write(table)) in every format we write: what it keeps, it keeps; and parts make no odds."""

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from napari_dilatedloc.io import rows
from napari_dilatedloc.io.tables import (
    FORMATS,
    TableError,
    can_read,
    needs_pixel_size,
    open_table,
    read_info,
    read_parts,
    read_table,
    write_table,
)
from napari_dilatedloc.table import Localizations, Step, TableInfo

SIZE = 108.0
RELAXED = settings(
    max_examples=12,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SUFFIX = {
    "parquet": ".parquet",
    "smap": ".mat",
    "picasso": ".hdf5",
    "native": ".h5",
    "decode": ".h5",
}
OWN = set(Localizations.column_names())
PLACE = {"frame", "x", "y", "z_nm", "photons"}
KEPT = {  # columns of ours that a format has room for
    "native": OWN,
    "parquet": OWN,
    "picasso": OWN,
    "smap": OWN,
    "smap-csv": OWN,
    "decode": OWN,
    "decode-csv": OWN,
    "thunderstorm": PLACE | {"bg", "prob", "sigma_z_nm"},
    "challenge": PLACE,
}
EXACT = {"native", "parquet", "picasso", "decode", "decode-csv"}
FOREIGN_NAMES = ("id", "ID", "x [nm]", "sigma [nm]", "locprecnm", "sx", "lpx", "channel", "xnano")


def test_every_format_is_here():
    assert KEPT.keys() == FORMATS.keys()


@st.composite
def tables(draw, whole_extra=False):
    """Tables some of whose columns nobody knows, with further columns of any name and type."""
    n = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    columns = {name: rng.uniform(0.01, 30, n).astype(np.float32) for name in OWN}
    columns |= {axis: rng.uniform(-0.5, 2000, n) for axis in "xy"}
    columns |= {"frame": rng.integers(0, 10**6, n), "z_nm": rng.uniform(-900, 900, n)}
    for name in draw(st.sets(st.sampled_from(sorted(OWN - {"frame", "x", "y"})))):
        columns[name] = np.full(n, np.nan)
    for pair in (("sigma_x", "sigma_y"),):  # they are known together
        if any(np.isnan(columns[name]).all() for name in pair):
            columns |= dict.fromkeys(pair, np.full(n, np.nan))
    free = st.text(
        st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]),
        min_size=1,
        max_size=70,
    )
    names = draw(st.sets(st.one_of(st.sampled_from(FOREIGN_NAMES), free), max_size=4))
    names = {" ".join(name.split()) for name in names} - {""} - OWN
    dtypes = st.sampled_from(["i4", "i8", "u1", "f4", "f8", "?"])
    extra = {}
    for name in sorted(names):
        dtype = "i4" if name == "id" else draw(dtypes)
        values = rng.normal(scale=1e3, size=n)
        extra[name] = (values if dtype != "u1" else np.abs(values) % 200).astype(dtype)
    return Localizations(**columns, extra=extra)


RECIPES = st.lists(
    st.builds(
        Step,
        st.sampled_from(["filter", "drift", "link"]),
        st.dictionaries(
            st.text(max_size=9),
            st.one_of(st.none(), st.integers(-9, 9), st.floats(-9, 9), st.text(max_size=9)),
            max_size=3,
        ),
        st.integers(0, 10**7),
    ),
    max_size=3,
).map(tuple)


def size_for(path):
    return SIZE if needs_pixel_size(path) else None


def assert_alike(read, table, kind):
    """The same as far as the format has room, to its last digit."""
    np.testing.assert_array_equal(read.frame, table.frame)
    for name in KEPT[kind] - {"frame"}:
        want, got = getattr(table, name), getattr(read, name)
        if kind == "picasso" and name in ("sigma_x", "sigma_y") and np.isnan(want).all():
            want = np.ones_like(want)  # it cannot do without
        if name == "prob" and np.isnan(want).all():
            continue  # where a file has no probabilities they are taken for 1
        within = {"rtol": 0, "atol": 0} if kind in EXACT else {"rtol": 2e-7, "atol": 1.1e-5}
        if kind == "smap":
            within = {"rtol": 3e-7, "atol": 1e-9}
        np.testing.assert_allclose(got, want, err_msg=f"{kind} {name}", **within)
    assert read.extra.keys() == table.extra.keys()
    for name, values in table.extra.items():
        got = read.extra[name].astype(values.dtype)  # texts give float64 of all
        np.testing.assert_allclose(got, values, rtol=5e-16, err_msg=f"{kind} {name}")


@pytest.mark.parametrize("kind", FORMATS)
@RELAXED
@given(table=tables(), recipe=RECIPES)
def test_what_was_written_is_read(tmp_path, kind, table, recipe):
    info = TableInfo(SIZE, shape=(2001, 2002), n_frames=10**6, recipe=recipe)
    path = tmp_path / f"locs{SUFFIX.get(kind, '.csv')}"
    files = write_table(path, table, info, kind=kind)
    assert all(file.is_file() for file in files)
    assert can_read(path)
    read, said = read_table(path, pixel_size_nm=size_for(path))
    assert_alike(read, table, kind)
    assert said.recipe == recipe
    assert said.pixel_size_nm == pytest.approx(SIZE, rel=1e-12)
    if not needs_pixel_size(path) and kind != "decode-csv":
        assert (said.shape, said.n_frames) == (info.shape, info.n_frames)


@pytest.mark.parametrize("kind", FORMATS)
@RELAXED
@given(table=tables(), cuts=st.lists(st.integers(0, 40), max_size=4), piece=st.integers(1, 30))
def test_a_file_does_not_depend_on_the_parts(tmp_path, kind, table, cuts, piece):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "PIECE_ROWS", piece)
        patch.setattr(rows, "CHUNK_ROWS", 16)
        patch.setattr("napari_dilatedloc.io.picasso.PIECE_ROWS", piece)
        suffix = SUFFIX.get(kind, ".csv")
        info = TableInfo(SIZE).after("filter", {"where": "photons>500"}, len(table))
        path = tmp_path / f"locs{suffix}"
        at_once = [f.read_bytes() for f in write_table(path, table, info, kind=kind)]
        cuts = sorted(min(cut, len(table)) for cut in cuts)
        with open_table(path, info, kind=kind) as writer:
            for start, stop in zip([0, *cuts], [*cuts, len(table)], strict=True):
                writer.write(table[start:stop])
    assert [file.read_bytes() for file in writer.files] == at_once
    assert_alike(read_table(path, pixel_size_nm=size_for(path))[0], table, kind)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("part", [1, 7, 40, 1000])
def test_parts_together_are_the_table(tmp_path, kind, part):
    table = some(40)
    path = write_table(tmp_path / "locs.dat", table, TableInfo(SIZE), kind=kind)[0]
    pieces = list(read_parts(path, part, pixel_size_nm=size_for(path)))
    assert [len(piece) for piece in pieces] == [
        min(part, 40 - start) for start in range(0, 40, part)
    ]
    assert_alike(Localizations.concatenate(pieces), table, kind)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_table_without_rows(tmp_path, kind):
    info = TableInfo(SIZE, recipe=(Step("filter", {"where": "x>9"}, 0),))
    path = write_table(tmp_path / "locs.dat", Localizations.empty(), info, kind=kind)[0]
    assert can_read(path)
    parts = list(read_parts(path, pixel_size_nm=size_for(path)))
    assert [len(part) for part in parts] == [0]
    assert read_info(path, pixel_size_nm=size_for(path)).recipe == info.recipe


def some(n):
    rng = np.random.default_rng(3)
    columns = {name: rng.uniform(0.5, 30, n) for name in OWN}
    extra = {"group": np.arange(n), "chi2": rng.normal(size=n)}
    return Localizations(**columns | {"frame": np.arange(n)}, extra=extra)


@pytest.mark.parametrize("kind", ["smap", "decode", "smap-csv", "thunderstorm"])
def test_a_column_that_becomes_known_late_is_nan_before(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(rows, "PIECE_ROWS", 16)
    monkeypatch.setattr(rows, "CHUNK_ROWS", 8)
    table = some(60)
    table = table.replace(sigma_z_nm=np.where(np.arange(60) < 40, np.nan, table.sigma_z_nm))
    path = write_table(tmp_path / "locs.dat", table, TableInfo(SIZE), kind=kind)[0]
    read, _ = read_table(path, pixel_size_nm=size_for(path))
    np.testing.assert_allclose(read.sigma_z_nm, table.sigma_z_nm, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("kind", FORMATS)
def test_parts_with_other_columns_are_refused(tmp_path, kind):
    path = tmp_path / "locs.dat"
    table = some(5)

    def mixed():
        with open_table(path, TableInfo(SIZE), kind=kind) as writer:
            writer.write(table)
            writer.write(table.replace(extra={"group": table.extra["group"]}))

    with pytest.raises(TableError, match=r"same extra columns, got group \(int64\) after group"):
        mixed()
    assert not list(tmp_path.iterdir())
