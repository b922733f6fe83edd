import threading

import numpy as np
import pytest
import torch
from qtpy.QtWidgets import QApplication

from napari_dilatedloc.config import GaussianPSFConfig
from napari_dilatedloc.gui.dock import DilatedLocDock
from napari_dilatedloc.gui.psf_file_form import PSFFile
from napari_dilatedloc.gui.psf_job import bounds
from napari_dilatedloc.gui.worker import State
from napari_dilatedloc.psf.beads import snapped
from napari_dilatedloc.psf.build import load_psf, save_psf
from napari_dilatedloc.psf.crlb import crlb
from napari_dilatedloc.psf.formats.smap import write_smap
from napari_dilatedloc.psf.gaussian import GaussianPSF

TIMEOUT = 60_000
PIXEL, STEP, ROI = 100.0, 50.0, 15
TRUTH = GaussianPSF(GaussianPSFConfig(roi_size=25, z_range_nm=(-500, 500)))
BEADS = [(16.3, 15.8), (17.2, 48.6), (47.6, 16.1), (46.9, 47.3)]
EDGE = (32.0, 3.0)


@pytest.fixture(scope="session")
def bead_stack() -> np.ndarray:
    """Four good beads and one at the border, 21 slices of 64 x 64 px, z growing."""
    z = torch.arange(-10, 11) * STEP
    padded = np.full((len(z), 90, 90), 20.0)
    for y, x in (*BEADS, EDGE):
        row, column = round(y), round(x)
        offsets = torch.full_like(z, y - row), torch.full_like(z, x - column)
        rois = TRUTH.rois(z, *offsets).numpy()
        padded[:, row + 1 : row + 26, column + 1 : column + 26] += 3e4 * rois
    return np.random.default_rng(3).poisson(padded[:, 13:-13, 13:-13]).astype(np.uint16)


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    return make_napari_viewer_proxy()


def open_dock(viewer) -> DilatedLocDock:
    _, dock = viewer.window.add_plugin_dock_widget("napari-dilatedloc", "DilatedLoc")
    return dock


def open_step(qtbot, viewer):
    """Open the section and wait for the list of names, as a user does."""
    dock = open_dock(viewer)
    with qtbot.waitSignal(dock.psf_step.worker.finished, timeout=TIMEOUT):
        dock.steps.psf.header.click()
    return dock.psf_step


def set_origin(step, origin):
    step.origin.setCurrentIndex(step.origin.findData(origin))


def wait(qtbot, step):
    def idle():
        return not (step.worker.state.busy or step.looker.state.busy)

    qtbot.waitUntil(idle, timeout=TIMEOUT)


def calibrate(qtbot, step):
    assert step.calibrate_button.isEnabled(), step.calibrate_button.toolTip()
    with qtbot.waitSignal(step.worker.finished, timeout=TIMEOUT):
        step.calibrate_button.click()


def fill_in(step):
    set_origin(step, "beads")
    step.beads.pixel_size.setValue(PIXEL)
    step.beads.z_step.setValue(STEP)
    step.beads.roi_size.setValue(ROI)


