"""What the header of each step says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dilatedloc.config import LocalizeConfig, ModelInfo
from napari_dilatedloc.gui.step_box import Mark, StepState
from napari_dilatedloc.gui.worker import State

if TYPE_CHECKING:
    from napari_dilatedloc.gui.dock import DilatedLocDock
    from napari_dilatedloc.gui.psf_job import ChosenPSF

NO_MOVIE = "open a movie, or File > Open Sample"
PSF_OPTIONAL = "only needed for training"


def show_states(dock: DilatedLocDock) -> None:
    """Bring the headers of all steps up to date."""
    steps, movie, psf, model = dock.steps, dock.movie_step, dock.psf_step, dock.model_step
    camera, run, state = dock.camera_box, dock.runner.run, dock.worker.state
    said = movie.about_frames
    size, trouble = movie.pixel_size_nm, movie.trouble
    steps.movie.show_state(movie_state(said, size, camera.name, trouble, camera.trouble))
    busy = psf.worker.state.busy
    steps.psf.show_state(psf_state(psf.chosen, psf.status.error, busy=busy))
    name, doubts = model.combo.currentText(), model.doubts.text()
    training = _training(dock)
    steps.model.show_state(model_state(name, model.info, model.trouble, doubts, training))
    done, total = (0, 0) if run is None else (run.done, run.total)
    config, trouble = dock.form.value(), dock.form.trouble
    at = "" if run is None else run.so_far
    steps.localize.show_state(localize_state(state, done, total, at, config, trouble))
    summary = "" if run is None else run.summary()
    steps.results.show_state(results_state(dock.results.localizations, dock.results.total, summary))


def _training(dock: DilatedLocDock) -> str:
    """How far a match or a training is; empty if there is none at work."""
    if not dock.train_step.worker.state.busy:
        return ""
    bar = dock.train_step.bar
    return f"training, {bar.text()}" if bar.maximum() > 0 else "at work…"


def movie_state(
    about: str, pixel_size_nm: float | None, camera: str, trouble: str, camera_trouble: str
) -> StepState:
    """Header of "Movie & camera".

    Parameters
    ----------
    about : str
        Size and number of frames in words; empty without a movie.
    pixel_size_nm : float or None
    camera : str
        Chosen camera in words.
    trouble, camera_trouble : str
        What is wrong with movie and camera, one sentence each; empty if nothing is.
    """
    if not about and not trouble.startswith("Open"):
        return StepState(Mark.ATTENTION, trouble)
    if not about:
        return StepState(Mark.NOTHING, NO_MOVIE, trouble)
    if trouble or camera_trouble:
        said = trouble or camera_trouble
        short = f"{about}, pixel size?" if pixel_size_nm is None else said
        return StepState(Mark.ATTENTION, short, said)
    said = f"{about}, {pixel_size_nm:.4g} nm"
    return StepState(Mark.DONE, said, f"{said}; camera: {camera}")


def psf_state(chosen: ChosenPSF | None, error: str, *, busy: bool) -> StepState:
    """Header of "PSF"."""
    if busy:
        return StepState(Mark.BUSY, "working…")
    if error:
        return StepState(Mark.ATTENTION, error)
    if chosen is None:
        return StepState(Mark.NOTHING, PSF_OPTIONAL, "A trained model brings its own PSF.")
    config = chosen.psf.config
    low, high = config.z_range_nm
    said = f"{chosen.name}, {config.pixel_size_nm:.4g} nm, z {low:.0f} to {high:.0f} nm"
    problems = [verdict for verdict in chosen.verdicts if verdict.level == "problem"]
    if problems:
        return StepState(Mark.ATTENTION, said, problems[0].sentence)
    return StepState(Mark.DONE, said, chosen.about())


def model_state(
    name: str, info: ModelInfo | None, trouble: str, doubts: str, training: str
) -> StepState:
    """Header of "Model".

    Parameters
    ----------
    name : str
        Chosen model as the list shows it.
    info : ModelInfo or None
        What it was trained for; None if its file cannot be read.
    trouble : str
        Why there is no model.
    doubts : str
        Why it may not fit the movie.
    training : str
        How far a training or a match is; empty if there is none at work.
    """
    if training:
        return StepState(Mark.BUSY, training)
    if trouble:
        return StepState(Mark.ATTENTION, trouble)
    if info is None:
        return StepState(Mark.ATTENTION, f"{name} cannot be read", "Choose another model.")
    low, high = info.z_range_nm
    said = f"{name}, {info.pixel_size_nm:.4g} nm, z {low:.0f} to {high:.0f} nm"
    if doubts:
        return StepState(Mark.ATTENTION, said, doubts)
    accuracy = info.metrics.get("jaccard")
    tested = "" if accuracy is None else f"; Jaccard {accuracy:.2f} in its test"
    return StepState(Mark.DONE, said, f"{said}{tested}")


def localize_state(
    state: State, done: int, total: int, at: str, config: LocalizeConfig, trouble: str
) -> StepState:
    """Header of "Localize": `at` while it runs, what was done, or what will be done."""
    if state.busy:
        return StepState(Mark.BUSY, at)
    if trouble:
        return StepState(Mark.ATTENTION, trouble)
    if state is State.FAILED:
        return StepState(Mark.ATTENTION, "the last run failed", "What went wrong stands below.")
    if state is State.CANCELLED and done < total:
        return StepState(Mark.ATTENTION, f"stopped: {done:,} of {total:,} frames are kept")
    if total and done >= total:
        return StepState(Mark.DONE, f"{done:,} frames done")
    frames = "all frames" if config.frames is None else "frames {}-{}".format(*_last(config.frames))
    level = "threshold of the model" if config.threshold is None else f"above {config.threshold:g}"
    return StepState(Mark.NOTHING, f"{frames}, {level}")


def results_state(localizations: int, total: int, summary: str) -> StepState:
    """Header of "Results & export": of `total` localizations so many are kept."""
    if total and not localizations:
        told = f"None of {total:,} localizations passes the filter: widen it, or 'Show all' there."
        return StepState(Mark.ATTENTION, "the filter keeps nothing: widen it", told)
    if not localizations:
        return StepState(Mark.NOTHING, "no result yet")
    return StepState(Mark.DONE, summary.splitlines()[0], summary)


def _last(frames: tuple[int, int]) -> tuple[int, int]:
    return frames[0], frames[1] - 1
