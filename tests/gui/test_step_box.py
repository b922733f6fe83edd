import pytest
from napari.utils.theme import get_theme
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_dilatedloc.config import LocalizeConfig
from napari_dilatedloc.gui import step_states
from napari_dilatedloc.gui.step_box import COLOURS, Mark, StepBox, StepState
from napari_dilatedloc.gui.style import SHADES, Tone, set_tone, style_sheet, tone_of
from napari_dilatedloc.gui.worker import State
from napari_dilatedloc.network.shipped import read_info


def luminance(colour):
    """Relative luminance of WCAG 2.1."""
    channels = (QColor(colour).redF(), QColor(colour).greenF(), QColor(colour).blueF())
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_texts_can_be_read_in_each_theme(theme):
    ground = QColor(get_theme(theme).background.as_hex("long"))
    for tone, shade in SHADES[theme].items():
        assert contrast(shade, ground) > 4.5, tone


def test_the_signs_can_be_read_on_their_marks():
    assert contrast("white", COLOURS[Mark.DONE]) > 3
    assert contrast("white", COLOURS[Mark.BUSY]) > 3
    assert contrast("#1e1e21", COLOURS[Mark.ATTENTION]) > 4.5
    for theme in ("dark", "light"):
        ground = QColor(get_theme(theme).background.as_hex("long"))
        assert contrast(COLOURS[Mark.NOTHING], ground) > 2.5


def test_a_tone_changes_the_colour(qtbot):
    parent = QWidget()
    qtbot.addWidget(parent)
    parent.setStyleSheet(style_sheet("light"))
    label = QLabel("text", parent)
    for tone in (Tone.ERROR, Tone.MUTED):
        set_tone(label, tone)
        label.ensurePolished()
        assert tone_of(label) is tone
        assert label.palette().windowText().color() == QColor(SHADES["light"][tone])


def test_a_click_or_a_key_opens_and_closes(qtbot):
    box = StepBox("Title", QLabel("inside"), number=2)
    qtbot.addWidget(box)
    seen = []
    box.toggled.connect(seen.append)
    assert box.opened
    qtbot.mouseClick(box.header, Qt.MouseButton.LeftButton)
    assert not box.opened
    qtbot.keyClick(box.header, Qt.Key.Key_Space)
    assert box.opened
    box.expand()
    assert seen == [False, True]


def test_the_header_says_how_far_a_step_is(qtbot):
    box = StepBox("Title", QLabel("inside"), number=2)
    qtbot.addWidget(box)
    box.show_state(StepState(Mark.ATTENTION, "short", "The whole story."))
    assert box.header.mark.mark is Mark.ATTENTION
    assert box.header.summary.text() == "short"
    assert box.header.toolTip() == "Title: needs attention. The whole story."
    assert box.header.accessibleName() == "Title: needs attention"
    box.show_state(StepState())
    assert box.header.summary.isHidden()


def test_a_long_summary_does_not_widen_the_dock(qtbot):
    holder = QWidget()
    qtbot.addWidget(holder)
    box = StepBox("Title", QLabel("inside"), number=1)
    QVBoxLayout(holder).addWidget(box)
    before = holder.minimumSizeHint().width()
    box.show_state(StepState(Mark.DONE, "a very long summary " * 20))
    assert holder.minimumSizeHint().width() == before


@pytest.mark.parametrize("mark", list(Mark))
def test_each_mark_is_painted_in_its_colour(qtbot, mark):
    box = StepBox("Title", number=3)
    qtbot.addWidget(box)
    box.show_state(StepState(mark))
    picture = box.header.mark.grab().toImage()
    colours = [
        picture.pixelColor(x, y) for x in range(picture.width()) for y in range(picture.height())
    ]
    assert QColor(COLOURS[mark]) in colours


MOVIE = "128 × 128 px, 2,000 frames"


@pytest.mark.parametrize(
    ("arguments", "mark", "summary"),
    [
        (("", None, "c", "Open a movie first.", ""), Mark.NOTHING, step_states.NO_MOVIE),
        ((MOVIE, 100.0, "c", "", ""), Mark.DONE, f"{MOVIE}, 100 nm"),
        ((MOVIE, None, "c", "Enter the pixel size.", ""), Mark.ATTENTION, f"{MOVIE}, pixel size?"),
        ((MOVIE, 100.0, "c", "", "Baseline is wrong."), Mark.ATTENTION, "Baseline is wrong."),
        (("", None, "c", "It is RGB.", ""), Mark.ATTENTION, "It is RGB."),
    ],
)
def test_movie(arguments, mark, summary):
    found = step_states.movie_state(*arguments)
    assert (found.mark, found.summary) == (mark, summary)


def test_model():
    info = read_info("astigmatism")
    good = step_states.model_state("astigmatism", info, "", "", "")
    assert good.mark is Mark.DONE
    assert good.summary == "astigmatism, 100 nm, z -700 to 700 nm"
    doubted = step_states.model_state("astigmatism", info, "", "Other pixels.", "")
    assert (doubted.mark, doubted.tip) == (Mark.ATTENTION, "Other pixels.")
    assert step_states.model_state("bad", None, "", "", "").mark is Mark.ATTENTION
    assert step_states.model_state("m", info, "", "", "training, 3 %").mark is Mark.BUSY


@pytest.mark.parametrize(
    ("state", "done", "total", "config", "mark", "said"),
    [
        (State.IDLE, 0, 0, LocalizeConfig(), Mark.NOTHING, "all frames, threshold of the model"),
        (
            State.IDLE,
            0,
            0,
            LocalizeConfig(frames=(5, 60), threshold=0.35),
            Mark.NOTHING,
            "frames 5-59, above 0.35",
        ),
        (State.RUNNING, 340, 2000, LocalizeConfig(), Mark.BUSY, "halfway"),
        (State.DONE, 2000, 2000, LocalizeConfig(), Mark.DONE, "2,000 frames done"),
        (
            State.CANCELLED,
            64,
            2000,
            LocalizeConfig(),
            Mark.ATTENTION,
            "stopped: 64 of 2,000 frames are kept",
        ),
        (State.FAILED, 0, 0, LocalizeConfig(), Mark.ATTENTION, "the last run failed"),
    ],
)
def test_localize(state, done, total, config, mark, said):
    found = step_states.localize_state(state, done, total, "halfway", config, "")
    assert (found.mark, found.summary) == (mark, said)


def test_results():
    assert step_states.results_state(0, 0, "").mark is Mark.NOTHING
    found = step_states.results_state(12, 12, "12 localizations\n3 a frame")
    assert found == StepState(Mark.DONE, "12 localizations", "12 localizations\n3 a frame")
