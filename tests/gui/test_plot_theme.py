import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from napari.utils.theme import get_theme

from napari_dilatedloc.gui.plot_theme import COLOURS, recolour


def luminance(colour):
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in to_rgb(colour)]
    return sum(weight * v for weight, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("kind", ["dark", "light"])
def test_all_texts_can_be_read(kind):
    figure = Figure()
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="tab:blue", label="curve")
    axis.set_title("left", loc="left")
    axis.set_xlabel("z (nm)")
    axis.legend()
    other = "light" if kind == "dark" else "dark"
    recolour(figure, other)
    recolour(figure, kind)
    background, foreground = COLOURS[kind]
    assert to_hex(figure.get_facecolor()) == to_hex(axis.get_facecolor()) == background
    texts = [axis._left_title, axis.xaxis.label, axis.get_legend().get_texts()[0]]
    texts += axis.get_xticklabels()
    assert {to_hex(text.get_color()) for text in texts} == {foreground}
    assert axis.lines[0].get_color() == "tab:blue"
    light, dark = sorted((luminance(background), luminance(foreground)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) > 7
    napari = get_theme(kind).background.as_hex()
    assert abs(luminance(napari) - luminance(background)) < 0.01
