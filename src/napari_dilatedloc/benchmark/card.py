"""Model card: what a model was trained for, how well it does, how it is remade, in Markdown."""

from __future__ import annotations

from napari_dilatedloc.config import (
    CameraConfig,
    EMCCDConfig,
    FieldPSFConfig,
    GaussianPSFConfig,
    ModelInfo,
    PSFConfig,
    VectorialPSFConfig,
)
from napari_dilatedloc.network.checkpoint import Model
from napari_dilatedloc.network.registry import as_network, count_macs
from napari_dilatedloc.training.accuracy import ModelAccuracy


def model_card(name: str, model: Model, accuracy: ModelAccuracy, remake: str = "") -> str:
    """Card of a tested model.

    Parameters
    ----------
    name : str
        Heading.
    model : Model
        With the calibration it was tested with.
    accuracy : ModelAccuracy
        Result of its standard test.
    remake : str
        Command that trains it again; left out if empty.
    """
    blocks = [f"# Model `{name}`", _facts(model), "## Measured", accuracy.test_set]
    blocks += [_figures(accuracy), _calibration(model.info)]
    if remake:
        blocks += ["## Remake", f"```text\n{remake.strip()}\n```"]
    return "\n\n".join(blocks) + "\n"


def _facts(model: Model) -> str:
    info, network = model.info, model.network
    parameters = sum(values.numel() for values in network.parameters())
    trained = info.simulation
    low, high = info.z_range_nm
    rows = {
        "network": f"`{info.network}`: {parameters:,} parameters, "
        f"{count_macs(network.to('cpu'), 128) / 1e9:.2f} G multiply-accumulates a 128 x 128 frame, "
        f"{as_network(network).window} frames seen",
        "PSF": _psf(info.psf),
        "pixel size, z range": f"{info.pixel_size_nm:g} nm; {low:g} ... {high:g} nm",
        "camera": _camera(info.camera),
        "trained on": f"{trained.photons[0]:,.0f}-{trained.photons[1]:,.0f} photons a frame, "
        f"background {trained.bg[0]:g}-{trained.bg[1]:g} photons a pixel, "
        f"{trained.density_per_um2[0]:g}-{trained.density_per_um2[1]:g} molecules on per um2, "
        f"mean on-time {trained.lifetime_frames:g} frames; not asked for molecules of fewer than "
        f"{trained.min_photons:g} photons in a frame",
        "training": f"{info.steps:,} steps, seed {info.seed}, {_hours(info)}; "
        + ", ".join(f"{package} {version}" for package, version in info.versions.items()),
        "threshold": f"{info.threshold:g}",
    }
    return "| | |\n|---|---|\n" + "\n".join(f"| {key} | {text} |" for key, text in rows.items())


def _hours(info: ModelInfo) -> str:
    """Time of all training that led to the weights."""
    on_gpu = f" and {info.gpu_hours:.2f} GPU hours" if info.gpu_hours else ""
    return f"{info.cpu_hours:.2f} CPU hours{on_gpu}"


def _figures(a: ModelAccuracy) -> str:
    rows = [
        ("Jaccard, precision, recall", f"{a.jaccard:.3f}, {a.precision:.3f}, {a.recall:.3f}"),
        ("Jaccard of the whole field, cut spots included", f"{a.jaccard_whole_field:.3f}"),
        ("RMSE lateral (2-D), axial", f"{a.rmse_lateral_nm:.1f} nm, {a.rmse_axial_nm:.1f} nm"),
        ("RMSE / CRLB lateral", f"{a.rmse_over_crlb_lateral:.2f}"),
        ("RMSE / CRLB axial", f"{a.rmse_over_crlb_axial:.2f}"),
        (
            "variance of errors in units of the predicted error, x, y, z",
            f"{a.z_variance_x:.2f}, {a.z_variance_y:.2f}, {a.z_variance_z:.2f} "
            f"({100 * a.z_outliers:.1f}% beyond 5)",
        ),
        ("bias of the photons", f"{100 * a.photons_bias:+.1f}%"),
        (
            "sub-pixel phases: largest deviation from flat",
            f"{100 * a.phase_flatness:.1f}% (counting noise of a bin {100 * a.phase_noise:.1f}%); "
            f"chi-square {a.phase_chi2:.1f}, p = {a.phase_p:.2g}",
        ),
        ("emitters", f"{a.n_emitters:,}"),
    ]
    return "| | |\n|---|---|\n" + "\n".join(f"| {key} | {text} |" for key, text in rows)


def _calibration(info: ModelInfo) -> str:
    c = info.calibration
    return (
        f"Calibration in the file: factors {c.sigma_x:.3f}, {c.sigma_y:.3f}, {c.sigma_z:.3f}, "
        f"{c.sigma_photons:.3f} on the predicted errors of x, y, z and photons, powers "
        f"{c.power_x:.2f}, {c.power_y:.2f}, {c.power_z:.2f} on those of x, y, z; {c.photons:.3f} "
        f"on the photons; pull to pixel centres {c.pull_per_px2:.1f} per px^2, ripple "
        f"{c.ripple:.3f}."
    )


def _psf(config: PSFConfig) -> str:
    if isinstance(config, GaussianPSFConfig):
        return (
            f"astigmatic Gaussian: smallest width {config.sigma_nm:g} nm, narrowest in x at z = "
            f"{config.focus_x_nm:g} nm and in y at {config.focus_y_nm:g} nm, sqrt(2) wider "
            f"{config.depth_nm:g} nm away"
        )
    if isinstance(config, FieldPSFConfig):
        return f"vectorial, changing over the chip; {_optics(config.optics)}"
    if isinstance(config, VectorialPSFConfig):
        return f"vectorial; {_optics(config)}"
    return f"measured ({config.kind}), ROI {config.roi_size} px"


def _optics(config: VectorialPSFConfig) -> str:
    modes = ", ".join(f"({n}, {m}) {size:.1f}" for n, m, size in config.zernike_nm)
    return (
        f"NA {config.na:g}, {config.wavelength_nm:g} nm, indices {config.n_medium:g} / "
        f"{config.n_cover:g} / {config.n_immersion:g}, focus {config.depth_nm:.0f} nm deep"
        + (f", Zernike in nm rms: {modes}" if modes else "")
    )


def _camera(config: CameraConfig) -> str:
    kind = "EMCCD" if isinstance(config, EMCCDConfig) else "sCMOS"
    gain = f", EM gain {config.em_gain:g}" if isinstance(config, EMCCDConfig) else ""
    return (
        f"{kind}: baseline {config.baseline:g} ADU, {config.e_per_adu:g} e/ADU, QE "
        f"{config.qe:g}, read noise {config.read_noise_e:g} e{gain}"
    )
