import csv
import json
from pathlib import Path

import numpy as np
import pytest

from napari_dilatedloc.cli.batch import pairs_of
from napari_dilatedloc.io.movie import write_movie
from napari_dilatedloc.io.tables import read_table

MODEL = "astigmatism"


@pytest.fixture
def movies(tmp_path):
    """Folder of two movies of 12 and 8 frames, 24 x 32 px, and one that is damaged."""
    folder = tmp_path / "day"
    folder.mkdir()
    for name, frames in (("cell_1.tif", 12), ("cell_2.ome.tif", 8)):
        noise = np.random.default_rng(frames).poisson(130, (frames, 24, 32)).astype(np.uint16)
        noise[:, 10:13, 20:23] += 300
        write_movie(folder / name, noise, 100.0)
    (folder / "cell_3.tif").write_bytes(b"II*\0 no movie")
    return folder


def summary(folder):
    with (folder / "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_of_movies_gives_tables_and_one_summary(run, movies, tmp_path):
    out = tmp_path / "tables"
    code, text, error = run(
        "localize", movies, "--each", "--model", MODEL, "--out", out, "--suffix", ".h5",
        "--device", "cpu", "--json",
    )  # fmt: skip
    assert code == 1
    assert "cell_3.tif" in error
    assert "1 of 3 movies are not finished" in error
    rows = json.loads(text)
    assert [row["status"] for row in rows] == ["finished", "finished", "failed"]
    assert [row.get("frames") for row in rows] == [12, 8, None]
    table, info = read_table(out / "cell_2.h5")
    assert info.n_frames == 8
    assert len(table) == rows[1]["localizations"]
    written = summary(out)
    assert [row["movie"] for row in written] == [row["movie"] for row in rows]
    assert "cell_3" in written[2]["warnings"]
    assert [row["warnings"] for row in written] == [" ".join(row["warnings"]) for row in rows]


def test_several_movies_named_one_by_one_and_again(run, movies, tmp_path):
    command = (
        "localize", movies / "cell_1.tif", movies / "cell_2.ome.tif", "--model", MODEL,
        "--out", tmp_path / "tables", "--device", "cpu",
    )  # fmt: skip
    code, _, _ = run(*command)
    assert code == 0
    assert len(summary(tmp_path / "tables")) == 2
    code, _, error = run(*command)
    assert code == 0
    assert error.count("is finished") == 2


def test_two_movies_of_one_name_are_refused(tmp_path):
    with pytest.raises(ValueError, match="several movies are called a"):
        pairs_of([tmp_path / "1" / "a.tif", tmp_path / "2" / "a.tif"], tmp_path, ".csv", each=False)
    assert list(tmp_path.iterdir()) == []


def test_later_parts_of_a_movie_are_no_movies(tmp_path):
    for name in ("b.ome.tif", "b_1.ome.tif", "b_2.ome.tif", "c.tif"):
        (tmp_path / name).touch()
    pairs = pairs_of([tmp_path], tmp_path / "out", ".csv", each=True)
    assert [(movie.name, table.name) for movie, table in pairs] == [
        ("b.ome.tif", "b.csv"),
        ("c.tif", "c.csv"),
    ]


def test_a_file_is_no_folder_for_tables(tmp_path):
    (tmp_path / "out.csv").touch()
    with pytest.raises(ValueError, match="must be a folder"):
        pairs_of([tmp_path / "a.tif", tmp_path / "b.tif"], tmp_path / "out.csv", ".csv", each=False)


def test_a_table_is_not_overwritten_by_the_summary(tmp_path):
    movies = [tmp_path / "Summary.tif", tmp_path / "b.tif"]
    with pytest.raises(ValueError, match=r"a movie called summary would give summary\.csv"):
        pairs_of(movies, tmp_path / "out", ".csv", each=False)
    assert pairs_of(movies, tmp_path / "out", ".h5", each=False)[0][1].name == "Summary.h5"


def test_the_folder_one_stands_in_has_a_name(tmp_path, monkeypatch):
    (tmp_path / "day").mkdir()
    monkeypatch.chdir(tmp_path / "day")
    movies = [Path(), tmp_path / "b.tif"]
    tables = [table.name for _, table in pairs_of(movies, tmp_path / "out", ".csv", each=False)]
    assert tables == ["day.csv", "b.csv"]
