"""What napari's preferences say of this plugin, and the folder for what it remembers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari.settings import get_plugin_settings
from platformdirs import user_config_dir

PLUGIN = "napari-dilatedloc"


@dataclass(frozen=True)
class Preferences:
    """What the user set under Preferences > DilatedLoc.

    Attributes
    ----------
    device : str
        Where networks run by default.
    threads : int
        Threads of the processor for networks; 0 for all that leave the viewer fluid.
    models_folder : Path or None
        Where new models are written and looked for.
    """

    device: str = "auto"
    threads: int = 0
    models_folder: Path | None = None


def preferences() -> Preferences:
    """Read the preferences; the defaults where napari does not know the plugin."""
    try:
        found: Any = get_plugin_settings(PLUGIN)
    except KeyError:
        return Preferences()
    folder = found.folders.models.strip()
    return Preferences(
        device=found.compute.device,
        threads=found.compute.threads,
        models_folder=Path(folder).expanduser() if folder else None,
    )


def config_folder() -> Path:
    """Folder of presets. Not napari's, which is another one in each environment."""
    return Path(user_config_dir("dilatedloc", appauthor=False))
