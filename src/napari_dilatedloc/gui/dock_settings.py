"""All fields of the dock as one `Settings`, and back."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dilatedloc.config import LocalizeConfig, MovieSettings, Settings, save_settings
from napari_dilatedloc.config.drift import DriftConfig
from napari_dilatedloc.config.filters import FilterConfig
from napari_dilatedloc.config.linking import LinkingConfig
from napari_dilatedloc.gui.cluster_box import DEFAULT
from napari_dilatedloc.gui.command_line import (
    NO_TABLE_FILE,
    cluster_command,
    localize_command,
    quoted,
    table_of,
    train_command,
)
from napari_dilatedloc.gui.preferences import config_folder, preferences
from napari_dilatedloc.gui.train_form import default_settings

if TYPE_CHECKING:
    from napari_dilatedloc.gui.dock import DilatedLocDock


def defaults() -> Settings:
    """Settings of a fresh dock; the device is that of the preferences."""
    device = preferences().device
    training = default_settings()
    if device != training.device:
        training = training.model_copy(update={"device": device})
    return Settings.model_validate(
        {
            "movie": MovieSettings(),
            "camera": None,
            **{name: getattr(Settings(), name) for name in ("psf", "model", "init")},
            "localize": LocalizeConfig(device=device),
            "training": training,
            "filter": FilterConfig(),
            "drift": DriftConfig(),
            "link": LinkingConfig(),
            "cluster": DEFAULT,
        }
    )


def read_settings(dock: DilatedLocDock) -> Settings:
    """Read all fields.

    Raises
    ------
    pydantic.ValidationError
        If fields contradict each other; the step with the trouble says so too.
    """
    return Settings(
        movie=MovieSettings(pixel_size_nm=dock.movie_step.pixel_size_nm),
        camera=dock.camera_box.camera,
        psf=dock.psf_step.value(),
        model=dock.model_step.model,
        localize=dock.form.value(),
        init=dock.train_step.form.init,
        training=dock.train_step.form.value(),
        filter=dock.results.filter.value(),
        drift=dock.results.process.drift,
        link=dock.results.process.linking,
        cluster=dock.results.clusters.value(),
    )


def apply_settings(dock: DilatedLocDock, settings: Settings) -> None:
    """Show the sections that are stated; the others stay as they are."""
    camera = settings.camera if settings.states("camera") else dock.camera_box.camera
    if settings.states("model"):
        dock.model_step.set_model(settings.model)
    if settings.states("init"):
        dock.train_step.form.set_init(settings.init)
    if settings.states("training"):
        dock.train_step.form.setValue(settings.stated_training)
    # after the training, whose form shows its own camera
    dock.camera_box.set_camera(camera)
    if settings.states("psf"):
        dock.psf_step.setValue(settings.psf)
    if settings.states("localize"):
        dock.form.setValue(settings.localize)
    if settings.states("movie"):
        dock.movie_step.set_pixel_size(settings.movie.pixel_size_nm)
    if settings.states("filter"):
        dock.results.filter.setValue(settings.filter)
    if settings.states("drift"):
        dock.results.process.set_drift(settings.drift)
    if settings.states("link"):
        dock.results.process.set_linking(settings.link)
    if settings.cluster is not None:
        dock.results.clusters.setValue(settings.cluster)


def localize_line(dock: DilatedLocDock) -> str:
    """Command that localizes as the dock would.

    Raises
    ------
    ValueError, OSError
        If there is none, in one sentence, or its settings file cannot be written.
    """
    source = _movie_file(dock)
    settings, preset = read_settings(dock), dock.camera_box.preset_path
    _, wanted = localize_command(settings, source, Path(), preset)
    file = Path() if wanted is None else _written(wanted)
    return quoted(localize_command(settings, source, file, preset)[0])


def cluster_line(dock: DilatedLocDock) -> str:
    """Command that finds clusters as the dock would: of the exported table, else of the movie's.

    Raises
    ------
    ValueError
        If there is none, in one sentence.
    """
    table, source = dock.results.exported, _movie_file(dock)
    if table is None and source is None:
        raise ValueError(NO_TABLE_FILE)
    result, size = dock.result, dock.movie_step.pixel_size_nm
    size = size if result is None else result.info.pixel_size_nm
    config = dock.results.clusters.value()
    return quoted(cluster_command(config, table or table_of(Path(str(source))), size))


def train_line(dock: DilatedLocDock) -> str:
    """Command that trains as the dock would.

    Raises
    ------
    ValueError, OSError
        If there is none, in one sentence, or its settings file cannot be written.
    """
    settings, out = read_settings(dock), dock.train_step.form.out
    _, wanted = train_command(settings, out, Path())
    return quoted(train_command(settings, out, _written(wanted))[0])


def _movie_file(dock: DilatedLocDock) -> str | None:
    """File of the movie layer; None where it lives in memory."""
    return getattr(getattr(dock.movie_step.movie, "source", None), "path", None)


def _written(settings: Settings) -> Path:
    """File with these settings; named by them, so that equal commands share one."""
    name = sha256(settings.model_dump_json(exclude_unset=True).encode()).hexdigest()[:12]
    path = config_folder() / "commands" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_settings(settings, path)
    return path
