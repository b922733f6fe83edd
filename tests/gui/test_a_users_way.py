"""The whole way in the real dock: sample, preview, localize, cancel, localize, filter, export."""

import numpy as np
import pytest

from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.gui.colours import ColourBy
from napari_dilatedloc.gui.worker import State

TIMEOUT = 180_000


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    return make_napari_viewer_proxy()


def test_from_the_sample_to_the_exported_table_and_back(qtbot, viewer, tmp_path):
    viewer.open_sample("napari-dilatedloc", "blinking")
    _, dock = viewer.window.add_plugin_dock_widget("napari-dilatedloc", "DilatedLoc")
    dock.model_step.set_model("astigmatism")
    dock.form.setValue(LocalizeConfig(block_frames=16))
    assert dock.trouble == ""

    preview = dock.localize_step.preview
    viewer.dims.set_current_step(0, 40)
    preview.button.click()
    qtbot.waitUntil(lambda: preview.look is not None, timeout=TIMEOUT)
    assert "localizations in" in preview.line.label.text()
    previewed = len(viewer.layers["Blinking filaments preview"].data)
    assert previewed > 0
    preview.button.click()

    dock.panel.button.click()
    qtbot.waitUntil(lambda: dock.results.localizations > 0, timeout=TIMEOUT)
    with qtbot.waitSignal(dock.worker.finished, timeout=TIMEOUT):
        dock.panel.button.click()
    assert dock.worker.state in (State.CANCELLED, State.DONE)  # a quick machine may be done
    cut_short = dock.result.frames[1]

    with qtbot.waitSignal(dock.worker.finished, timeout=TIMEOUT):
        dock.panel.button.click()
    assert dock.worker.state is State.DONE
    assert dock.result.frames == (0, 300)
    assert cut_short <= 300
    found = dock.result.store.table()
    assert len(dock.result.store.at_frame(40)) == previewed
    dock.results.colour.setCurrentIndex(list(ColourBy).index(ColourBy.Z))

    dock.results.filter_step.expand()
    filters = dock.results.filter
    qtbot.waitUntil(lambda: filters.form.isEnabled(), timeout=TIMEOUT)
    least = float(np.median(found.photons))
    with qtbot.waitSignal(filters.changed, timeout=TIMEOUT):
        filters.form.rows["photons"].changed.emit("photons", least, None)
    kept = found[found.photons >= np.float32(least)]
    assert dock.results.localizations == len(kept) < len(found)
    assert f"{len(kept):,} of {len(found):,}" in filters.form.count.text()

    path = tmp_path / "filtered.csv"
    with qtbot.waitSignal(dock.results.worker.finished, timeout=TIMEOUT):
        dock.results.export_to(path)
    assert f"Wrote {len(kept):,} localizations" in dock.results.line.label.text()
    image, points = viewer.open(str(path), plugin="napari-dilatedloc")
    np.testing.assert_allclose(points.data[:, 2], kept.x, atol=0.01)
    np.testing.assert_allclose(points.features["photons"], kept.photons, rtol=1e-4, atol=0.01)
    assert image.data.sum() == len(kept)
