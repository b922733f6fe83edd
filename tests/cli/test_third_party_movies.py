"""Movies of other people's microscopes go through reader, pipeline and table."""

import json

import numpy as np
import pytest

from napari_dilatedloc.config import SCMOSConfig, save_yaml
from napari_dilatedloc.io.movie import open_movie
from napari_dilatedloc.io.tables import read_table


def test_the_real_tetrapod_movie_is_localized_frame_by_frame(run, tmp_path, data_dir):
    movie = data_dir / "tetrapod-real" / "mitochondria_frames01-25.tif"
    assert open_movie(movie).data.shape == (25, 332, 492)
    camera = tmp_path / "camera.yaml"
    save_yaml(SCMOSConfig(baseline=0.0, e_per_adu=1.0), camera)  # minimum-subtracted, gain unknown
    table = tmp_path / "locs.h5"
    status, out, err = run(
        *("localize", movie, "--model", "astigmatism", "--camera", camera),
        *("--pixel-size-nm", 110, "--frames", "3:5", "--out", table, "--json"),
    )
    assert status == 0
    assert "110" in err  # the model was trained for 100 nm: said, not hidden
    assert json.loads(out)["frames"] == 2
    found, info = read_table(table)
    assert info.shape == (332, 492)
    assert info.pixel_size_nm == 110
    assert len(found) > 10
    assert set(found.frame) == {3, 4}
    assert found.x.max() > 400  # the whole width was seen
    assert found.y.max() < 332


@pytest.mark.parametrize("remove_shift", [False, True])
def test_the_challenge_truth_lies_on_the_challenge_frames(run, tmp_path, data_dir, remove_shift):
    folder = data_dir / "challenge-2016-AS"
    camera = tmp_path / "camera.yaml"
    camera.write_text(
        "kind: emccd\nbaseline: 100\ne_per_adu: 45\nqe: 0.9\nem_gain: 300\nread_noise_e: 74.4\n"
    )
    table = tmp_path / "locs.csv"
    args = ("--model", "astigmatism", "--camera", camera, "--out", table)
    assert run("localize", folder / "MT0.N1.LD-AS_frames01-32.tif", *args)[0] == 0
    extra = ("--remove-shift",) if remove_shift else ()
    status, out, _ = run(
        "evaluate",
        table,
        folder / "truth_frames01-32.csv",
        *("--pixel-size-nm", 100, "--json", *extra),
    )
    figures = json.loads(out)
    assert status == 0
    # the shipped model was trained for another PSF and camera, so only lateral hits are asked for
    assert figures["recall"] > 0.5
    assert np.any(figures["shift_nm"]) == remove_shift
