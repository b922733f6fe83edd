import numpy as np
import pytest

from napari_dilatedloc.config.filters import FilterConfig
from napari_dilatedloc.gui.layers import Placement
from napari_dilatedloc.gui.live import LiveResult
from napari_dilatedloc.gui.measure_box import MeasureBox
from napari_dilatedloc.table import Localizations, TableInfo

SIGMA_NM = 15.0


@pytest.fixture
def result(movie_viewer):
    """A filament along x at y = 10 px, 15 nm wide, over a movie that lies elsewhere."""
    generator = np.random.default_rng(4)
    n = 4000
    table = Localizations.from_columns(
        frame=np.sort(generator.integers(0, 20, n)),
        x=generator.uniform(2, 28, n),
        y=10 + generator.normal(0, SIGMA_NM / 100, n),
        photons=np.full(n, 700.0),
    )
    movie = movie_viewer.layers["movie"]
    movie.translate = (0, 500, -300)
    placed = Placement.from_layer(movie)
    made = LiveResult(movie_viewer, "m", placed, (20, 30), TableInfo(100.0, (20, 30), 20), {})
    made.append(0, 20, table)
    made.finish(partial=False)
    return made


@pytest.fixture
def box(qtbot, result):
    made = MeasureBox()
    qtbot.addWidget(made)
    assert not made.button.isEnabled()
    made.show_result(result)
    return made


def draw(result, corners_px, kind):
    """A shape given in px of the movie, in a layer of its own scale."""
    world = np.asarray(corners_px) * 100 + np.array([500, -300])
    layer = result.viewer.add_shapes(scale=(50, 50), units=("nm", "nm"))
    layer.add(world / 50, shape_type=kind)
    return layer


def test_a_line_across_a_filament_gives_its_width(box, result):
    draw(result, [[8, 15], [12, 15]], "line")
    box.width.setValue(1000)
    box.bin.setValue(5)
    box.button.click()
    assert box.plot.isVisibleTo(box)
    said = box.figures.text()
    assert "along 400 nm" in said
    assert float(said.split("peak at ")[1].split()[0]) == pytest.approx(200, abs=3)
    width = float(said.rsplit("maximum ", 1)[1].split()[0])
    assert width == pytest.approx(2.355 * SIGMA_NM, rel=0.12)


def test_a_rectangle_gives_count_area_and_photons(box, result):
    table = result.store.table()
    draw(result, [[9, 5], [9, 15], [11, 15], [11, 5]], "rectangle")
    box.measure()
    inside = (np.abs(table.y - 10) < 1) & (table.x > 5) & (table.x < 15)
    assert box.figures.text().startswith(f"{inside.sum():,} localizations in 0.2 µm²")
    assert "700 photons" in box.figures.text()
    assert not box.plot.isVisibleTo(box)
    mask = table.x < 10
    result.filter(FilterConfig(ranges={"x": (None, 10.0)}), mask)
    box.measure()
    assert box.figures.text().startswith(f"{(inside & mask).sum():,} localizations in 0.2 µm²")


def test_an_ellipse_has_its_own_area(box, result):
    draw(result, [[8, 5], [8, 15], [12, 15], [12, 5]], "ellipse")
    box.measure()
    area = float(box.figures.text().split(" in ")[1].split()[0])
    assert area == pytest.approx(np.pi * 0.2 * 0.5, rel=0.01)


def test_the_selected_shape_counts_and_nothing_drawn_is_said(box, result):
    box.measure()
    assert "Draw a line" in box.line.error
    layer = draw(result, [[9, 5], [9, 15], [11, 15], [11, 5]], "rectangle")
    layer.add(layer.data[0] * 0 + 1, shape_type="polygon")  # no area
    box.measure()
    assert "no area" in box.line.error
    layer.selected_data = {0}
    box.measure()
    assert not box.line.error
    assert "in 0.2 µm²" in box.figures.text()
