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
    viewer : napari.Viewer or None
        Whose layers are offered.
    accepts : callable
        Takes a layer, says whether it is offered.
    first : str or tuple of str
        Entries before all layers that stand for none of them; without one the first layer is
        chosen.

    Signals
    -------
    layer_changed
        Another layer, or none.
    """

    layer_changed = Signal()

    def __init__(
        self,
        viewer: Any | None,
        accepts: Callable[[Any], bool],
        first: str | tuple[str, ...] = (),
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._accepts = accepts
        self._first = (first,) if isinstance(first, str) else first
        self._layers: list[Any] = []
        narrow(self)
        events = None if viewer is None else viewer.layers.events
        names = ("inserted", "removed", "reordered", "renamed")
        self._events = [] if events is None else [getattr(events, name) for name in names]
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
        chosen, place_before = self.layer, self.currentIndex()
        all_layers = () if self._viewer is None else reversed(self._viewer.layers)
        layers = [layer for layer in all_layers if self._accepts(layer)]
        with QSignalBlocker(self):
            self.clear()
            self._layers = [*(None for _ in self._first), *layers]
            self.addItems([*self._first, *(layer.name for layer in layers)])
            for place in range(self.count()):
                self.setItemData(place, self.itemText(place), Qt.ItemDataRole.ToolTipRole)
            if chosen is not None and chosen in layers:
                self.setCurrentIndex(self._layers.index(chosen))
            elif 0 <= place_before < len(self._first):
                self.setCurrentIndex(place_before)
        if self.layer != chosen or (self.layer is None and not self._first):
            self.layer_changed.emit()
