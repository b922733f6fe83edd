import numpy as np
import pytest
from napari.layers import Image

from napari_dilatedloc.gui.run import Run, duration
from napari_dilatedloc.inference.report import LocalizedBlock
from napari_dilatedloc.table import Localizations


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations_as_people_say_them(seconds, said):
    assert duration(seconds) == said


def block(start, stop, total):
    some = Localizations.from_columns(frame=np.arange(start, stop), x=[1.0] * 10, y=[2.0] * 10)
    return LocalizedBlock(start, stop, total, some, 0.5, 0.1, 2.0, "cpu")


def test_figures_of_a_run(make_napari_viewer):
    viewer = make_napari_viewer()
    movie = viewer.add_image(np.zeros((40, 20, 20), np.uint16), name="movie")
    assert isinstance(movie, Image)
    run = Run(viewer, movie, 100.0)
    assert run.summary() == "No result yet."
    assert run.kept() == ""
    assert not run.complete
    run.take(block(0, 10, 40))
    assert run.figures() == "20 frames/s · 4.0 MB/s · 2 s left\n10 localizations · cpu waited 20 %"
    run.take(block(10, 20, 40))
    assert "20 localizations, frames 0-19" in run.summary()
    assert "10 nm pixels" in run.summary()
    assert not run.complete
    assert run.bar_text == "%p %  (20 of 40 frames)"
    assert run.so_far == "50 % of 40 frames"
    assert run.kept() == "Frames 0-19 are kept (20 of 40)."
    run.finish()
    assert "movie super-resolution (frames 0-19)" in viewer.layers