def relative_error(psf):
    """Largest difference from the PSF that made the beads, relative to its peak, within 300 nm."""
    z = torch.linspace(-300, 300, 13)
    inner = slice((25 - ROI) // 2, (25 + ROI) // 2)
    expected = TRUTH.rois(z, 0 * z, 0 * z)[:, inner, inner]
    found = psf.rois(z, 0 * z, 0 * z)
    return float((found - expected).abs().max() / expected.max())


def test_a_preset_becomes_a_layer_and_a_curve(qtbot, viewer):
    step = open_step(qtbot, viewer)
    assert step.psf is None
    assert not step.show_button.isEnabled()
    assert "Choose a PSF" in step.show_button.toolTip()
    assert step.curve.isHidden()
    names = [step.presets.itemText(i) for i in range(step.presets.count())]
    assert names == ["astigmatism", "saddle-point", "tetrapod-3um", "tetrapod-6um"]
    with qtbot.waitSignal(step.changed, timeout=TIMEOUT):
        step.presets.setCurrentText("astigmatism")
        step.presets.textActivated.emit("astigmatism")
    assert step.source == "Built-in PSF astigmatism"
    config = load_psf("astigmatism").config
    size = config.pixel_size_nm
    assert f"px of {size:g} nm, z -700 to 700 nm" in step.about.text()
    wait(qtbot, step)
    assert step.save_button.isEnabled()
    assert "calibrate from beads" in step.report_button.toolTip()
    step.show_button.click()
    wait(qtbot, step)
    layer = viewer.layers["PSF astigmatism"]
    middle = config.roi_size // 2
    assert layer.data.shape == (41, config.roi_size, config.roi_size)
    assert layer.scale.tolist() == [35, size, size]
    assert [str(unit) for unit in layer.units] == ["nanometer"] * 3
    np.testing.assert_allclose(layer.data_to_world((20, middle, middle)), 0, atol=1e-3)
    z = torch.linspace(-700, 700, 41)
    np.testing.assert_allclose(
        layer.data, load_psf("astigmatism").rois(z, 0 * z, 0 * z), atol=1e-5 * layer.data.max()
    )

    assert not step.curve.isHidden()
    for photons, bg in ((5000, 50), (800, 120)):
        step.curve.photons.setValue(photons)
        step.curve.background.setValue(bg)
        look = step.curve.look
        expected = crlb(step.psf, look.z_nm[::20], photons, bg)
        found = bounds(look, photons, bg)
        for name in ("x_nm", "y_nm", "z_sigma_nm", "photons", "background"):
            np.testing.assert_allclose(getattr(found, name)[::20], getattr(expected, name))
        (line,) = [line for line in step.curve.lines if line.get_label() == "z"]
        np.testing.assert_allclose(line.get_ydata(), found.z_sigma_nm)
    assert f"z {found.z_sigma_nm.mean():.3g} nm" in step.curve.summary.text()
    viewer.add_image(np.zeros((30, 20, 20)), name="movie")
    step.show_button.click()  # the same layer, not a second one
    assert len(viewer.layers) == 2


def test_the_last_choice_wins_and_a_psf_is_no_movie(qtbot, viewer):
    dock = open_dock(viewer)
    step = dock.psf_step
    for name in ("tetrapod-3um", "saddle-point", "astigmatism"):
        step.choose_preset(name)
    wait(qtbot, step)
    assert step.source.endswith("astigmatism")
    assert step.presets.currentText() == "astigmatism"
    step.show_button.click()
    wait(qtbot, step)
    assert dock.movie_step.movie is None
    assert step.beads.stack is None


@pytest.mark.parametrize(
    ("scale", "units", "z_unit"),
    [
        ((1, 100, 100), ("pixel", "nm", "nm"), "pixel"),
        ((0.05, 0.1, 0.1), ("um", "um", "um"), "nanometer"),
    ],
)
def test_a_psf_stands_beside_the_movie(qtbot, viewer, scale, units, z_unit):
    movie = viewer.add_image(np.zeros((5, 40, 50)), scale=scale, units=units)
    step = open_dock(viewer).psf_step
    step.choose_preset("astigmatism")
    wait(qtbot, step)
    step.show_button.click()
    wait(qtbot, step)
    layer = viewer.layers["PSF astigmatism"]
    assert layer.extent.world[1][-1] < movie.extent.world[0][-1] * 1000 - 100
    assert layer.extent.world[1][-1] > -600
    # napari drops the units of all layers, and the scale bar's, where they do not agree
    assert str(layer.units[0]) == z_unit
    assert viewer.layers.extent.units is not None


def test_our_file_and_a_foreign_one(qtbot, viewer, tmp_path):
    step = open_dock(viewer).psf_step
    set_origin(step, "file")
    ours = save_psf(tmp_path / "mine.psf.h5", TRUTH)
    step.file.set_path(ours)
    wait(qtbot, step)
    assert step.psf.config == TRUTH.config
    assert step.source == "File mine.psf.h5"
    assert step.chosen.name == "mine"

    theirs = write_smap(tmp_path / "beads_3dcal.mat", TRUTH)
    step.file.set_path(theirs)
    wait(qtbot, step)
    z = torch.linspace(-300, 300, 7)
    found = step.psf.rois(z, 0 * z, 0 * z)
    expected = TRUTH.rois(z, 0 * z, 0 * z)[:, 2:-2, 2:-2]
    torch.testing.assert_close(found, expected, atol=0.01 * float(expected.max()), rtol=0)
    step.file.z_direction.setCurrentIndex(1)
    wait(qtbot, step)
    turned = step.psf.rois(-z, 0 * z, 0 * z)
    torch.testing.assert_close(turned, found, atol=0.01 * float(expected.max()), rtol=0)
    step.file.pixel_size.setValue(123)
    wait(qtbot, step)
    assert step.psf.config.pixel_size_nm == 123

    step.save_to(tmp_path / "saved.psf.h5")
    wait(qtbot, step)
    assert step.status.label.text() == f"Wrote {tmp_path / 'saved.psf.h5'}."
    assert load_psf(tmp_path / "saved.psf.h5").config.pixel_size_nm == 123


def test_a_bad_file_gives_a_sentence(qtbot, viewer, tmp_path):
    step = open_dock(viewer).psf_step
    bad = tmp_path / "bad.mat"
    bad.write_bytes(b"not MATLAB at all" * 100)
    step.load_file(PSFFile(path=str(bad)))
    wait(qtbot, step)
    said = step.status.label.text()
    assert "bad.mat" in said
    assert "Traceback" not in said
    assert "Unexpected" not in said
    assert step.psf is None
    step.status.details_button.click()
    assert "Traceback" in QApplication.clipboard().text()
    step.choose_preset("astigmatism")  # and the sentence goes
    wait(qtbot, step)
    assert step.status.label.text() == ""


def test_beads_found_automatically(qtbot, viewer, bead_stack, tmp_path):
    step = open_step(qtbot, viewer)
    assert "Open a bead stack" in step.calibrate_button.toolTip()
    viewer.add_image(np.zeros((4, 8, 8)), name="other")
    stack = viewer.add_image(bead_stack, name="beads")
    assert step.beads.stack == stack  # it is the active layer
    set_origin(step, "beads")
    assert "pixel size" in step.calibrate_button.toolTip()
    step.beads.pixel_size.setValue(PIXEL)
    assert "z step" in step.calibrate_button.toolTip()
    step.beads.roi_size.setValue(14)
    fill_in(step)
    calibrate(qtbot, step)
    assert step.source == "Calibrated from 4 of 5 beads of 'beads'"
    assert relative_error(step.psf) < 0.03
    assert "border" in step.verdicts.text()
    assert "without complaint" in step.verdicts.text()

    layer = viewer.layers["Beads of beads"]
    assert layer.ndim == 2
    kept = layer.features["kept"].to_numpy()
    assert kept.sum() == 4
    world = sorted(layer.data_to_world(place)[0] for place in layer.data[kept])
    np.testing.assert_allclose(world, sorted(100 * y for y, _ in BEADS), atol=15)
    green, red = layer.border_color[kept][0], layer.border_color[~kept][0]
    assert green[1] > green[0]
    assert red[0] > red[1]
    assert "border" in layer.text.values[~kept][0]
    assert set(layer.text.values[kept]) == {""}
    # the stack is in nm now, with z = 0 in the middle
    assert stack.scale.tolist() == [STEP, PIXEL, PIXEL]
    assert stack.data_to_world((10, 0, 0))[0] == 0

    calibrate(qtbot, step)  # again: no second layer of beads
    assert len(viewer.layers) == 3
    step.report_to(tmp_path / "beads-report.html")
    wait(qtbot, step)
    assert step.status.label.text().startswith("Wrote beads-report.html")
    assert (tmp_path / "beads-report.json").exists()
    set_origin(step, "preset")
    step.choose_preset("astigmatism")
    wait(qtbot, step)
    assert step.verdicts.isHidden()
    set_origin(step, "beads")
    assert step.source.startswith("Calibrated")


def test_beads_picked_by_hand(qtbot, viewer, bead_stack):
    um = {"scale": (0.05, 0.1, 0.1), "translate": (0, 2, 3), "units": ("um",) * 3}
    stack = viewer.add_image(bead_stack[::-1], name="beads", **um)
    clicks = [(16.3 + 1.2, 15.8 - 1.4), (46.9 + 0.9, 47.3 + 1.1)]
    in_nm = np.array([[(y * 0.1 + 2) * 1000, (x * 0.1 + 3) * 1000] for y, x in clicks])
    points = viewer.add_points(in_nm, name="mine", units=("nm", "nm"))
    empty = viewer.add_points(np.empty((0, 2)), name="empty", units=("nm", "nm"))
    step = open_step(qtbot, viewer)
    set_origin(step, "beads")
    assert step.beads.stack == stack
    assert step.beads.pixel_size.value() == pytest.approx(PIXEL)
    assert step.beads.z_step.value() == pytest.approx(STEP)
    assert step.beads.apply_scale.isHidden()
    step.beads.roi_size.setValue(ROI)
    step.beads.z_direction.setCurrentIndex(1)
    step.beads.points_combo.select(empty)
    assert "no points" in step.calibrate_button.toolTip()
    step.beads.points_combo.select(points)
    calibrate(qtbot, step)
    assert step.source == "Calibrated from 2 of 2 beads of 'beads'"
    assert relative_error(step.psf) < 0.04  # though the clicks were off by more than a pixel
    found = viewer.layers["Beads of beads"]
    expected = [[2 + 0.1 * y, 3 + 0.1 * x] for y, x in (BEADS[0], BEADS[3])]
    world = np.array([found.data_to_world(place) for place in found.data])
    np.testing.assert_allclose(world, expected, atol=0.01)
    assert stack.scale.tolist() == [0.05, 0.1, 0.1]


def test_no_bead_gives_a_sentence(qtbot, viewer):
    viewer.add_image(np.random.default_rng(0).poisson(100, (21, 64, 64)), name="empty")
    step = open_step(qtbot, viewer)
    fill_in(step)
    calibrate(qtbot, step)
    assert step.worker.state is State.FAILED
    assert step.status.label.text().startswith("Expected at least one usable bead, got none")
    assert step.psf is None
    assert len(viewer.layers) == 1


def test_the_phase_of_an_impossible_objective_is_refused(qtbot, viewer, bead_stack):
    viewer.add_image(bead_stack, name="a stack with a name that nobody would call short")
    dock = open_dock(viewer)
    step = dock.psf_step
    fill_in(step)
    assert step.beads.value().optics is None
    step.beads.method.setCurrentIndex(1)
    assert not step.beads.optics.isHidden()
    step.beads.optics.na.setValue(1.49)
    assert step.beads.value().optics.na == 1.49
    step.beads.optics.immersion.setValue(1.33)
    assert "NA must be smaller" in step.calibrate_button.toolTip()

    step.curve.show()
    for place in range(step.origin.count()):  # with all fields it fits into a narrow dock
        step.origin.setCurrentIndex(place)
        assert step.minimumSizeHint().width() <= dock.minimumWidth() - 40  # margins, scroll bar


def test_phase_retrieval_can_be_cancelled(qtbot, viewer, bead_stack):
    viewer.add_image(bead_stack, name="beads")
    step = open_step(qtbot, viewer)
    fill_in(step)
    step.beads.method.setCurrentIndex(1)
    step.calibrate_button.click()
    assert step.calibrate_button.text() == "Cancel"
    qtbot.waitUntil(lambda: "phase" in step.status.label.text(), timeout=TIMEOUT)
    with qtbot.waitSignal(step.worker.finished, timeout=5000):
        step.calibrate_button.click()
    assert step.status.label.text() == "Cancelled."
    assert step.calibrate_button.text() == "Calibrate"
    assert step.psf is None


@pytest.mark.parametrize("method", [0, 1])
def test_closing_while_calibrating_leaves_no_thread(qtbot, make_napari_viewer, bead_stack, method):
    viewer = make_napari_viewer()
    viewer.add_image(bead_stack, name="beads")
    step = open_step(qtbot, viewer)
    before = threading.active_count()
    fill_in(step)
    step.beads.method.setCurrentIndex(method)
    step.calibrate_button.click()
    said = "phase" if method else "aligning"
    qtbot.waitUntil(lambda: said in step.status.label.text(), timeout=TIMEOUT)
    viewer.close()
    assert not step.worker.state.busy
    assert not step.looker.state.busy
    qtbot.waitUntil(lambda: threading.active_count() <= before, timeout=5000)


def test_clicks_are_moved_to_the_light(bead_stack):
    clicks = np.array(BEADS) + np.array([(2, 1), (-2, 2), (1, -3), (0, 0)])
    found = snapped(bead_stack, clicks, ROI)
    np.testing.assert_allclose(found, BEADS, atol=0.15)
    assert snapped(bead_stack, [EDGE, (30.0, 31.0)], ROI)[0] == EDGE
