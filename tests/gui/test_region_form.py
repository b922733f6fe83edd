import numpy as np
import pytest
from napari.layers import Image, Shapes

from napari_dilatedloc.gui.region_form import RegionForm, bounding_box

RECTANGLE = np.array([[2.0, 5.0], [2.0, 9.0], [6.0, 9.0], [6.0, 5.0]])


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    made = make_napari_viewer_proxy()
    made.add_image(np.zeros((4, 20, 30), np.uint16), name="movie")
    return made


@pytest.fixture
def form(qtbot, viewer):
    made = RegionForm(viewer)
    qtbot.addWidget(made)
    made.set_movie(viewer.layers["movie"])
    yield made
    made.disconnect_viewer()


def count_changes(form):
    seen = []
    form.changed.connect(lambda: seen.append(form.value()))
    return seen


def test_pixels_that_the_rectangle_touches():
    movie = Image(np.zeros((2, 20, 30)))
    # pixel 2 reaches from 1.5 to 2.5, so corners at 2.0 and 6.0 touch 2 to 6
    assert bounding_box(Shapes([RECTANGLE]), movie) == (2, 5, 7, 10)
    assert bounding_box(Shapes([RECTANGLE + 0.49]), movie) == (2, 5, 7, 10)
    assert bounding_box(Shapes([RECTANGLE + 0.51]), movie) == (3, 6, 8, 11)
    assert bounding_box(Shapes(ndim=2), movie) is None


def test_the_movies_own_scale_and_place_count():
    movie = Image(np.zeros((2, 20, 30)), scale=(1, 110, 110), translate=(0, 500, -300))
    same_place = RECTANGLE * 110 + [500, -300]
    assert bounding_box(Shapes([same_place]), movie) == (2, 5, 7, 10)
    scaled = Shapes([RECTANGLE], scale=(110, 110), translate=(500, -300))
    assert bounding_box(scaled, movie) == (2, 5, 7, 10)
    in_frame = np.column_stack([np.full(4, 1.0), same_place])
    assert bounding_box(Shapes([in_frame]), movie) == (2, 5, 7, 10)


def test_the_selected_shape_counts_else_the_newest():
    movie = Image(np.zeros((2, 20, 30)))
    shapes = Shapes([RECTANGLE, RECTANGLE + 3])
    shapes.selected_data = set()
    assert bounding_box(shapes, movie) == (5, 8, 10, 13)
    shapes.selected_data = {0}
    assert bounding_box(shapes, movie) == (2, 5, 7, 10)
    shapes.selected_data = {0, 1}
    assert bounding_box(shapes, movie) == (2, 5, 10, 13)


def test_set_then_get(form):
    for region in ((1, 2, 3, 4), None, (0, 0, 20, 30)):
        form.setValue(region)
        assert form.value() == region


def test_a_shape_is_followed(viewer, form):
    seen = count_changes(form)
    shapes = viewer.add_shapes([RECTANGLE], name="cell")
    assert form.value() is None
    assert seen == []  # a layer that was added is not chosen
    form.choice.setCurrentText("cell")
    assert form.value() == (2, 5, 7, 10)
    shapes.data = [RECTANGLE + np.array([0, 4])]
    assert form.value() == (2, 9, 7, 14)
    assert seen[-1] == (2, 9, 7, 14)
    shapes.data = [RECTANGLE + np.array([0, 18])]  # half of it outside
    assert form.value() == (2, 23, 7, 28)
    shapes.data = [RECTANGLE + np.array([100, 0])]
    assert "holds no pixel" in form.trouble


def test_a_removed_layer_leaves_its_numbers(viewer, form):
    shapes = viewer.add_shapes([RECTANGLE], name="cell")
    form.choice.setCurrentText("cell")
    viewer.layers.remove(shapes)
    assert form.value() == (2, 5, 7, 10)
    assert form.choice.currentText() == "numbers"


def test_numbers_by_hand_let_go_of_the_shape(viewer, form):
    shapes = viewer.add_shapes([RECTANGLE], name="cell")
    form.choice.setCurrentText("cell")
    form.boxes[3].setValue(12)
    assert form.value() == (2, 5, 7, 12)
    shapes.data = [RECTANGLE + 3]
    assert form.value() == (2, 5, 7, 12)


def test_numbers_begin_with_the_whole_frame(form):
    form.choice.setCurrentText("numbers")
    assert form.value() == (0, 0, 20, 30)
    assert form.trouble == ""


def test_drawing_makes_a_layer_over_the_movie(viewer, form):
    movie = viewer.layers["movie"]
    form.choice.setCurrentIndex(2)
    shapes = viewer.layers["Region"]
    assert shapes.mode == "add_rectangle"
    assert form.choice.layer == shapes
    assert "Drag a rectangle" in form.trouble
    shapes.add_rectangles(RECTANGLE)
    assert form.value() == (2, 5, 7, 10)
    assert form.trouble == ""
    # Localize gives the movie its scale in nm: the region stays on its pixels
    movie.scale = (1, 110, 110)
    assert form.value() == (2, 5, 7, 10)
    assert bounding_box(shapes, movie) == (2, 5, 7, 10)


def test_other_layers_change_nothing(viewer, form):
    seen = count_changes(form)
    viewer.add_points(np.zeros((1, 2)))
    viewer.layers.remove("Points")
    assert seen == []
