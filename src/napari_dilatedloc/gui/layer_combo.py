"""A box that offers the viewer's layers of one sort and keeps up with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal, Slot
from qtpy.QtWidgets import QComboBox, QWidget

from napari_dilatedloc.gui.style import narrow


class LayerCombo(QComboBox):
    """Layers that `accepts` wants, topmost first; the choice survives changes of the list.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers are offered.
    accepts : callable
        Takes a layer, says whether it is offered.
    first : str
        Entry before all layers that stands for none of them; without it the first layer is chosen.

    Signals
    -------
    layer_changed
        Another layer, or none.
    """

    layer_changed = Signal()

    def __init__(
        self,
        viewer: Any,
        accepts: Callable[[Any], bool],
        first: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._accepts = accepts
        self._first = first
        self._layers: list[Any] = []
        narrow(self)
        self._events = (
            viewer.layers.events.inserted,
            viewer.layers.events.removed,
            viewer.layers.events.reordered,
            viewer.layers.events.renamed,
        )
        for event in self._events:
            event.connect(self._fill)
        self._fill()
        self.currentIndexChanged.connect(self.layer_changed)

    @property
    def layer(self) -> Any | None:
        """The chosen layer."""
        place = self.currentIndex()
        return self._layers[place] if 0 <= place < len(self._layers) else None

    def select(self, layer: Any) -> bool:
        """Choose a layer; False if it is not offered."""
        for place, candidate in enumerate(self._layers):
            if candidate is not None and candidate == layer:
                self.setCurrentIndex(place)
                return True
        return False

    def disconnect_viewer(self) -> None:
        """Stop following the viewer's layers, before the widget goes."""
        for event in self._events:
            event.disconnect(self._fill)

    @Slot()
    def _fill(self, _event: Any = None) -> None:
        """Take the layers of the viewer, and keep the choice."""
        chosen = self.layer
        layers = [layer for layer in reversed(self._viewer.layers) if self._accepts(layer)]
        names = [layer.name for layer in layers]
        with QSignalBlocker(self):
            self.clear()
            self._layers = [None, *layers] if self._first else layers
            self.addItems([self._first, *names] if self._first else names)
            for place in range(self.count()):
                self.setItemData(place, self.itemText(place), Qt.ItemDataRole.ToolTipRole)
            if chosen is not None and chosen in layers:
                self.setCurrentIndex(self._layers.index(chosen))
        if self.layer is None or self.layer != chosen:
            self.layer_changed.emit()
