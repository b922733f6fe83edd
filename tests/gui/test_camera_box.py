import pytest
from qtpy.QtWidgets import QInputDialog

from napari_dilatedloc.config import (
    BUILT_IN_CAMERAS,
    CameraConfig,
    EMCCDConfig,
    SCMOSConfig,
    load_yaml,
    save_yaml,
)
from napari_dilatedloc.gui.camera_box import CameraBox
from napari_dilatedloc.gui.camera_form import CameraForm
from napari_dilatedloc.gui.camera_presets import CameraPresets

MINE = SCMOSConfig(baseline=398.6, e_per_adu=0.11, qe=0.82, read_noise_e=1.1, spurious_e=0.003)


@pytest.fixture
def presets(tmp_path):
    return CameraPresets(tmp_path / "cameras")


@pytest.fixture
def make_box(qtbot, presets):
    def make():
        box = CameraBox(CameraForm(), presets)
        qtbot.addWidget(box)
        return box

    return make


@pytest.fixture
def box(make_box):
    return make_box()


def pick(box, text):
    """Choose an entry as a user does."""
    box.combo.setCurrentText(text)
    assert box.combo.currentText() == text
    box.combo.activated.emit(box.combo.currentIndex())


def entries(box):
    return [box.combo.itemText(place) for place in range(box.combo.count())]


def test_at_first_the_camera_is_the_models(box):
    assert box.camera is None
    box.set_model_camera(EMCCDConfig(em_gain=123))
    assert box.form.value() == EMCCDConfig(em_gain=123)
    assert box.camera is None
    assert entries(box) == ["as the model's", *BUILT_IN_CAMERAS, "as entered below"]


@pytest.mark.parametrize("camera", [MINE, EMCCDConfig(), SCMOSConfig(maps="chip.npz"), None])
def test_a_camera_set_is_the_camera_got(box, camera):
    box.set_camera(camera)
    assert box.camera == camera


def test_an_edit_makes_it_ones_own(qtbot, box):
    box.set_model_camera(SCMOSConfig())
    with qtbot.waitSignal(box.changed):
        box.form.baseline.setValue(200)
    assert box.name == "as entered below"
    assert box.camera == SCMOSConfig(baseline=200)
    box.set_model_camera(EMCCDConfig())  # another model is no reason to forget it
    assert box.camera == SCMOSConfig(baseline=200)
    pick(box, "as the model's")
    assert box.form.value() == EMCCDConfig()


def test_a_preset_is_kept_chosen_and_remembered(monkeypatch, box, make_box, presets):
    box.set_camera(MINE)
    box.current_pixel_size_nm = 108.3
    monkeypatch.setattr(QInputDialog, "getText", lambda *_, **__: ("Orca, left/port", True))
    box.save_button.click()
    assert box.name == "Orca, left-port"
    assert "--camera" in box.status.label.text()
    # the command line reads the very file
    assert load_yaml(CameraConfig, box.preset_path) == MINE

    pick(box, "EMCCD, SMLM Challenge 2016")
    assert box.camera == EMCCDConfig()
    assert box.pixel_size_nm is None
    assert "Only a camera of yours" in box.delete_button.toolTip()
    assert make_box().name == "EMCCD, SMLM Challenge 2016"
    pick(box, "Orca, left-port")
    assert (box.camera, box.pixel_size_nm) == (MINE, 108.3)

    later = make_box()
    assert (later.name, later.camera, later.pixel_size_nm) == ("Orca, left-port", MINE, 108.3)
    later.delete_button.click()
    assert later.camera == MINE  # the numbers stay
    assert presets.names() == []
    assert make_box().camera is None


def test_two_presets_with_the_same_numbers_keep_their_pixel_sizes(box, make_box):
    box.set_camera(MINE)
    for name, size in (("a 100x", 65.0), ("b 60x", 108.0)):
        box.current_pixel_size_nm = size
        box.save_as(name)
    box.choose("b 60x")
    later = make_box()
    later.set_camera(MINE)
    assert (later.name, later.pixel_size_nm) == ("b 60x", 108.0)


def test_a_file_of_any_kind_with_a_camera(box, tmp_path):
    save_yaml(MINE, tmp_path / "camera.yaml")
    box.load(tmp_path / "camera.yaml")
    assert box.camera == MINE
    box.load(tmp_path / "none.yaml")
    assert "none.yaml" in box.status.error
    assert box.camera == MINE
    (tmp_path / "run.yaml").write_text("threshold: 0.3")
    box.load(tmp_path / "run.yaml")
    assert "expected the settings of a camera" in box.status.error


def test_a_broken_preset_is_said(box, presets):
    presets.save("good", MINE, None)
    presets.path("broken").write_text("dilatedloc: 1\ncamera: {kind: film}")
    box.set_camera(MINE)
    assert box.name == "good"
    pick(box, "broken")
    assert "broken.yaml" in box.status.error
    assert box.camera == MINE


def test_names_that_no_file_can_have(box, presets):
    box.set_camera(MINE)
    box.save_as(" ../..")
    assert "needs a letter or a digit" in box.status.error
    box.save_as("../out")
    assert [path.name for path in presets.path("x").parent.iterdir() if path.is_file()] == [
        "-out.yaml"
    ]


def test_impossible_numbers_cannot_be_saved(box):
    box.form.baseline.setValue(1e5)
    assert box.trouble.startswith("Baseline must lie below max_adu")
    assert not box.save_button.isEnabled()
    assert "Correct the numbers" in box.save_button.toolTip()


def test_somebodys_edit_of_the_memory_costs_nothing_else(make_box, presets, tmp_path):
    presets.remember("EMCCD, SMLM Challenge 2016")
    (memory,) = tmp_path.glob("*.yaml")
    memory.write_text("last: [")
    assert make_box().camera is None
    presets.remember("gone")
    assert make_box().camera is None
