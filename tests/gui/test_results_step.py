import numpy as np
import pytest

from napari_dilatedloc.gui.colours import ColourBy
from napari_dilatedloc.gui.export_job import export_job
from napari_dilatedloc.gui.results_step import ResultsStep
from napari_dilatedloc.gui.run import Run
from napari_dilatedloc.gui.store import LocalizationStore
from napari_dilatedloc.inference.report import LocalizedBlock
from napari_dilatedloc.io.tables import read_table, write_table
from napari_dilatedloc.table import Localizations, TableInfo

TIMEOUT = 60_000


def some(start, stop):
    frames = np.arange(start, stop)
    generator = np.random.default_rng(start)
    columns = {name: generator.random(len(frames)) for name in Localizations.column_names()}
    return Localizations(**{**columns, "frame": frames, "x": frames % 7, "y": frames % 5})


class Stop:
    """Set after so many looks."""

    def __init__(self, looks):
        self.looks = looks

    def is_set(self):
        self.looks -= 1
        return self.looks < 0


@pytest.mark.parametrize("suffix", [".csv", ".hdf5", ".h5", ".parquet"])
def test_blocks_give_the_file_of_the_whole_table(tmp_path, suffix):
    store, info = LocalizationStore(), TableInfo(110.0, shape=(20, 20), n_frames=30)
    for start, stop in ((0, 10), (10, 10), (10, 30)):
        store.append(start, some(start, stop))
    (said,) = export_job(tmp_path / f"parts{suffix}", store, info, Stop(99))
    assert "Wrote 30 localizations to" in said
    write_table(tmp_path / f"whole{suffix}", store.table(), info)
    parts, whole = (
        read_table(tmp_path / f"{name}{suffix}", pixel_size_nm=110.0)[0]
        for name in ("parts", "whole")
    )
    for name in Localizations.column_names():
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_a_stopped_export_leaves_no_file(tmp_path):
    store = LocalizationStore()
    for start in (0, 10, 20):
        store.append(start, some(start, start + 10))
    assert list(export_job(tmp_path / "locs.csv", store, TableInfo(100.0), Stop(2))) == []
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def viewer(movie_viewer):
    return movie_viewer


@pytest.fixture
def run(viewer):
    made = Run(viewer, viewer.layers["movie"], 100.0)
    made.take(LocalizedBlock(0, 20, 20, some(0, 20), 0.5, 0.1, 2.0, "cpu"))
    return made


@pytest.fixture
def step(qtbot):
    made = ResultsStep()
    qtbot.addWidget(made)
    yield made
    made.shut_down()


def test_a_button_that_is_off_says_why(step, run):
    assert "run Localize first" in step.export_button.toolTip()
    step.show_run(run, running=True)
    assert not step.export_button.isEnabled()
    assert "Wait until the run has ended" in step.points_button.toolTip()
    step.show_run(run, running=False)
    assert step.ready
    assert step.export_button.isEnabled()
    assert "200,000" in step.points_button.toolTip()


def test_a_bad_place_is_one_sentence(qtbot, step, run, tmp_path):
    step.show_run(run, running=False)
    with qtbot.waitSignal(step.worker.failed, timeout=TIMEOUT):
        step.export_to(tmp_path / "locs.xyz")
    assert "locs.xyz" in step.line.label.text()
    assert step.export_button.isEnabled()


def test_the_chosen_colour_holds_for_this_run_and_the_next(qtbot, viewer, step, run):
    step.show_run(run, running=False)
    place = step.colour.findData(ColourBy.PHOTONS)
    step.colour.setCurrentIndex(place)
    step.colour.activated.emit(place)
    hue = run.result.hue
    assert hue.by is ColourBy.PHOTONS
    step.show_run(run, running=False)
    assert run.result.hue is hue  # not made anew
    again = Run(viewer, viewer.layers["movie"], 100.0)
    step.show_run(again, running=True)
    again.take(LocalizedBlock(0, 20, 20, some(0, 20), 0.5, 0.1, 2.0, "cpu"))
    step.show_run(again, running=True)
    for _ in range(2):  # layers come one at a time
        assert again.result.hue is None
        again.result.refresh()
    assert again.result.hue.by is ColourBy.PHOTONS
    step.points_button.setEnabled(True)
    step.points_button.click()
    assert step.line.label.text() == "Added all 20 localizations as points."
    assert len(np.unique(viewer.layers["movie localizations"].border_color, axis=0)) > 5
