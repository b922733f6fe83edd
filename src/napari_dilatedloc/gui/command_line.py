"""The command that does what the dock would do; no Qt in here."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from napari_dilatedloc.config import LocalizeConfig, PSFSettings, Settings
from napari_dilatedloc.config.clusters import ClusterConfig

PROGRAM = "dilatedloc"
OPTIONS = {"threshold", "device", "engine", "precision", "batch_frames"}
"""Settings of a run that 'dilatedloc localize' has an option of the same name for."""
NO_MOVIE_FILE = (
    "The command line needs a movie from a file: this layer lives in memory only, so save it as "
    "TIFF and open it again."
)
NO_PSF_FILE = (
    "The command line needs the PSF as a name or a file: save it first, with 'Save PSF…', and "
    "choose that file."
)
NO_TABLE_FILE = (
    "The command line needs a table from a file: export the localizations first, or choose a movie "
    "from a file, whose table 'dilatedloc localize' writes beside it."
)
PLAIN_FILE = (
    "The command line reads a PSF file as it is: save the PSF with its pixel size and z direction "
    "first, with 'Save PSF…', and choose that file."
)


def quoted(arguments: list[str]) -> str:
    """Arguments as one line for the shell of this machine."""
    if sys.platform == "win32":
        return subprocess.list2cmdline(arguments)
    return shlex.join(arguments)


def localize_command(
    settings: Settings, movie: str | None, file: Path, camera_file: Path | None
) -> tuple[list[str], Settings | None]:
    """Command that localizes a movie with these settings.

    Parameters
    ----------
    settings : Settings
    movie : str or None
        File of the movie.
    file : Path
        Settings file to name in the command, for what has no option.
    camera_file : Path or None
        File of the camera preset, if one is chosen.

    Returns
    -------
    arguments : list of str
    to_write : Settings or None
        What must stand in `file`; None if the command does without it.

    Raises
    ------
    ValueError
        If the command line cannot do it, in one sentence.
    """
    if movie is None:
        raise ValueError(NO_MOVIE_FILE)
    path = Path(movie)
    out = table_of(path)
    command = [PROGRAM, "localize", str(path), "--model", str(settings.model), "--out", str(out)]
    if settings.movie.pixel_size_nm is not None:
        command += ["--pixel-size-nm", f"{settings.movie.pixel_size_nm:.10g}"]
    wanted = settings.localize
    changed = {
        name: value
        for name, value in wanted.model_dump().items()
        if value != getattr(LocalizeConfig(), name)
    }
    if "frames" in changed:
        command += ["--frames", ":".join(map(str, changed.pop("frames")))]
    if "roi" in changed:
        command += ["--roi", ",".join(map(str, changed.pop("roi")))]
    for name in sorted(OPTIONS & set(changed)):
        command += [f"--{name.replace('_', '-')}", str(changed.pop(name))]
    needed: dict[str, object] = {}
    if settings.camera is not None:
        command += ["--camera", str(camera_file or file)]
        needed |= {} if camera_file else {"camera": settings.camera}
    if changed:
        command += ["--config", str(file)]
        needed["localize"] = wanted
    return command, Settings.model_validate(needed) if needed else None


def table_of(movie: Path) -> Path:
    """Table that the command above writes for a movie."""
    return movie.with_name(f"{movie.stem}-localizations.csv")


def cluster_command(config: ClusterConfig, table: Path, pixel_size_nm: float | None) -> list[str]:
    """Command that finds the clusters of a table in a file.

    Parameters
    ----------
    config : ClusterConfig
    table : Path
        Localizations; what is written comes to lie beside it.
    pixel_size_nm : float or None
        Camera pixel, nm; None: the file knows it.
    """
    labelled = table.with_name(f"{table.stem}-clusters{table.suffix}")
    clusters = table.with_name(f"{table.stem}-clusters-table.csv")
    command = [PROGRAM, "cluster", str(table), "--out", str(labelled)]
    command += ["--clusters-out", str(clusters)]
    for name, value in config.settings().items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    if pixel_size_nm is not None:
        command += ["--pixel-size-nm", f"{pixel_size_nm:.10g}"]
    return command


def train_command(settings: Settings, out: Path, file: Path) -> tuple[list[str], Settings]:
    """Command that trains with these settings, and what must stand in `file`.

    Raises
    ------
    ValueError
        If the command line cannot do it, in one sentence.
    """
    command = [PROGRAM, "train", "--psf", _psf(settings.psf), "--out", str(out)]
    command += ["--init", settings.init, "--config", str(file)]
    return command, Settings(training=settings.stated_training)


def _psf(psf: PSFSettings) -> str:
    """Name or file of the PSF."""
    if psf.origin == "preset" and psf.preset is not None:
        return psf.preset
    if psf.origin == "file" and psf.file is not None:
        if psf.file.pixel_size_nm is not None or psf.file.z_direction != "up":
            raise ValueError(PLAIN_FILE)
        return psf.file.path
    raise ValueError(NO_PSF_FILE)
