"""Keys of the dock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QShortcut, QWidget


@dataclass(frozen=True)
class Keys:
    """A key and what it does.

    Attributes
    ----------
    keys : str
        As Qt writes it; Ctrl is Cmd on a Mac.
    does : str
        In words, for the list of keys.
    """

    keys: str
    does: str

    @property
    def shown(self) -> str:
        """Key as this machine writes it."""
        return QKeySequence(self.keys).toString(QKeySequence.SequenceFormat.NativeText)


LOCALIZE = Keys("Ctrl+Return", "localize the movie")
CANCEL = Keys("Esc", "cancel the run")
PREVIEW = Keys("Ctrl+P", "preview the frame on show")
EXPORT = Keys("Ctrl+Shift+E", "export the localizations")
ALL = (LOCALIZE, CANCEL, PREVIEW, EXPORT)


def with_keys(tip: str, keys: Keys) -> str:
    """Tooltip that names the key."""
    return f"{tip} ({keys.shown})"


def add_shortcut(parent: QWidget, keys: Keys, call: Callable[[], object]) -> QShortcut:
    """Key that works in the whole window while its parent is on show.

    The eyes are on the canvas, and so is the focus; the keys are none of napari's.
    """
    shortcut = QShortcut(QKeySequence(keys.keys), parent)
    shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
    shortcut.activated.connect(call)
    return shortcut
