"""``dilatedloc calibrate``, ``psfs`` and ``convert-psf``: where a PSF comes from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from napari_dilatedloc.cli.common import Json, PixelSize, check_writable, parse_numbers, say, show

if TYPE_CHECKING:
    import numpy as np

    from napari_dilatedloc.config import CameraConfig, VectorialPSFConfig
    from napari_dilatedloc.psf.base import PSF
    from napari_dilatedloc.psf.calibration import Calibration
    from napari_dilatedloc.psf.retrieval import Retrieval

Direction = Annotated[
    Literal["up", "down"],
    typer.Option(
        help="up: later slices show beads at larger z; down: the stage moved the other way."
    ),
]


def calibrate(
    beads: Annotated[list[Path], typer.Argument(help="Bead z-stacks, TIFF; one or several.")],
    z_step_nm: Annotated[float, typer.Option(min=0.1, help="Distance of slices, nm.")],
    out: Annotated[Path, typer.Option(help="PSF to write: .h5 (ours) or .mat (for SMAP).")],
    pixel_size_nm: PixelSize = None,
    roi_size: Annotated[int, typer.Option(help="Side of the ROI around a bead, px, odd.")] = 25,
    z_direction: Direction = "up",
    method: Annotated[
        Literal["spline", "phase"],
        typer.Option(help="spline: the average bead; phase: aberrations fitted to the beads."),
    ] = "spline",
    bead: Annotated[
        list[str] | None,
        typer.Option(help="Bead near y,x, px, instead of a search; repeat for more."),
    ] = None,
    threshold: Annotated[
        float, typer.Option(help="Dimmest bead that is found, relative to the brightest.")
    ] = 0.1,
    na: Annotated[float | None, typer.Option(help="Numerical aperture (phase).")] = None,
    wavelength_nm: Annotated[float | None, typer.Option(help="Emission, nm (phase).")] = None,
    n_medium: Annotated[float | None, typer.Option(help="Index around molecules (phase).")] = None,
    n_immersion: Annotated[
        float | None, typer.Option(help="Index of the immersion (phase).")
    ] = None,
    depth_nm: Annotated[
        float | None, typer.Option(help="Height of the focus in the later movies, nm (phase).")
    ] = None,
    camera: Annotated[Path | None, typer.Option(help="Camera settings, YAML (phase).")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder or .html to write the report to.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure the PSF from z-stacks of beads, and say what is wrong with them."""
    from napari_dilatedloc.psf.beads import snapped
    from napari_dilatedloc.psf.calibrate import calibrate_beads
    from napari_dilatedloc.psf.report import write_report
    from napari_dilatedloc.psf.verdicts import judge

    check_writable(out)
    optics = {
        "na": na,
        "wavelength_nm": wavelength_nm,
        "n_medium": n_medium,
        "n_immersion": n_immersion,
        "depth_nm": depth_nm,
    }
    settings = _optics(optics, method)
    stacks, pixel = _stacks(beads, pixel_size_nm)
    places: list[Any] | None = [parse_numbers(text, 2, "--bead") for text in bead or ()] or None
    if places is not None and len(stacks) > 1:
        raise ValueError("--bead needs one stack, got several; leave it out to search for beads")
    if places is not None:
        places = snapped(stacks[0], [(y, x) for y, x in places], roi_size)
    result = calibrate_beads(
        stacks if len(stacks) > 1 else stacks[0],
        pixel_size_nm=pixel,
        z_step_nm=z_step_nm,
        roi_size=roi_size,
        z_direction=z_direction,
        positions=places,
        threshold=threshold,
    )
    retrieval = _retrieve(result, settings, camera) if settings is not None else None
    _write(out, result.psf if retrieval is None else retrieval.psf)
    files = write_report(report, result, retrieval=retrieval) if report is not None else []
    verdicts = judge(result, retrieval=retrieval)
    show(_figures(out, files, result, retrieval, verdicts, as_json), as_json)
    for verdict in verdicts:
        if verdict.level != "ok":
            say(f"{verdict.level}: {verdict.sentence}")


def _optics(values: dict[str, float | None], method: str) -> VectorialPSFConfig | None:
    """Microscope for phase retrieval; None where a spline is asked for."""
    from napari_dilatedloc.config import VectorialPSFConfig, parse_config

    given = {name: value for name, value in values.items() if value is not None}
    if method == "spline":
        if given:
            names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise ValueError(f"{names} only count for --method phase, got --method spline")
        return None
    missing = [name for name in ("na", "wavelength_nm") if name not in given]
    if missing:
        names = " and ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise ValueError(f"--method phase needs {names}; take them from objective and filter")
    config: VectorialPSFConfig = parse_config(VectorialPSFConfig, given, "optics")
    return config


