"""A volume layer lies where its molecules are, and switches nothing."""

import time

import numpy as np
import pytest

from napari_dilatedloc.config.filters import FilterConfig
from napari_dilatedloc.gui import volume_button
from napari_dilatedloc.gui.layers import Placement
from napari_dilatedloc.gui.live import LiveResult
from napari_dilatedloc.gui.volume_button import VolumeButton, VolumeLayer
from napari_dilatedloc.gui.worker import State
from napari_dilatedloc.table import Localizations, TableInfo

TIMEOUT = 120_000
ZYX = np.array([[-310.0, 4.3, 21.8], [150.0, 12.7, 6.1], [420.0, 8.0, 15.0]])  # nm, px, px


def molecules():
    n = len(ZYX)
    return Localizations.from_columns(
        frame=[0, 3, 9],
        z_nm=ZYX[:, 0],
        y=ZYX[:, 1],
        x=ZYX[:, 2],
        sigma_x=np.full(n, 0.1),
        sigma_y=np.full(n, 0.1),
        sigma_z_nm=np.full(n, 25.0),
    )


def made(viewer, scale, translate, units, table=None):
    viewer.add_image(
        np.zeros((20, 20, 30), np.uint16),
        name="cells",
        scale=scale,
        translate=translate,
        units=units,
    )
    placed = Placement.from_layer(viewer.layers["cells"])
    result = LiveResult(viewer, "cells", placed, (20, 30), TableInfo(100.0, (20, 30), 20), {})
    result.append(0, 20, molecules() if table is None else table)
    result.finish(partial=False)
    return result


@pytest.fixture
def button(qtbot):
    widget = VolumeButton()
    qtbot.addWidget(widget)
    yield widget
    widget.shut_down()


def volume_of(result):
    return next(one for one in result.attached if isinstance(one, VolumeLayer)).layer


@pytest.mark.parametrize(
    ("scale", "translate", "units"),
    [
        ((1, 100, 100), (0, 500, -300), ("pixel", "nm", "nm")),
        ((1, 0.1, 0.1), (5, 0.5, -0.3), ("pixel", "um", "um")),
        ((1, 1, 1), (0, 0, 0), ("pixel", "pixel", "pixel")),
        ((1, 100, 100), (0, 0, 0), ("nm", "nm", "nm")),
    ],
)
def test_a_molecule_is_brightest_at_its_place_in_the_world(
    qtbot, make_napari_viewer_proxy, button, scale, translate, units
):
    viewer = make_napari_viewer_proxy()
    result = made(viewer, scale, translate, units)
    before = (viewer.dims.ndisplay, viewer.layers.selection.active, len(viewer.layers))
    shown = {layer.name: layer.visible for layer in viewer.layers}
    assert viewer.layers.extent.units is not None
    button.show_result(result, "")
    with qtbot.waitSignal(button.worker.finished, timeout=TIMEOUT):
        button.click()
    layer = volume_of(result)
    per_nm = scale[1] / 100
    for z_nm, y, x in ZYX:
        world = np.array([z_nm * per_nm, translate[1] + y * scale[1], translate[2] + x * scale[2]])
        place = np.asarray(layer.world_to_data(world))
        near = np.rint(place).astype(int)
        box = tuple(slice(max(0, p - 12), p + 13) for p in near)
        found = np.unravel_index(np.argmax(layer.data[box]), layer.data[box].shape)
        found = np.array([f + b.start for f, b in zip(found, box, strict=True)])
        assert np.abs(found - place).max() <= 0.51  # the voxel that holds it
    assert layer.scale[1] == pytest.approx(5 * per_nm)  # half the precision
    assert layer.scale[0] == pytest.approx(12.5 * per_nm)
    # nothing else has changed, and all units agree, or napari would drop them
    assert (viewer.dims.ndisplay, viewer.layers.selection.active) == before[:2]
    assert len(viewer.layers) == before[2] + 1
    assert {name: viewer.layers[name].visible for name in shown} == shown
    assert viewer.layers.extent.units is not None
    assert [str(unit) for unit in layer.units[1:]] == [
        str(unit) for unit in result.image_layer.units
    ]


def test_the_filter_counts_and_the_volume_goes_with_its_result(qtbot, movie_viewer, button):
    result = made(movie_viewer, (1, 100, 100), (0, 0, 0), ("pixel", "nm", "nm"))
    mask = np.array([True, False, False])
    result.filter(FilterConfig(where="z_nm<0"), mask)
    button.show_result(result, "")
    said = []
    button.said.connect(said.append)
    with qtbot.waitSignal(button.worker.finished, timeout=TIMEOUT):
        button.click()
    layer = volume_of(result)
    assert layer.data.sum() == pytest.approx(1, rel=0.02)
    assert layer.translate[0] == pytest.approx(-310, abs=100)
    assert "5 × 5 × 12.5 nm" in said[-1]
    result.show(False)
    assert not layer.visible
    result.remove()
    assert layer not in movie_viewer.layers


def test_what_cannot_be_drawn_is_said(qtbot, movie_viewer, button):
    button.show_result(None, "There is nothing: localize first.")
    assert not button.isEnabled()
    assert button.toolTip() == "There is nothing: localize first."
    flat = Localizations.from_columns(frame=[0], x=[3], y=[4])
    result = made(movie_viewer, (1, 100, 100), (0, 0, 0), ("pixel", "nm", "nm"), flat)
    button.show_result(result, "")
    with qtbot.waitSignal(button.failed, timeout=TIMEOUT) as failed:
        button.click()
    assert failed.args[0].startswith("A volume needs z, got no localization that has one")
    assert not result.attached


def test_a_large_field_is_said_in_one_sentence(qtbot, movie_viewer, button, monkeypatch):
    monkeypatch.setattr(volume_button.render.VoxelGrid.around.__func__, "__defaults__", (10**5, 99))
    result = made(movie_viewer, (1, 100, 100), (0, 0, 0), ("pixel", "nm", "nm"))
    button.show_result(result, "")
    said = []
    button.said.connect(said.append)
    with qtbot.waitSignal(button.worker.finished, timeout=TIMEOUT):
        button.click()
    assert volume_of(result).data.size <= 10**5
    assert "the field is too large for that: filter to a part of it" in said[-1]


def test_it_can_be_cancelled(qtbot, movie_viewer, button, monkeypatch):
    def endless(*_args):
        while True:
            time.sleep(1e-3)  # or the planes would be drawn before anybody cancels
            yield np.zeros((1, 1), np.float32)

    class Grid:
        size = (10**6, 1, 1)
        view = z_range_nm = z_step_nm = None

    monkeypatch.setattr(volume_button.render.VoxelGrid, "around", lambda *_args: Grid)
    monkeypatch.setattr(volume_button.render, "planes", endless)
    result = made(movie_viewer, (1, 100, 100), (0, 0, 0), ("pixel", "nm", "nm"))
    button.show_result(result, "")
    with qtbot.waitSignal(button.said, timeout=TIMEOUT) as said:
        button.click()
    assert said.args[0].startswith("Drawing the volume: plane")
    assert button.text() == "Cancel volume"
    with qtbot.waitSignal(button.worker.finished, timeout=TIMEOUT):
        button.click()
    assert button.worker.state is State.CANCELLED
    assert not result.attached
    assert button.text() == "To 3-D volume"
