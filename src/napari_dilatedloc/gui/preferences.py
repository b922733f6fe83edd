"""What napari's preferences say of this plugin, and the folder for what it remembers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from napari.settings import get_plugin_settings
from platformdirs import user_config_dir, user_data_dir

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
    runs_folder : Path
        Where the tables of the last runs are kept.
    """

    device: str = "auto"
    threads: int = 0
    models_folder: Path | None = None
    runs_folder: Path = field(default_factory=lambda: data_folder() / "runs")


def preferences() -> Preferences:
    """Read the preferences; the defaults where napari does not know the plugin."""
    try:
        found: Any = get_plugin_settings(PLUGIN)
    except KeyError:
        return Preferences()
    models, runs = found.folders.models.strip(), found.folders.runs.strip()
    usual = Preferences(device=found.compute.device, threads=found.compute.threads)
    return replace(
        usual,
        models_folder=Path(models).expanduser() if models else None,
        runs_folder=Path(runs).expanduser() if runs else usual.runs_folder,
    )


def config_folder() -> Path:
    """Folder of presets. Not napari's, which is another one in each environment."""
    return Path(user_config_dir("dilatedloc", appauthor=False))


def data_folder() -> Path:
    """Folder of what the dock keeps by itself."""
    return Path(user_data_dir("dilatedloc", appauthor=False))
