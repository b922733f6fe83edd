"""The steps of the dock in workflow order, in one column that scrolls."""

from __future__ import annotations

from qtpy.QtCore import Qt, QTimer, Slot
from qtpy.QtWidgets import QFrame, QScrollArea, QWidget

from napari_dilatedloc.gui.step_box import Column, StepBox


class Steps(QScrollArea):
    """Movie & camera, PSF, Model, Localize, Results & export.

    Parameters
    ----------
    movie, camera, psf, model, train, localize, results : QWidget
        What the steps hold.
    """

    def __init__(
        self,
        *,
        movie: QWidget,
        camera: QWidget,
        psf: QWidget,
        model: QWidget,
        train: QWidget,
        localize: QWidget,
        results: QWidget,
    ) -> None:
        super().__init__()
        self.movie = StepBox("Movie & camera", movie, camera, number=1)
        self.psf = StepBox("PSF", psf, number=2, opened=False)
        self.train = StepBox("Match, fine-tune or train", train, opened=False)
        self.train.header.setToolTip("A model of your own, for your PSF, camera and movie.")
        self.model = StepBox("Model", model, self.train, number=3)
        self.localize = StepBox("Localize", localize, number=4)
        self.results = StepBox("Results & export", results, number=5, opened=False)
        self._laid_out = QTimer(self)  # a child: without the steps it does not fire
        self._laid_out.setSingleShot(True)
        self._laid_out.timeout.connect(self._to_results)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(Column(self.boxes))

    @property
    def boxes(self) -> tuple[StepBox, ...]:
        """All steps in workflow order."""
        return self.movie, self.psf, self.model, self.localize, self.results

    def show_results(self) -> None:
        """Open the results and scroll to them once they are laid out."""
        self.results.expand()
        self._laid_out.start()

    def reveal(self, box: StepBox, field: QWidget) -> None:
        """Open a step and put the cursor into one of its fields."""
        box.expand()
        field.setFocus(Qt.FocusReason.OtherFocusReason)
        self.ensureWidgetVisible(field)

    @Slot()
    def _to_results(self) -> None:
        self.ensureWidgetVisible(self.results, 0, 0)
