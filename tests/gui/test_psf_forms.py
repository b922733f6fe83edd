"""Every field of the PSF step reaches its config: set, get, equal."""

import numpy as np
import pytest
from pydantic import ValidationError

from napari_dilatedloc.config import (
    BeadSettings,
    PSFFile,
    PSFSettings,
    VectorialPSFConfig,
)
from napari_dilatedloc.gui.bead_form import BeadForm
from napari_dilatedloc.gui.optics_form import OpticsForm
from napari_dilatedloc.gui.psf_file_form import PSFFileForm
from napari_dilatedloc.gui.psf_step import PSFStep

ODD = 1 / 3
OPTICS = VectorialPSFConfig(
    na=1.2 + ODD / 100,
    wavelength_nm=600 + ODD,
    n_immersion=1.33 + ODD / 1e4,
    n_medium=1.33 + ODD / 1e4,
    depth_nm=ODD,
    zernike_nm=((2, 2, 60.0),),
    roi_size=41,
)
BEADS = [
    BeadSettings(),
    BeadSettings(pixel_size_nm=100 + ODD, z_step_nm=20 + ODD, roi_size=41, z_direction="down"),
    BeadSettings(z_step_nm=25, optics=OPTICS),
]


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    return make_napari_viewer_proxy()


@pytest.fixture
def optics(qtbot):
    made = OpticsForm()
    qtbot.addWidget(made)
    return made


@pytest.fixture
def step(qtbot, viewer):
    made = PSFStep(viewer)
    qtbot.addWidget(made)
    yield made
    made.shut_down()


@pytest.mark.parametrize("config", [VectorialPSFConfig(), OPTICS])
def test_optics_set_are_optics_got(optics, config):
    optics.setValue(config)
    assert optics.value() == config
    assert optics.trouble == ""


def test_each_field_of_the_optics(qtbot, optics):
    for name, field, value in (
        ("na", optics.na, 1.3),
        ("wavelength_nm", optics.wavelength, 580),
        ("n_immersion", optics.immersion, 1.41),
        ("n_medium", optics.medium, 1.33),
        ("depth_nm", optics.depth, 800),
    ):
        with qtbot.waitSignal(optics.changed):
            field.setValue(value)
        assert getattr(optics.value(), name) == value
    optics.na.setValue(1.45)
    assert "(1.41), got 1.45" in optics.trouble
    with pytest.raises(ValidationError):
        optics.value()


@pytest.mark.parametrize("settings", BEADS)
def test_beads_set_are_beads_got(qtbot, viewer, settings):
    form = BeadForm(viewer)
    qtbot.addWidget(form)
    form.setValue(settings)
    assert form.value() == settings
    form.reset()
    assert form.value() == BeadSettings()
    form.disconnect_viewer()


def test_each_field_of_the_beads(qtbot, viewer):
    form = BeadForm(viewer)
    qtbot.addWidget(form)
    form.pixel_size.setValue(108)
    form.z_step.setValue(12.5)
    form.roi_size.setValue(31)
    form.z_direction.setCurrentIndex(1)
    form.method.setCurrentIndex(1)
    form.optics.na.setValue(1.35)
    assert form.value() == BeadSettings(
        pixel_size_nm=108,
        z_step_nm=12.5,
        roi_size=31,
        z_direction="down",
        optics=VectorialPSFConfig(na=1.35),
    )
    form.disconnect_viewer()


def test_a_reset_takes_what_the_stack_knows(qtbot, viewer):
    viewer.add_image(np.zeros((5, 30, 30)), scale=(0.05, 0.1, 0.1), units=("um",) * 3)
    form = BeadForm(viewer)
    qtbot.addWidget(form)
    form.setValue(BEADS[1])
    form.reset()
    assert form.value().pixel_size_nm == pytest.approx(100)
    assert form.value().z_step_nm == pytest.approx(50)
    form.disconnect_viewer()


@pytest.mark.parametrize(
    "file",
    [
        None,
        PSFFile(path="/some where/beads_3dcal.mat"),
        PSFFile(path="b.yaml", pixel_size_nm=100 + ODD, z_direction="down"),
    ],
)
def test_a_file_set_is_the_file_got(qtbot, file):
    form = PSFFileForm()
    qtbot.addWidget(form)
    seen = []
    form.chosen.connect(seen.append)
    form.setValue(PSFFile(path="other.h5", pixel_size_nm=3, z_direction="down"))
    form.setValue(file)
    assert form.value() == file
    assert seen == []  # reading the file is for who sets it


@pytest.mark.parametrize(
    "settings",
    [
        PSFSettings(),
        PSFSettings(origin="beads", beads=BEADS[1]),
        PSFSettings(origin="beads", preset="astigmatism", beads=BEADS[2]),
    ],
)
def test_the_step_set_is_the_step_got(step, settings):
    step.setValue(settings)
    assert step.value() == settings
    assert step.bead_box.isHidden() == (settings.origin != "beads")
    assert step.psf is None  # beads are measured by the button only


def test_a_preset_and_a_file_are_loaded(qtbot, step, tmp_path):
    step.setValue(PSFSettings(preset="tetrapod-3um"))
    qtbot.waitUntil(lambda: step.psf is not None, timeout=60_000)
    assert step.source == "Built-in PSF tetrapod-3um"
    assert step.value() == PSFSettings(preset="tetrapod-3um")
    gone = PSFSettings(origin="file", file=PSFFile(path=str(tmp_path / "gone.mat")))
    step.setValue(gone)
    assert step.psf is None
    qtbot.waitUntil(lambda: bool(step.status.error), timeout=60_000)
    assert "gone.mat" in step.status.error
    assert step.value() == gone
