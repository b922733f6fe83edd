from pathlib import Path

import pytest
from pydantic import ValidationError

from napari_dilatedloc.config import (
    EMCCDConfig,
    SCMOSConfig,
    SimulationConfig,
    TrainingConfig,
)
from napari_dilatedloc.gui.camera_form import CameraForm
from napari_dilatedloc.gui.train_form import TrainForm, default_settings
from napari_dilatedloc.network.shipped import available_models

ODD = 1 / 3
"""A number that no box can show in full."""


@pytest.fixture
def camera(qtbot):
    made = CameraForm()
    qtbot.addWidget(made)
    return made


@pytest.fixture
def form(qtbot, camera, tmp_path):
    made = TrainForm(camera)
    qtbot.addWidget(made)
    made.set_out(tmp_path / "new.safetensors")
    return made


CAMERAS = [
    SCMOSConfig(),
    SCMOSConfig(baseline=ODD, e_per_adu=ODD, qe=ODD, read_noise_e=ODD),
    SCMOSConfig(maps="chip.npz", spurious_e=0.1, max_adu=4095),
    EMCCDConfig(),
    EMCCDConfig(em_gain=100 + ODD, spurious_e=0.01, baseline=12345.678),
]


@pytest.mark.parametrize("config", CAMERAS)
def test_a_camera_set_is_the_camera_got(camera, config):
    camera.setValue(config)
    assert camera.value() == config
    assert camera.trouble == ""


def test_each_field_of_a_camera_reaches_the_config(qtbot, camera):
    camera.baseline.setValue(398.6)
    camera.e_per_adu.setValue(5.0)
    camera.qe.setValue(0.8)
    camera.read_noise.setValue(2.5)
    expected = {"baseline": 398.6, "e_per_adu": 5.0, "qe": 0.8, "read_noise_e": 2.5}
    assert camera.value() == SCMOSConfig(**expected)
    with qtbot.waitSignal(camera.changed):
        camera.kind.setCurrentIndex(1)
    # what the kinds do not share is that of an EMCCD now
    assert camera.value() == EMCCDConfig(baseline=398.6, qe=0.8)
    camera.em_gain.setValue(200.0)
    assert camera.value().em_gain == 200


def test_an_impossible_camera_is_said_in_a_sentence(camera, form):
    camera.setValue(SCMOSConfig(max_adu=4095))
    camera.baseline.setValue(5000)
    assert camera.trouble.startswith("Baseline must lie below max_adu")
    assert form.trouble == camera.trouble


@pytest.mark.parametrize(
    "config",
    [
        TrainingConfig(),
        default_settings(),
        TrainingConfig(minutes=ODD),
        TrainingConfig(steps=1234),
        TrainingConfig(simulation=SimulationConfig(photons=(100 + ODD, 2000 + ODD))),
        TrainingConfig(simulation=SimulationConfig(bg=(ODD, 100 * ODD))),
        TrainingConfig(simulation=SimulationConfig(density_per_um2=(0.0123456, ODD))),
        TrainingConfig(simulation=SimulationConfig(z_range_nm=(-100, 900), lifetime_frames=3.7)),
        TrainingConfig(network="dilatedloc-2024", seed=7, validate_every=3, learning_rate=1e-4),
        *(TrainingConfig(camera=camera) for camera in CAMERAS),
    ],
)
def test_set_then_get_is_equal(form, config):
    form.setValue(config)
    assert form.value() == config
    assert form.trouble == ""


def test_each_field_reaches_the_config(qtbot, form, camera):
    expected = {"photons": (600.0, 9000.0), "bg": (12.5, 80.0), "density_per_um2": (0.05, 0.75)}
    for name, value in expected.items():
        with qtbot.waitSignal(form.changed):
            form.ranges[name].low.setValue(value[0])
        form.ranges[name].high.setValue(value[1])
    form.minutes.setValue(12.5)
    camera.kind.setCurrentIndex(1)
    found = form.value()
    assert found == default_settings().replace(
        simulation=SimulationConfig(**expected), minutes=12.5, camera=EMCCDConfig()
    )


def test_defaults_are_those_of_fine_tuning(form):
    gentle = TrainingConfig().for_fine_tuning()
    found = form.value()
    assert found.minutes == gentle.minutes == 7
    # the form states a length but no rate, so that the trainer can choose it by the start
    assert found.for_fine_tuning().learning_rate == gentle.learning_rate
    assert found.learning_rate == TrainingConfig().learning_rate
    assert form.init == "auto"


def test_the_start_set_is_the_start_got(form, tmp_path):
    for name in ("none", "auto", available_models()[0], str(tmp_path / "mine.safetensors")):
        form.set_init(name)
        assert form.init == name
    assert form.start.currentText() == "mine.safetensors"


def test_who_shows_the_camera_hears_of_another_one(qtbot, form, camera):
    with qtbot.waitSignal(camera.changed):
        form.setValue(TrainingConfig(camera=EMCCDConfig(em_gain=77)))


def test_an_impossible_range_is_said_in_a_sentence(form):
    form.ranges["photons"].low.setValue(9000)
    assert form.trouble.startswith("Photons must be (low, high), got (9000")
    with pytest.raises(ValidationError):
        form.value()
    form.ranges["photons"].low.setValue(500)
    assert form.trouble == ""


def test_the_starts_offered(form):
    offered = [form.start.itemData(place) for place in range(form.start.count())]
    assert offered == ["auto", *available_models(), "none"]
    form.start.setCurrentIndex(len(offered) - 1)
    assert form.init == "none"
    assert "hours" in form.note.text()
    form.minutes.setValue(300)
    assert form.note.isHidden()


def test_a_model_is_never_overwritten(form, tmp_path):
    form.suggest_out(tmp_path, "my psf/1")
    assert form.out == tmp_path / "my-psf-1.safetensors"
    form.out.touch()
    assert "is there already" in form.trouble
    form.suggest_out(tmp_path, "my psf/1")
    assert form.out == tmp_path / "my-psf-1-2.safetensors"
    form.set_out(tmp_path / "no.suffix")
    assert form.out.name == "no.suffix.safetensors"
    form.suggest_out(None, "model")
    assert form.out.parent != Path()
