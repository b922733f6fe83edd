"""A PSF from a file of ours or of another program."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Signal, Slot
from qtpy.QtWidgets import QComboBox, QFileDialog, QPushButton, QWidget

from napari_dilatedloc.config import PSFFile
from napari_dilatedloc.gui.exact_box import ExactBox
from napari_dilatedloc.gui.style import field_label, make_form, narrow

PSF_FILTER = "PSF files (*.h5 *.hdf5 *.mat *.yaml *.yml);;All files (*)"
CHOOSE = "Choose file…"


class PSFFileForm(QWidget):
    """File, pixel size and direction of z; `value` gives them, `setValue` shows them.

    Signals
    -------
    chosen : PSFFile
        Another file, or the same to be read in another way.
    """

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._path = ""
        self.button = QPushButton(CHOOSE)
        self.pixel_size = ExactBox(0.0, 10_000.0, 2, 1.0, " nm")
        self.pixel_size.setSpecialValueText("from the file")
        self.pixel_size.setKeyboardTracking(False)  # read the file once, not per digit
        self.pixel_size.setToolTip(
            "Side of a camera pixel in the sample, nm, for files that do not know it (Picasso, "
            "some SMAP files). 'from the file' is the lowest value."
        )
        self.z_direction = QComboBox()
        self.z_direction.addItem("as in the file", "up")
        self.z_direction.addItem("turned around", "down")
        self.z_direction.setToolTip(
            "Turn z around if the other program counted it towards the cover slip: then what "
            "should be above comes out below. Files of ours need no turning."
        )
        narrow(self.z_direction)
        form = make_form(self)
        form.addRow(field_label("File"), self.button)
        form.addRow(field_label("Pixel size"), self.pixel_size)
        form.addRow(field_label("z direction"), self.z_direction)
        self.button.clicked.connect(self._ask)
        self.pixel_size.valueChanged.connect(self._tell)
        self.z_direction.currentIndexChanged.connect(self._tell)
        self._show_path()

    def value(self) -> PSFFile | None:
        """Read what is on show; None without a file."""
        if not self._path:
            return None
        return PSFFile(
            path=self._path,
            pixel_size_nm=self.pixel_size.value() or None,
            z_direction=self.z_direction.currentData(),
        )

    def setValue(self, file: PSFFile | None) -> None:
        """Show a file, or none; tells nobody."""
        self._path = "" if file is None else file.path
        direction = "up" if file is None else file.z_direction
        with QSignalBlocker(self.pixel_size), QSignalBlocker(self.z_direction):
            self.pixel_size.setValue(0.0 if file is None else file.pixel_size_nm or 0.0)
            self.z_direction.setCurrentIndex(self.z_direction.findData(direction))
        self._show_path()

    def set_path(self, path: str | Path) -> None:
        """Choose a file."""
        self._path = str(path)
        self._show_path()
        self._tell()

    def _show_path(self) -> None:
        name = Path(self._path).name
        shown = name if len(name) <= 28 else f"{name[:12]}…{name[-15:]}"
        self.button.setText(shown or CHOOSE)
        kinds = (
            "ours (.h5, .yaml), SMAP and Li-lab (.mat), uiPSF (.h5), Picasso (.yaml, .hdf5) or "
            "DECODE (.yaml)"
        )
        self.button.setToolTip(self._path if name else f"Opens a PSF file: {kinds}.")

    @Slot()
    def _ask(self) -> None:
        folder = str(Path(self._path).parent) if self._path else ""
        path, _ = QFileDialog.getOpenFileName(self, "Load a PSF", folder, PSF_FILTER)
        if path:
            self.set_path(path)

    @Slot()
    def _tell(self) -> None:
        value = self.value()
        if value is not None:
            self.chosen.emit(value)
