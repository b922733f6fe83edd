"""``dilatedloc design``: the pupil with the best precision over a range of z."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_dilatedloc.cli.common import (
    Json,
    check_writable,
    parse_numbers,
    progress_bar,
    say,
    show,
)

if TYPE_CHECKING:
    from napari_dilatedloc.config import PixelNoise, VectorialPSFConfig

DEFAULT_OPTICS = "tetrapod-3um"
UNTELLABLE_NM = 1e6
"""Bounds above this mean that z, or another parameter, cannot be told at all; printed as none."""
OPTICS = (
    "Optics: a preset or a file of a vectorial PSF; its aberrations are one of the starts. "
    f"Default: those of {DEFAULT_OPTICS}, without aberrations."
)


def design(
    z_range: Annotated[str, typer.Option(help="Range of z, nm, LOW:HIGH, such as -1500:1500.")],
    out: Annotated[Path, typer.Option(help="PSF to write, .yaml or .h5.")],
    photons: Annotated[float, typer.Option(help="Photons of a molecule.")] = 2000.0,
    background: Annotated[float, typer.Option(help="Background photons a pixel.")] = 20.0,
    optics: Annotated[str | None, typer.Option(help=OPTICS)] = None,
    camera: Annotated[
        Path | None, typer.Option(help="Camera settings, YAML; default: pure shot noise.")
    ] = None,
    roi_size: Annotated[
        int | None, typer.Option(help="Side of the ROI the spot has to stay in, px, odd.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop after these minutes.")] = None,
    iterations: Annotated[int | None, typer.Option(help="Stop after these iterations.")] = None,
    seed: Annotated[int, typer.Option(help="Of the random starts.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="Picture to write, .png.")] = None,
    as_json: Json = False,
) -> None:
    """Find the aberrations that locate molecules best over a range of z.

    Minimises the mean Cramer-Rao bound sqrt(x^2 + y^2 + z^2) over 21 Zernike modes, which a
    deformable mirror or a phase mask can show. It takes a minute or two; Ctrl-C keeps the best.
    """
    for path in (out, plot):
        if path is not None:
            check_writable(path)
    if out.suffix.lower() not in (".yaml", ".yml", ".h5"):
        raise ValueError(f"--out must end in .yaml or .h5, got {out.name!r}; choose one of these")
    start = _optics(optics, z_range, roi_size)
    noise = _noise(camera)
    light = photons, background
    limits = {"minutes": minutes, "max_iterations": iterations, "seed": seed}
    result = _follow(start, light, noise, limits)
    _write(out, result)
    figures = _figures(start, result, light, noise)
    if plot is not None:
        _plot(plot, start, result, light, noise)
    show({"psf": str(out), **figures}, as_json)


def _optics(name: str | None, z_range: str, roi_size: int | None) -> VectorialPSFConfig:
    """Optics asked for, over the range asked for."""
    from napari_dilatedloc.config import VectorialPSFConfig
    from napari_dilatedloc.psf.build import load_psf

    psf = load_psf(name if name is not None else DEFAULT_OPTICS)
    config = psf.config
    if not isinstance(config, VectorialPSFConfig) or psf.tensors():
        raise ValueError(
            f"--optics must be a vectorial PSF without a mask, got {name} of kind {config.kind}; "
            "use a preset or write a YAML file with kind: vectorial"
        )
    if name is None:
        config = config.replace(zernike_nm=())
    low, high = parse_numbers(z_range, 2, "--z-range", ":")
    if low >= high:
        raise ValueError(f"--z-range must be LOW:HIGH, got {z_range!r}; turn the numbers around")
    changes: dict[str, Any] = {"z_range_nm": (low, high)}
    own_low, own_high = config.z_range_nm
    if roi_size is not None:
        changes["roi_size"] = roi_size
    elif low < own_low or high > own_high:
        changes["roi_size"] = max(config.roi_size, _roi_for(high - low, config.pixel_size_nm))
    if config.depth_nm + low < 0:
        changes["depth_nm"] = -low
        say(
            f"focus set {-low:g} nm above the cover slip, so that all of the range is in the medium"
        )
    if high - low > 4000:  # steep phases; twice the samples change the bound by less than 1%
        changes["n_pupil"] = max(config.n_pupil, 96)
    return config.replace(**changes)


def _roi_for(span_nm: float, pixel_size_nm: float) -> int:
    """Side, px, that spots over a range of z need: as of the presets, 4.5 um for 3 um."""
    return 2 * round((3000 + span_nm / 2) / pixel_size_nm / 2) + 1


def _noise(camera: Path | None) -> PixelNoise:
    from napari_dilatedloc.config import CameraConfig, PixelNoise, load_yaml

    if camera is None:
        return PixelNoise()
    from napari_dilatedloc.camera import build_camera

    return build_camera(load_yaml(CameraConfig, camera)).noise


def _follow(
    start: VectorialPSFConfig,
    light: tuple[float, float],
    noise: PixelNoise,
    limits: dict[str, Any],
) -> VectorialPSFConfig:
    """Run the design under a progress bar; an interrupt keeps the best so far."""
    from napari_dilatedloc.psf.design import design_pupil

    best = start
    photons, bg = light
    with progress_bar() as bar:
        task = bar.add_task("design", total=1000, note="")
        try:
            for step in design_pupil(start, photons=photons, bg=bg, noise=noise, **limits):
                best = step.config
                note = f"{step.stage}, mean bound {step.merit_nm:.2f} nm"
                bar.update(task, completed=round(1000 * step.progress), note=note)
        except KeyboardInterrupt:
            say("interrupted; the best pupil so far is kept")
    return best


def _write(out: Path, config: VectorialPSFConfig) -> None:
    from napari_dilatedloc.config import save_yaml
    from napari_dilatedloc.psf.build import build_psf, save_psf

    if out.suffix.lower() == ".h5":
        save_psf(out, build_psf(config))
    else:
        save_yaml(config, out)


def _figures(
    start: VectorialPSFConfig,
    result: VectorialPSFConfig,
    light: tuple[float, float],
    noise: PixelNoise,
) -> dict[str, Any]:
    """Mean bounds of the start, the result and the presets' aberrations, same optics and range."""
    from napari_dilatedloc.psf.design import mean_bound_nm
    from napari_dilatedloc.psf.presets import PRESETS

    def figure(config: VectorialPSFConfig) -> float | None:
        value = mean_bound_nm(config, *light, noise)
        return value if value < UNTELLABLE_NM else None

    presets = {
        f"mean_bound_{name}_nm": figure(start.replace(zernike_nm=preset.zernike_nm))
        for name, preset in PRESETS.items()
    }
    return {
        "z_range_nm": list(result.z_range_nm),
        "roi_size": result.roi_size,
        "mean_bound_nm": figure(result),
        "mean_bound_start_nm": figure(start),
        **presets,
        "zernike_nm": [list(one) for one in result.zernike_nm],
    }


def _plot(
    path: Path,
    start: VectorialPSFConfig,
    result: VectorialPSFConfig,
    light: tuple[float, float],
    noise: PixelNoise,
) -> None:
    from napari_dilatedloc.psf.design_figure import design_figure
    from napari_dilatedloc.psf.presets import PRESETS

    pupils = {"design": result}
    for name in ("tetrapod-3um", "astigmatism"):
        pupils[name] = start.replace(zernike_nm=PRESETS[name].zernike_nm)
    design_figure(pupils, *light, noise).savefig(path)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(design)
