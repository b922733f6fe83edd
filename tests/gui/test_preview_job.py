from threading import Event

import numpy as np
import pytest

from napari_dilatedloc.camera import build_camera
from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.gui.preview_job import FrameLook, FrameResidual, OpenModel, preview_job
from napari_dilatedloc.inference.pipeline import localize
from napari_dilatedloc.network.checkpoint import load_model

FRAME = 7


def look_at(movie, model_path, config, opened=None, *, residual=False, known=None):
    opened = opened or OpenModel()
    job = preview_job(opened, movie, FRAME, str(model_path), config, None, residual, known, Event())
    return list(job)


@pytest.mark.parametrize("threshold", [None, 0.15, 0.5, 0.9])
@pytest.mark.parametrize("roi", [None, (4, 6, 20, 28)])
def test_a_look_above_a_threshold_is_what_a_run_finds_in_that_frame(
    movie, model_path, threshold, roi
):
    config = LocalizeConfig(device="cpu", roi=roi)
    (look,) = look_at(movie, model_path, config)
    assert isinstance(look, FrameLook)
    run = config.replace(threshold=threshold, engine="exact")
    tables = [block.localizations for block in localize(movie[:20], load_model(model_path), run)]
    (table,) = tables
    expected = table[table.frame == FRAME]
    found = look.above(threshold)
    assert len(found) == len(expected) > 0
    np.testing.assert_allclose(found.x, expected.x, atol=1e-3)
    np.testing.assert_allclose(found.prob, expected.prob, atol=1e-4)


def test_the_residual_is_the_frame_less_what_is_above_the_threshold(movie, model_path):
    config = LocalizeConfig(device="cpu", threshold=0.999)
    look, whole = look_at(movie, model_path, config, residual=True)
    assert isinstance(whole, FrameResidual)
    photons = build_camera(load_model(model_path).info.camera).to_photons(torch_of(movie[FRAME]))
    if not len(look.above(0.999)):  # nothing but a smooth background is taken off
        difference = photons.numpy() - whole.photons
        assert difference.std() < 0.05 * photons.std()
    cut = config.replace(roi=(4, 6, 20, 28))
    (part,) = look_at(movie, model_path, cut, residual=True, known=look)  # the network rests
    assert part.corner == (4, 6)
    np.testing.assert_array_equal(part.photons, whole.photons[4:20, 6:28])


def torch_of(frame):
    import torch

    return torch.from_numpy(frame.astype(np.float32))


def test_the_model_is_loaded_once_and_again_when_its_file_changes(model_path, tmp_path):
    import os
    import shutil

    path = tmp_path / "mine.safetensors"
    shutil.copy(model_path, path)
    opened = OpenModel()
    first = opened.get(str(path), None)
    assert opened.get(str(path), None) is first
    os.utime(path, ns=(1, 1))
    assert opened.get(str(path), None) is not first


def test_a_stopped_look_gives_nothing(movie, model_path):
    stop = Event()
    stop.set()
    config = LocalizeConfig(device="cpu")
    job = preview_job(OpenModel(), movie, 3, str(model_path), config, None, True, None, stop)
    assert list(job) == []