def _stacks(paths: list[Path], pixel_size_nm: float | None) -> tuple[list[np.ndarray], float]:
    """All stacks and their pixel size, nm."""
    from napari_dilatedloc.io.movie import open_movie

    opened = [open_movie(path, pixel_size_nm=pixel_size_nm) for path in paths]
    sizes = {stack.pixel_size_nm for stack in opened}
    if None in sizes:
        raise ValueError(f"{paths[0].name} does not say its pixel size; give --pixel-size-nm")
    if len(sizes) > 1:
        raise ValueError(f"the stacks have different pixel sizes {sizes}; calibrate them apart")
    size = opened[0].pixel_size_nm
    if size is None:
        raise ValueError("give --pixel-size-nm")
    return [stack.data.compute() for stack in opened], size


def _retrieve(result: Calibration, optics: VectorialPSFConfig, camera: Path | None) -> Retrieval:
    from napari_dilatedloc.camera import build_camera
    from napari_dilatedloc.config import CameraConfig, load_yaml
    from napari_dilatedloc.psf.retrieval import retrieve

    gain = 1.0
    if camera is not None:
        settings: CameraConfig = load_yaml(CameraConfig, camera)
        built = build_camera(settings)
        gain = built.excess_noise * built.em_gain / settings.e_per_adu
    say("fitting the phase of the pupil; this takes a minute or two")
    return retrieve(result, optics, adu_per_photon=gain)


def _write(out: Path, psf: PSF) -> None:
    """PSF in the format of the suffix."""
    from napari_dilatedloc.psf.build import save_psf
    from napari_dilatedloc.psf.formats.smap import write_smap

    if out.suffix.lower() == ".mat":
        write_smap(out, psf)
    else:
        save_psf(out, psf)


def _figures(
    out: Path,
    report: list[Path],
    result: Calibration,
    retrieval: Retrieval | None,
    verdicts: Any,
    as_json: bool,
) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "psf": str(out),
        "beads_used": len(result.kept),
        "beads_rejected": [
            f"y {b.y:.1f} x {b.x:.1f}: {b.reason}" for b in result.beads if not b.kept
        ],
        "z_range_nm": list(result.psf.config.z_range_nm),
        "roi_size": result.psf.config.roi_size,
        "residual": result.residual,
    }
    if retrieval is not None:
        figures |= {
            "model_residual": retrieval.residual,
            "na": retrieval.psf.config.na,
            "z_scale": retrieval.z_scale,
            "drift_nm": list(retrieval.drift_nm),
            "zernike_nm": [list(mode) for mode in retrieval.psf.config.zernike_nm],
            "zernike_sigma_nm": list(retrieval.zernike_sigma_nm),
        }
    if report:
        figures["report"] = [str(path) for path in report]
    if as_json:
        figures["verdicts"] = [
            {"level": v.level, "topic": v.topic, "sentence": v.sentence} for v in verdicts
        ]
    return figures


def psfs(as_json: Json = False) -> None:
    """List the built-in PSFs with their optics."""
    from napari_dilatedloc.psf.presets import PRESETS

    rows = []
    for name, config in PRESETS.items():
        values = config.model_dump(mode="json", exclude={"kind", "zernike_nm", "n_pupil"})
        largest = sorted(config.zernike_nm, key=lambda mode: -abs(mode[2]))[:3]
        values["largest_zernike_nm"] = [list(mode) for mode in largest]
        rows.append({"name": name, **values})
    show(rows, as_json)


def convert_psf(
    source: Annotated[
        str, typer.Argument(help="PSF: name, ours, SMAP, Li lab, uiPSF, Picasso, DECODE.")
    ],
    out: Annotated[Path, typer.Argument(help="PSF to write: .h5 (ours) or .mat (for SMAP).")],
    pixel_size_nm: PixelSize = None,
    z_direction: Annotated[
        Literal["up", "down"],
        typer.Option(help="up: z as the other program counts it; down: turned around."),
    ] = "up",
    optics: Annotated[
        str | None,
        typer.Option(help="Vectorial PSF (preset or .yaml) for a phase mask or FD-DeepLoc map."),
    ] = None,
) -> None:
    """Turn a calibration file of another program into ours, or ours into SMAP's."""
    from napari_dilatedloc.config import VectorialPSFConfig
    from napari_dilatedloc.psf.build import load_psf
    from napari_dilatedloc.psf.formats.read import read_with_optics

    check_writable(out)
    if optics is None:
        psf = load_psf(source, pixel_size_nm=pixel_size_nm, z_direction=z_direction)
    else:
        settings = load_psf(optics).config
        if not isinstance(settings, VectorialPSFConfig):
            raise ValueError(f"--optics must be a vectorial PSF, got {settings.kind}; use a preset")
        psf = read_with_optics(source, settings)
    _write(out, psf)
    config = psf.config
    show(
        {
            "psf": str(out),
            "kind": config.kind,
            "pixel_size_nm": config.pixel_size_nm,
            "roi_size": config.roi_size,
            "z_range_nm": list(config.z_range_nm),
        },
        as_json=False,
    )


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(calibrate)
    app.command()(psfs)
    app.command("convert-psf")(convert_psf)
