"""Which movie, and how large its pixels are."""

from __future__ import annotations

from typing import Any

from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, Signal, Slot
from qtpy.QtWidgets import QCheckBox, QLabel, QWidget

from napari_dilatedloc.gui.exact_box import ExactBox
from napari_dilatedloc.gui.layer_combo import LayerCombo
from napari_dilatedloc.gui.layers import (
    has_length_unit,
    is_stack,
    known_pixel_size_nm,
    movie_array,
)
from napari_dilatedloc.gui.style import field_label, make_form
from napari_dilatedloc.io.movie import check_movie


class MovieStep(QWidget):
    """Choice of a movie layer and its pixel size.

    Signals
    -------
    changed
        Another movie or another pixel size.
    """

    changed = Signal()

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._trouble = ""
        self._usual_size: float | None = None
        self._make_fields()
        form = make_form(self)
        form.addRow(field_label("Layer"), self.layer_combo)
        form.addRow(field_label("Pixel size"), self.pixel_size)
        form.addRow(self.apply_scale)
        form.addRow(self.about)
        self.layer_combo.layer_changed.connect(self._on_layer_chosen)
        self.pixel_size.valueChanged.connect(self._tell)
        self._on_layer_chosen()

    def disconnect_viewer(self) -> None:
        """Stop following the viewer's layers, before the widget goes."""
        self.layer_combo.disconnect_viewer()

    @property
    def movie(self) -> Image | None:
        """The chosen layer."""
        return self.layer_combo.layer

    @property
    def pixel_size_nm(self) -> float | None:
        """Pixel size in nm, if known."""
        return self.pixel_size.value() or None

    def set_pixel_size(self, pixel_size_nm: float | None) -> None:
        """Show a pixel size, nm; None for what the layer knows."""
        if pixel_size_nm is None:
            self._on_layer_chosen()
        else:
            self.pixel_size.setValue(pixel_size_nm)

    def set_usual_pixel_size(self, pixel_size_nm: float | None) -> None:
        """Take the pixel size of the camera, nm, for movies that do not know theirs."""
        self._usual_size = pixel_size_nm
        if pixel_size_nm is not None and self._known_size() is None:
            self.pixel_size.setValue(pixel_size_nm)

    @property
    def about_frames(self) -> str:
        """Size and number of the frames in a few words; empty without a movie."""
        if self.movie is None or self._trouble:
            return ""
        frames, height, width = movie_array(self.movie).shape
        return f"{width} × {height} px, {frames:,} frames"

    @property
    def trouble(self) -> str:
        """Why the choice cannot be localized, one sentence; empty if it can."""
        if self.movie is None:
            return "Open a movie first: an image layer with frames, rows and columns."
        if self._trouble:
            return self._trouble
        if self.pixel_size_nm is None:
            return "Enter the pixel size in nm: camera pixel divided by magnification."
        return ""

    def select(self, layer: Any) -> None:
        """Choose a layer.

        Raises
        ------
        ValueError
            If it is no movie.
        """
        if self.layer_combo.select(layer):
            return
        got = "no layer"
        if layer is not None:
            got = f"'{layer.name}', a {layer.ndim}-D {layer.__class__.__name__} layer"
        raise ValueError(
            f"expected a movie layer (frames, rows, columns), got {got}; "
            "select an image layer with at least 3 dimensions."
        )

    @Slot()
    def reread(self) -> None:
        """Look at the layer once more if its pixel size was not known: it may be by now."""
        if self.movie is not None and self.pixel_size_nm is None:
            self._on_layer_chosen()

    def scale_movie(self) -> None:
        """Give the layer its pixel size as scale in nm, if the user left that ticked."""
        movie, size = self.movie, self.pixel_size_nm
        if movie is None or size is None or self.apply_scale.isHidden():
            return
        if self.apply_scale.isChecked():
            lead = len(movie.scale) - 2
            # scale before units: napari checks that all layers agree as soon as units change
            movie.scale = (*movie.scale[:lead], size, size)
            movie.units = (*movie.units[:lead], "nm", "nm")
            self._viewer.reset_view()
            self._update_scale_box(movie)

    def _make_fields(self) -> None:
        self.layer_combo = LayerCombo(self._viewer, is_stack)
        self.layer_combo.setToolTip("Image layer to localize: frames, rows, columns.")
        self.pixel_size = ExactBox(0.0, 10_000.0, 2, 1.0, " nm")
        self.pixel_size.setSpecialValueText("not known")
        self.pixel_size.setToolTip(
            "Side of a camera pixel in the sample, nm: camera pixel divided by magnification "
            "(11 um at 100x is 110 nm). Taken from the layer where it knows."
        )
        self.apply_scale = QCheckBox("show the movie in nm")
        self.apply_scale.setToolTip(
            "Sets the scale of the movie layer to this pixel size when you localize, so that the "
            "scale bar and all results are in nm. Without it results follow the layer as it is."
        )
        self.about = QLabel()
        self.about.setWordWrap(True)

    @Slot()
    def _on_layer_chosen(self) -> None:
        movie = self.movie
        self._trouble = ""
        size = None
        if movie is not None:
            try:
                check_movie(movie_array(movie))
                size = known_pixel_size_nm(movie) or self._usual_size
            except ValueError as error:
                self._trouble = str(error)
            self._update_scale_box(movie)
        else:
            self.apply_scale.hide()
        self._describe(movie)
        with QSignalBlocker(self.pixel_size):
            self.pixel_size.setValue(size or 0.0)
        self.changed.emit()

    def _known_size(self) -> float | None:
        """Pixel size the layer knows, nm."""
        try:
            return None if self.movie is None else known_pixel_size_nm(self.movie)
        except ValueError:  # said by `trouble` already
            return None

    @Slot()
    def _tell(self) -> None:
        self.changed.emit()

    def _update_scale_box(self, movie: Image) -> None:
        self.apply_scale.setHidden(has_length_unit(movie))
        # ticked only where there is no scale of the user's to lose
        self.apply_scale.setChecked(bool((movie.scale[-2:] == 1).all()))

    def _describe(self, movie: Image | None) -> None:
        if movie is None or self._trouble:
            self.about.setText(self._trouble)
            self.about.setVisible(bool(self._trouble))
            return
        self.about.hide()  # the header of the step says it
