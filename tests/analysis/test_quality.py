"""The figures of a whole table, what is said about odd ones, and the report."""

import json
import re

import matplotlib.image
import numpy as np
import pytest

from napari_dilatedloc.analysis.halves import half_shift
from napari_dilatedloc.analysis.quality import quality
from napari_dilatedloc.analysis.quality_report import write_quality
from napari_dilatedloc.table import Localizations, TableInfo

SIGMA = 0.08  # px
INFO = TableInfo(100.0, shape=(64, 64), n_frames=2000)


def table(drift=0.0, n=6000, seed=0, **changes):
    """Blinks of 3 frames from 300 sites, with a steady drift in x, px over the movie."""
    rng = np.random.default_rng(seed)
    site = rng.uniform(4, 58, (300, 2))[rng.integers(0, 300, n)]
    frame = (rng.integers(0, 1995, n)[:, None] + np.arange(3)).reshape(-1)
    y, x = (np.repeat(site, 3, axis=0) + rng.normal(0, SIGMA, (3 * n, 2))).T
    columns = {
        "frame": frame,
        "y": y,
        "x": x + drift * frame / 2000,
        "z_nm": rng.normal(0, 150, 3 * n),
        "photons": rng.lognormal(np.log(2000), 0.3, 3 * n),
        "bg": rng.normal(30, 3, 3 * n),
        "sigma_x": np.full(3 * n, SIGMA),
        "sigma_y": np.full(3 * n, SIGMA),
        "sigma_z_nm": np.full(3 * n, 40.0),
    }
    return Localizations.from_columns(**{**columns, **changes})


def test_figures_of_a_good_table():
    found = quality(table(), INFO)
    assert found.warnings == ()
    assert found.missing == {}
    said = found.summary()
    assert said["localizations"] == 18_000
    assert said["per_frame"] == pytest.approx(9)
    assert found.per_frame.mean() == pytest.approx(9, rel=0.01)
    assert said["median_photons"] == pytest.approx(2000, rel=0.02)
    assert said["median_sigma_lateral_nm"] == pytest.approx(8, rel=1e-3)
    assert said["nena_sigma_nm"] == pytest.approx(8, rel=0.07)
    # 60 positions a site in all, 3 of them together in one half: 20 independent triples
    best, worst = (2 * np.pi * 8 / np.sqrt(np.log(3 * times)) for times in (60, 20))
    assert 0.95 * best < said["frc_resolution_nm"] < 1.1 * worst
    json.dumps(found.to_dict(), allow_nan=False)


def test_drift_is_suspected_and_measured():
    found = quality(table(drift=0.6), INFO)
    assert found.shift.x_nm == pytest.approx(30, abs=4)
    assert abs(found.shift.y_nm) < 4
    assert any(sentence.startswith("Drift suspected") for sentence in found.warnings)
    still = half_shift(table(), 100.0)
    assert still.sure_nm == 0
    assert still.distance_nm < 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sigma_x": np.full(18_000, 0.03), "sigma_y": np.full(18_000, 0.03)}, "too good"),
        ({"sigma_x": np.full(18_000, np.nan), "sigma_y": np.full(18_000, np.nan)}, "no predicted"),
        ({"z_nm": np.clip(np.random.default_rng(1).normal(0, 400, 18_000), -500, 500)}, "z range"),
    ],
)
def test_oddities_are_told(changes, said):
    warnings = quality(table(**changes), INFO).warnings
    assert len(warnings) == 1
    assert said in warnings[0]


def test_errors_alike_in_neighbouring_frames_are_no_oddity():
    """Networks that look at three frames scatter less from one to the next than they err."""
    wide = np.full(18_000, 0.2)
    assert quality(table(sigma_x=wide, sigma_y=wide), INFO).warnings == ()


def test_a_grid_is_told():
    rng = np.random.default_rng(2)
    y, x = rng.uniform(0, 60, (2, 30_000))
    x -= 0.25 * np.sin(2 * np.pi * x) / (2 * np.pi)
    flat = Localizations.from_columns(frame=rng.integers(0, 2000, 30_000), y=y, x=x)
    assert any("preferred" in sentence for sentence in quality(flat, INFO).warnings)


def test_positions_beyond_the_movie_are_told():
    small = TableInfo(100.0, shape=(64, 30), n_frames=2000)
    assert any("outside of the movie" in sentence for sentence in quality(table(), small).warnings)


def test_few_rows_have_reasons_instead_of_figures():
    found = quality(table(n=20), INFO)
    assert found.frc is None
    assert found.shift is None
    assert "200 localizations" in found.missing["frc"]
    assert found.summary()["frc_resolution_nm"] is None
    assert found.warnings[0].startswith("Only 60 localizations")
    with pytest.raises(ValueError, match="empty"):
        quality(Localizations.empty(), INFO)


def test_a_single_place_has_reasons_instead_of_figures(tmp_path):
    one = table(y=np.full(18_000, 5.0), x=np.full(18_000, 6.0))
    found = quality(one, INFO)
    assert set(found.missing) >= {"frc", "shift"}
    assert "larger region" in found.missing["shift"]
    assert len(write_quality(tmp_path / "report", found, one, INFO)) == 3


def test_rows_without_a_place_are_no_oddity():
    lost = table().x.copy()
    lost[:100] = np.nan
    assert quality(table(x=lost), INFO).warnings == ()
    with pytest.raises(ValueError, match="empty"):
        quality(table(x=np.full(18_000, np.nan)), INFO)


def test_a_table_beside_the_origin_is_drawn(tmp_path):
    """Other programs may count from elsewhere; the size of the movie is not known then."""
    some = table(n=700)
    some = some.replace(x=some.x - 200, y=some.y - 100)
    info = TableInfo(100.0)
    files = write_quality(tmp_path / "report", quality(some, info), some, info)
    assert [path.suffix for path in files] == [".html", ".png", ".json"]


@pytest.mark.parametrize("rows", [6000, 20, 1])
def test_report(tmp_path, rows):
    info = INFO.after("filter", {"where": "photons > 500 & <b>"}, rows)
    some = table(n=rows)
    found = quality(some, info)
    page, picture, numbers = write_quality(tmp_path / "report", found, some, info)
    text = page.read_text(encoding="utf-8")
    assert "data:image/png;base64," in text
    assert not re.search(r"(src|href)='(?!data:)", text)
    assert "photons &gt; 500 &amp; &lt;b&gt;" in text
    assert f"{3 * rows:,} localizations" in text
    assert matplotlib.image.imread(picture).shape[0] > 900
    said = json.loads(numbers.read_text())
    assert said["summary"]["localizations"] == 3 * rows
    assert said["recipe"][0]["name"] == "filter"
    for sentence in found.warnings:
        assert sentence.split(":")[0].split("'")[0] in text


def test_report_under_the_name_of_a_page(tmp_path):
    some = table(n=20)
    files = write_quality(tmp_path / "mine.html", quality(some, INFO), some, INFO)
    assert [path.name for path in files] == ["mine.html", "mine.png", "mine.json"]


def test_lines_that_run_one_way_are_no_drift():
    """Molecules are on for some frames, so that mixed halves of small blocks would share them."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        n = 700
        y, x = rng.integers(1, 6, n) * 10.0, rng.uniform(4, 60, n)
        first = rng.integers(0, 297, n)
        frame = np.concatenate([first, first + 1, first + 2])
        noise = rng.normal(0, 0.1, (2, 3 * n))
        lines = Localizations.from_columns(
            frame=frame, y=np.tile(y, 3) + noise[0], x=np.tile(x, 3) + noise[1]
        )
        assert half_shift(lines, 100.0).sure_nm == 0
